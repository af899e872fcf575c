"""Counts the rows of messages that are sent to its queue."""

import json
from typing import Any

from context import CustomContext


def run(event: str, context: CustomContext) -> dict[str, Any]:
    """Count the rows of a message.

    Args:
        event: body of a message, `{"rows": [[1, "anna"], …]}`.
        context: settings, clients, and the time left.

    Returns:
        A report: `{"rows": 2}`.

    Raises:
        ValueError: the message is not JSON, or has no rows.
    """
    message = json.loads(event)
    if not isinstance(message, dict) or not isinstance(message.get("rows"), list):
        raise ValueError('the message has no "rows"')
    return {"rows": len(message["rows"])}
