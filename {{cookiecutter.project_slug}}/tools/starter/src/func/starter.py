"""Counts the rows of files that have landed in S3."""

from typing import Any

from context import CustomContext
from lib import events, rows

NEEDS = ("columns",)


def run(event: str, context: CustomContext) -> list[dict[str, Any]]:
    """Count the rows of every object that `event` names; nothing is changed.

    Args:
        event: body of a message, see `lib.events`.
        context: gives the settings, S3 and the time left.

    Returns:
        A report on each object: its name, and how many lines are rows, and how many
        are not.
    """
    return [count(each, context) for each in events.objects(event)]


def count(found: events.S3Object, context: CustomContext) -> dict[str, Any]:
    """Count the rows of one object; return the report."""
    var = context.var
    how = rows.Format(
        len(var.columns), var.delimiter, var.newline, var.encoding, var.null, var.header
    )
    good = bad = 0
    answer = context.s3.get_object(**found.request)
    for chunk in rows.chunks(answer["Body"], how):
        context.require_time()
        good += len(chunk.origins)
        bad += len(chunk.rejects)
    return {"object": str(found), "rows": good, "rejects": bad}
