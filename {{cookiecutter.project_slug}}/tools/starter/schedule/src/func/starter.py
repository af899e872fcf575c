"""Runs on a schedule."""

import json
from datetime import datetime, timedelta
from typing import Any

from context import CustomContext


def run(event: str, context: CustomContext) -> dict[str, Any]:
    """Report which day is over at the scheduled time.

    Take the time from the message instead of the clock: a message may come late, or
    more than once.

    Args:
        event: `{"schedule": "starter", "time": "2026-01-05T02:00:00Z"}`.
        context: settings, clients, and the time left.

    Returns:
        A report: `{"day": "2026-01-04"}`.

    Raises:
        ValueError: the message is not JSON, or its time is none.
        KeyError: the message has no time.
    """
    time = datetime.fromisoformat(json.loads(event)["time"])
    return {"day": str(time.date() - timedelta(days=1))}
