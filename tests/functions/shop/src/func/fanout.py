"""Sends the rows of files that arrive in S3 to `part`, some in each message."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from context import CustomContext
from lib import events, rows
from settings import Setting, number_between

NEEDS = ("columns",)
SETTINGS = [
    Setting(
        "rows_per_message", number_between(1, 1000), 4, "rows in each message to part"
    ),
]


def run(event: str, context: CustomContext) -> list[dict[str, Any]]:
    """Send the rows of all objects that the event names.

    Args:
        event: body of a message, see `lib.events.objects`.
        context: settings, clients, and the time left.

    Returns:
        A report for each object: `{"object": "s3://raw/incoming/clicks.csv",
        "messages": 3}`.
    """
    return [fan_out(each, context) for each in events.objects(event)]


def fan_out(s3_object: events.S3Object, context: CustomContext) -> dict[str, Any]:
    """Send the rows of an object, and return the report."""
    s3_object = events.pin_version(s3_object, context.s3)
    found = read_rows(s3_object, context)
    size = context.var.rows_per_message
    name = f"{s3_object.key} {s3_object.version or s3_object.etag}"
    parts = iter(lambda: list(islice(found, size)), [])
    bodies = [
        {"key": f"{name} {number}", "rows": part} for number, part in enumerate(parts)
    ]
    return {"object": str(s3_object), "messages": context.send("part", bodies)}


def read_rows(
    s3_object: events.S3Object, context: CustomContext
) -> Iterator[list[str | None]]:
    """Yield the good rows of an object."""
    body = context.s3.get_object(**s3_object.request)["Body"]
    for chunk in rows.read_chunks(body, rows.Format.from_settings(context.var)):
        context.require_time()
        yield from map(rows.parse_row, chunk.text.splitlines(keepends=True))
