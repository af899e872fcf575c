"""Loads the rows of files that have landed in S3 into a table."""

from typing import Any

from context import CustomContext
from lib import events, rows
from lib.loads import Load

NEEDS = ("table", "columns")


def run(event: str, context: CustomContext) -> list[dict[str, Any]]:
    """Load every object that `event` names, each in a transaction of its own.

    The same state of an object is loaded once, however often it is named. A line that
    is no row, or that the database refuses, is set aside with its reason.

    Args:
        event: body of a message, see `lib.events`.
        context: gives the settings, S3, the database and the time left.

    Returns:
        A report on each object: its name, what became of it, and the numbers of rows
        loaded and rejected.
    """
    found = events.objects(event)
    return [context.rds.retry(load, each, context) for each in found]


def load(found: events.S3Object, context: CustomContext) -> dict[str, Any]:
    """Load one object; return the report."""
    var = context.var
    how = rows.Format(
        len(var.columns), var.delimiter, var.newline, var.encoding, var.null, var.header
    )
    context.require_time()
    found = events.resolved(found, context.s3)
    entry: Load
    with context.rds.load(found, var.table, var.columns, __name__) as entry:
        if entry.is_new:
            answer = context.s3.get_object(**found.request)
            if entry.begin(answer):
                for chunk in rows.chunks(answer["Body"], how):
                    context.require_time()
                    entry.add(chunk)
    return entry.report
