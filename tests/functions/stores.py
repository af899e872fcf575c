"""Stores an object if its message says where to."""

import json
from typing import Any

from context import CustomContext


def run(event: str, context: CustomContext) -> list[dict[str, Any]]:
    """Store an object if the message has a bucket and a key; report the message."""
    message = json.loads(event)
    if "key" in message:
        target = {"Bucket": message["bucket"], "Key": message["key"]}
        context.s3.put_object(**target, Body=b"stored")
    return [{"message": message}]
