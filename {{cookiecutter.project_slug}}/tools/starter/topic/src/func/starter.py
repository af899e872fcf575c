"""Handles the messages of a topic."""

import json
from typing import Any

from context import CustomContext


def run(event: str, context: CustomContext) -> dict[str, Any]:
    """Report which order a message is about.

    Args:
        event: a message as it was published, `{"order": 1001, …}`.
        context: settings, clients, and the time left.

    Returns:
        A report: `{"order": 1001}`.

    Raises:
        ValueError: the message is not JSON, or names no order.
    """
    message = json.loads(event)
    if not isinstance(message, dict) or "order" not in message:
        raise ValueError('the message has no "order"')
    return {"order": message["order"]}
