"""Loads: rows that the database refuses."""

import pytest

from lib.loads import RefusedRows, insert_acceptable

ROWS = [b"%d\n" % number for number in range(1000)]


class Table:
    """A table that refuses batches with bad rows.

    It reports `all` bad rows of a batch, the `first` one, or `none`.
    """

    def __init__(self, bad: set[int], reports: str) -> None:
        self.bad = bad
        self.reports = reports
        self.rows: list[bytes] = []
        self.attempts = self.sent = 0

    def insert(self, rows: list[bytes]) -> RefusedRows | None:
        """Insert a batch of rows."""
        self.attempts += 1
        self.sent += len(rows)
        reasons = {
            index: "bad" for index, row in enumerate(rows) if int(row) in self.bad
        }
        if not reasons:
            self.rows += rows
            return None
        first = dict([next(iter(reasons.items()))])
        reported = {"all": reasons, "first": first, "none": {}}[self.reports]
        is_complete = self.reports == "all"
        return RefusedRows(reported, is_complete, reason="bad")


@pytest.mark.parametrize(
    ("reports", "attempts"), [("all", 2), ("first", 4 * 2 * 10), ("none", 4 * 2 * 10)]
)
@pytest.mark.parametrize("bad", [{0, 1, 500, 999}, {7}, set()], ids=len)
def test_bad_rows_are_found_in_few_attempts(
    reports: str, attempts: int, bad: set[int]
) -> None:
    table = Table(bad, reports)
    assert insert_acceptable(table.insert, ROWS) == dict.fromkeys(bad, "bad")
    assert sorted(table.rows, key=int) == [row for row in ROWS if int(row) not in bad]
    assert table.attempts <= attempts
    assert table.sent <= len(ROWS) * 11


def test_only_bad_rows_insert_nothing() -> None:
    table = Table(set(range(8)), "none")
    assert len(insert_acceptable(table.insert, ROWS[:8])) == 8
    assert not table.rows
