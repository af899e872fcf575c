"""Loads the rows of files that have landed in S3 into a table."""

from typing import Any

from context import CustomContext
from lib import events, rows


def run(event: str, context: CustomContext) -> list[dict[str, Any]]:
    """Load every object that `event` names, each in a transaction of its own.

    The same state of an object is loaded once, however often it is named. A line
    that is no row is set aside with its reason; the others are loaded.

    Args:
        event: body of a message, see `lib.events`.
        context: gives the settings, S3 and the database.

    Returns:
        A report on each object: its name, whether it was loaded now or before, and
        the numbers of rows loaded and rejected.
    """
    var = context.var
    reports = []
    for found in events.objects(event):
        with context.rds.load(
            found, var.table, var.columns, var.insert_statement
        ) as load:
            if load.is_new:
                body = context.s3.get_object(**found.request)["Body"]
                for batch in rows.batches(
                    body, len(var.columns), var.delimiter, var.newline
                ):
                    load.add(batch)
        reports.append(load.report)
    return reports
