"""Deletes old clicks, each night."""

import json
from datetime import datetime, timedelta
from typing import Any

from context import CustomContext
from settings import Setting, number_between

SETTINGS = [
    Setting("keep_days", number_between(1, 3650), 30, "days that clicks are kept"),
]
DELETE = "DELETE FROM clicks WHERE clicked_at < %s"


def run(event: str, context: CustomContext) -> dict[str, Any]:
    """Delete the clicks that are too old at the scheduled time.

    Args:
        event: `{"schedule": "nightly", "time": "2026-01-05T01:00:00Z"}`.
        context: settings, clients, and the time left.

    Returns:
        A report: `{"before": "2025-12-06 01:00:00", "deleted": 3}`.
    """
    time = datetime.fromisoformat(json.loads(event)["time"]).replace(tzinfo=None)
    before = str(time - timedelta(days=context.var.keep_days))
    deleted = context.rds.retry(delete_clicks, before, context)
    return {"before": before, "deleted": deleted}


def delete_clicks(before: str, context: CustomContext) -> int:
    """Delete the clicks before a time, and return how many there were."""
    with context.rds.transaction() as cursor:
        cursor.execute(DELETE, (before,))
        return int(cursor.rowcount)
