"""Loads the rows of a message into a table."""

import json
from typing import Any

from context import CustomContext

NEEDS = ("table", "columns")


def run(event: str, context: CustomContext) -> Any:
    """Load the rows of a message, which may arrive more than once.

    Args:
        event: body of a message of `fanout`: `{"key": "…", "rows": [["1", …], …]}`.
        context: settings, clients, and the time left.

    Returns:
        A report: `{"key": "…", "outcome": "loaded", "loaded": 4, "rejected": 0}`.
    """
    return context.rds.retry(load_part, json.loads(event), context)


def load_part(part: dict[str, Any], context: CustomContext) -> Any:
    """Load the rows in one transaction, and return the report."""
    var = context.var
    with context.rds.load(
        table=var.table,
        columns=var.columns,
        function=__name__,
        check=context.require_time,
        key=part["key"],
    ) as load:
        load.add_rows(part["rows"])
    return load.report
