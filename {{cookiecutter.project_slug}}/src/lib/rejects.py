"""Rejects: lines that are no rows, and rows that the database refuses."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

MAX_LISTED = 5
MAX_CONDITIONS = 50


class Reject(NamedTuple):
    """A bad line: its number (from 1), the start of its text, and the reason.

    `condition` is the reason without values, for logs. It may be empty if the reason
    itself has none.
    """

    line: int
    text: str
    reason: str
    condition: str = ""


class Refusal(NamedTuple):
    """Why the database refuses a row.

    `reason` is its message, which may contain values. `condition` contains none.
    """

    reason: str
    condition: str


class RejectSummary:
    """The number of rejects, their number by condition, and the first of them."""

    def __init__(self) -> None:
        self.number = 0
        self._counts: Counter[str] = Counter()
        self._first: list[Reject] = []

    def add(self, rejects: Iterable[Reject]) -> None:
        """Count rejects."""
        for reject in rejects:
            self.number += 1
            condition = reject.condition or reject.reason
            is_listed = condition in self._counts or len(self._counts) < MAX_CONDITIONS
            self._counts[condition if is_listed else "other reasons"] += 1
            if len(self._first) < MAX_LISTED:
                self._first.append(reject)

    def __str__(self) -> str:
        """Return the counts and the first lines, without values."""
        counts = (f"{count} x {name}" for name, count in self._counts.most_common())
        lines = (
            f"line {reject.line}: {reject.condition or reject.reason}"
            for reject in self._first
        )
        return f"{'; '.join(counts)}; the first are {'; '.join(lines)}"


def insert_acceptable(
    try_insert: Callable[[Sequence[bytes]], Refusal | None],
    rows: Sequence[bytes],
    limit: int,
    check: Callable[[], None],
) -> dict[int, Refusal]:
    """Insert all rows that the database accepts, if it does not say which are bad.

    A batch that is refused is halved until the bad row is found. The next batches grow
    again. A bad row costs about two attempts for each power of two between it and the
    next one.

    Args:
        try_insert: inserts a batch as a whole (None), or nothing of it.
        rows: the rows.
        limit: stop once more rows than this are refused.
        check: is called before each attempt, and may raise.

    Returns:
        The refused rows, by their index in `rows`.
    """
    refused: dict[int, Refusal] = {}
    first, size = 0, len(rows)
    while first < len(rows) and len(refused) <= limit:
        check()
        batch = rows[first : first + size]
        refusal = try_insert(batch)
        if refusal is None:
            first += len(batch)
            size *= 2
        elif len(batch) > 1:
            size = len(batch) // 2
        else:
            refused[first] = refusal
            first += 1
    return refused
