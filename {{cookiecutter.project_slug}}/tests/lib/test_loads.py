"""The policy of a load: what becomes of rows that the database refuses."""

import pytest

from lib.loads import Refusal, insert

ROWS = [b"%d\n" % number for number in range(1000)]


class Table:
    """Takes rows unless some are bad; tells as much of these as `tells` says."""

    def __init__(self, bad: set[int], tells: str) -> None:
        self.bad = bad
        self.tells = tells
        self.rows: list[bytes] = []
        self.attempts = self.sent = 0

    def insert(self, rows: list[bytes]) -> Refusal | None:
        """Take rows."""
        self.attempts += 1
        self.sent += len(rows)
        reasons = {
            place: "bad" for place, row in enumerate(rows) if int(row) in self.bad
        }
        if not reasons:
            self.rows += rows
            return None
        first = dict([next(iter(reasons.items()))])
        told = {"all": reasons, "first": first, "nothing": {}}[self.tells]
        return Refusal(told, is_all=self.tells == "all", reason="bad")


@pytest.mark.parametrize(
    ("tells", "attempts"), [("all", 2), ("first", 4 * 2 * 10), ("nothing", 4 * 2 * 10)]
)
@pytest.mark.parametrize("bad", [{0, 1, 500, 999}, {7}, set()], ids=len)
def test_only_the_bad_rows_are_left_out_at_a_bounded_cost(
    tells: str, attempts: int, bad: set[int]
) -> None:
    table = Table(bad, tells)
    assert insert(table.insert, ROWS) == dict.fromkeys(bad, "bad")
    assert sorted(table.rows, key=int) == [row for row in ROWS if int(row) not in bad]
    assert table.attempts <= attempts
    assert table.sent <= len(ROWS) * 11


def test_nothing_but_bad_rows_leaves_nothing() -> None:
    table = Table(set(range(8)), "nothing")
    assert len(insert(table.insert, ROWS[:8])) == 8
    assert not table.rows
