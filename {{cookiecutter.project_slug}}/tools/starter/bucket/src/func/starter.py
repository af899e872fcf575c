"""Counts the rows of files that arrive in S3."""

from typing import Any

from context import CustomContext
from lib import events, rows

NEEDS = ("columns",)


def run(event: str, context: CustomContext) -> list[dict[str, Any]]:
    """Count the rows of all objects that the event names.

    Args:
        event: body of a message, see `lib.events.objects`.
        context: settings, clients, and the time left.

    Returns:
        A report for each object: `{"object": "s3://raw/starter/clicks.csv",
        "rows": 10, "rejects": 0}`.
    """
    return [count_rows(each, context) for each in events.objects(event)]


def count_rows(s3_object: events.S3Object, context: CustomContext) -> dict[str, Any]:
    """Count the rows and the bad lines of an object, and return the report."""
    number_of_rows = number_of_rejects = 0
    body = context.s3.get_object(**s3_object.request)["Body"]
    for chunk in rows.read_chunks(body, rows.Format.from_settings(context.var)):
        context.require_time()
        number_of_rows += len(chunk.origins)
        number_of_rejects += len(chunk.rejects)
    return {
        "object": str(s3_object),
        "rows": number_of_rows,
        "rejects": number_of_rejects,
    }
