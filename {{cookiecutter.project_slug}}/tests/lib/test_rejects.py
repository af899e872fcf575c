"""Rejects: the search for rows that the database refuses, and the summary."""

from collections.abc import Sequence

import pytest

from lib.rejects import (
    MAX_CONDITIONS,
    MAX_LISTED,
    Refusal,
    Reject,
    RejectSummary,
    insert_acceptable,
)
from tests.tables import for_each

ROWS = [b"%d\n" % number for number in range(1000)]
REFUSAL = Refusal("bad value 7", "BadValue")


class Table:
    """A table that refuses batches with bad rows, and does not say which they are."""

    def __init__(self, bad: set[int]) -> None:
        self.bad = bad
        self.rows: list[bytes] = []
        self.attempts = self.sent = 0

    def insert(self, rows: Sequence[bytes]) -> Refusal | None:
        """Insert a batch of rows."""
        self.attempts += 1
        self.sent += len(rows)
        if any(int(row) in self.bad for row in rows):
            return REFUSAL
        self.rows += rows
        return None


def no_check() -> None:
    """Allow each attempt."""


@for_each("bad", [{0, 1, 500, 999}, {7}, {999}, set()])
def test_few_bad_rows_need_few_attempts(bad: set[int]) -> None:
    table = Table(bad)
    found = insert_acceptable(table.insert, ROWS, 1000, no_check)
    assert found == dict.fromkeys(sorted(bad), REFUSAL)
    assert table.rows == [row for row in ROWS if int(row) not in bad]
    assert table.attempts <= 1 + 25 * len(bad)
    assert table.sent <= 6 * len(ROWS)


@for_each("step", [1, 2, 3, 10])
def test_many_bad_rows_cost_linear_time(step: int) -> None:
    table = Table(set(range(0, 1000, step)))
    assert len(insert_acceptable(table.insert, ROWS, 1000, no_check)) == len(table.bad)
    assert table.sent <= 8 * len(ROWS)


def test_search_stops_above_limit() -> None:
    table = Table(set(range(1000)))
    assert len(insert_acceptable(table.insert, ROWS, 10, no_check)) == 11
    assert table.attempts < 30


def test_search_ends_when_check_raises() -> None:
    def raise_timeout() -> None:
        raise TimeoutError

    table = Table({7})
    with pytest.raises(TimeoutError):
        insert_acceptable(table.insert, ROWS, 1000, raise_timeout)
    assert not table.attempts


def test_summary_has_counts_and_first_lines() -> None:
    summary = RejectSummary()
    summary.add([Reject(3, "anna", "fields: 1 instead of 5")] * 2)
    summary.add([Reject(9, "bert", "bad value 'bert'", "BadValue (22P02) at id")])
    assert summary.number == 3
    assert str(summary) == (
        "2 x fields: 1 instead of 5; 1 x BadValue (22P02) at id; the first are "
        "line 3: fields: 1 instead of 5; line 3: fields: 1 instead of 5; "
        "line 9: BadValue (22P02) at id"
    )


def test_summary_is_short() -> None:
    summary = RejectSummary()
    summary.add(Reject(each, "", "", f"reason {each}") for each in range(10_000))
    assert str(summary).count(" x ") == MAX_CONDITIONS + 1
    assert str(summary).count("line ") == MAX_LISTED
