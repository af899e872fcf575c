"""What is left when a function has processed its messages, as texts that compare.

Everything that depends on the environment is left out: names that it adds, versions of
objects, and the columns that the database fills in itself.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from tools import parity_database

LEDGER = "loads"  # its rows name versions of objects, and are only counted
REJECTS = "rejects"
NOTHING = "-"
VERSION = "(version)"  # stands for all versions
REPORT_LENGTH = 60


Tables = dict[str, list[dict[str, str]]]


class EndState(NamedTuple):
    """The end state of a function in one environment.

    Attributes:
        outcomes: report of each message, or how it ended, by the name of its event.
        objects: new or changed objects by key.
        sent: messages by the function whose queue has them.
        tables: the rows of each table.
        messages: number of messages.
        failures: number of failed attempts.
        dead: number of dead letters.
    """

    outcomes: Mapping[str, str]
    objects: Mapping[str, bytes]
    sent: Mapping[str, list[str]]
    tables: Mapping[str, list[dict[str, str]]]
    messages: int
    failures: int
    dead: int

    def facts(self) -> dict[str, str]:
        """Return all of it by label, one line each."""
        return {
            **self.outcomes,
            **{
                f"object {key}": summarise([body]) for key, body in self.objects.items()
            },
            **{f"sent to {name}": summarise(each) for name, each in self.sent.items()},
            **{f"table {name}": summarise(each) for name, each in self.tables.items()},
            "messages deleted": str(self.messages - self.dead),
            "messages returned": str(self.failures - self.dead),
            "messages dead-lettered": str(self.dead),
        }


def summarise(items: Iterable[Any]) -> str:
    """Return the number of items and a checksum that does not depend on their order."""
    texts = sorted(
        each.hex() if isinstance(each, bytes) else json.dumps(each, sort_keys=True)
        for each in items
    )
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    return f"{len(texts)}, {digest[:12]}" if texts else "0"


class Neutral:
    """Replaces texts that differ in each environment, such as versions of objects.

    Args:
        replacements: new texts by old ones.
    """

    def __init__(self, replacements: Mapping[str, str]) -> None:
        self._replacements = replacements

    def text(self, text: str) -> str:
        """Return a text with all replacements."""
        for old, new in self._replacements.items():
            text = text.replace(old, new)
        return text

    def texts(self, texts: Iterable[str]) -> list[str]:
        """Return texts with all replacements."""
        return [self.text(each) for each in texts]

    def report(self, report: Any) -> str:
        """Return a report on one line, which ends with a checksum if it is long."""
        text = self.text(json.dumps(report, ensure_ascii=False, sort_keys=True))
        if len(text) <= REPORT_LENGTH:
            return text
        digest = hashlib.sha256(text.encode()).hexdigest()
        return f"{text[:REPORT_LENGTH]}… {digest[:12]}"

    def objects(self, objects: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return objects with all replacements in their keys and contents."""
        found = {}
        for key, body in objects.items():
            for old, new in self._replacements.items():
                body = body.replace(old.encode(), new.encode())
            found[self.text(key)] = body
        return found

    def tables(self, tables: Tables) -> Tables:
        """Return rows with all replacements in their values."""
        return {
            table: [{name: self.text(row[name]) for name in row} for row in rows]
            for table, rows in tables.items()
        }


def read_objects(bucket: str, s3: Any) -> dict[str, bytes]:
    """Return the current content of all objects in a bucket, by key."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
    return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def changed(
    before: Mapping[str, bytes], after: Mapping[str, bytes]
) -> dict[str, bytes]:
    """Return the objects that are new, or have another content."""
    return {key: body for key, body in after.items() if before.get(key) != body}


def read_tables(rds: Any, since: datetime, load_column: str | None) -> Tables:
    """Return the rows of all tables that have some, without their NULLs.

    Args:
        rds: client of the database.
        since: when the function began. A later time in a row is of the clock, which
            differs with each run.
        load_column: the column that has the number of the load.
    """
    names: dict[str, list[str]] = {}
    for table, column in rds.query(parity_database.COLUMNS):
        names.setdefault(table, []).append(column)
    rows = {
        table: list(_read_rows(rds, table, columns, since))
        for table, columns in names.items()
    }
    return keep_comparable(rows, load_column)


def keep_comparable(
    tables: Mapping[str, list[dict[str, Any]]], load_column: str | None
) -> Tables:
    """Return the rows without NULLs, numbers of loads, and the ledger's content."""
    return {
        table: [_keep_columns(table, row, load_column) for row in rows]
        for table, rows in tables.items()
        if rows
    }


def _keep_columns(
    table: str, row: dict[str, Any], load_column: str | None
) -> dict[str, str]:
    if table == LEDGER:
        return {}
    number = "number" if table == REJECTS else load_column
    return {
        name: str(value)
        for name, value in row.items()
        if value is not None and name != number
    }


def _read_rows(
    rds: Any, table: str, columns: list[str], since: datetime
) -> Iterator[dict[str, Any]]:
    for values in rds.query(f"SELECT {', '.join(columns)} FROM {table}"):
        yield {
            name: "now" if _is_later(value, since) else value
            for name, value in zip(columns, values, strict=True)
        }


def _is_later(value: Any, since: datetime) -> bool:
    """Return whether a value is a time after the start of the run, in UTC."""
    if not isinstance(value, datetime):
        return False
    return value.replace(tzinfo=value.tzinfo or since.tzinfo) >= since
