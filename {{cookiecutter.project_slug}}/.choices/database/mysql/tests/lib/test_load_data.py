"""LOAD DATA from memory: the statement reads a pipe, which ends with the rows."""

import os
from contextlib import suppress
from typing import Any

import pytest

from lib.load_data import LoadData
from tests.tables import for_each

MORE_THAN_A_PIPE = b"1\n" * 500_000


class Cursor:
    """A cursor that reads all rows, or fails before."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.statement = ""
        self.text = b""
        self._failure = failure

    def execute(self, statement: str) -> None:
        """Read what the statement names."""
        self.statement = statement
        if self._failure:
            raise self._failure
        with open(self.path, "rb") as file:
            self.text = file.read()

    @property
    def path(self) -> str:
        """The path in the statement."""
        return self.statement.split("'")[1]


def load(cursor: Any, *texts: bytes) -> None:
    """Load rows into a table."""
    load_data = LoadData(cursor, "INTO TABLE `clicks` (`a`)")
    for text in texts:
        load_data.write(text)
    load_data.finish()


def test_statement_reads_what_is_written() -> None:
    cursor = Cursor()
    load(cursor, MORE_THAN_A_PIPE, b"2\n")
    assert cursor.text == MORE_THAN_A_PIPE + b"2\n"
    assert cursor.statement == (
        f"LOAD DATA LOCAL INFILE '{cursor.path}' INTO TABLE `clicks` (`a`)"
    )


def test_failure_is_raised_at_the_end() -> None:
    with pytest.raises(ZeroDivisionError):
        load(Cursor(ZeroDivisionError()), MORE_THAN_A_PIPE, MORE_THAN_A_PIPE)


def test_error_behind_the_drivers_bug_is_raised() -> None:
    bug = AttributeError("'NoneType' object has no attribute 'settimeout'")
    bug.__context__ = ConnectionResetError()
    with pytest.raises(ConnectionResetError):
        load(Cursor(bug))
    with pytest.raises(AttributeError):
        load(Cursor(AttributeError()))


@for_each("failure", [None, ZeroDivisionError()])
def test_pipe_is_closed(failure: Exception | None) -> None:
    before = set(os.listdir("/dev/fd"))
    with suppress(ZeroDivisionError):
        load(Cursor(failure), b"1\n")
    assert set(os.listdir("/dev/fd")) == before
