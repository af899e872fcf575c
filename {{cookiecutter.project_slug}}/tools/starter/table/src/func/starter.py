"""Loads files that arrive in S3 into the table `starter_table`."""

from typing import Any

from context import CustomContext
from lib import events, rows
from lib.attempts import try_each
from lib.loads import Load

NEEDS = ("table", "columns")


def run(event: str, context: CustomContext) -> list[dict[str, Any]]:
    """Load all objects that the event names, each in its own transaction.

    Args:
        event: body of a message, see `lib.events.objects`.
        context: settings, clients, and the time left.

    Returns:
        A report for each object: `{"object": "s3://raw/starter/clicks.csv",
        "outcome": "loaded", "loaded": 10, "rejected": 0}`.
    """
    objects = events.objects(event)
    return try_each(lambda each: context.rds.retry(load_object, each, context), objects)


def load_object(s3_object: events.S3Object, context: CustomContext) -> dict[str, Any]:
    """Load an object that has not been loaded before, and return the report."""
    context.require_time()
    var = context.var
    s3_object = events.pin_version(s3_object, context.s3)
    load: Load
    with context.rds.load(
        s3_object, var.table, var.columns, __name__, context.require_time
    ) as load:
        body = load.open(context.s3)
        for chunk in rows.read_chunks(body, rows.Format.from_settings(var)):
            load.add(chunk)
    return load.report
