"""One object on its way into a table: what holds whatever the database.

An object is loaded in one transaction with its entry in the ledger and its rejects. The
entry is unique for a state of the object and a table, so the same event again, at the
same time or later, changes nothing.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from lib.events import S3Object
from lib.rows import Chunk, Reject


class DatabaseAwayError(ConnectionError):
    """The database cannot be reached; a later attempt may succeed."""

    def __str__(self) -> str:
        return f"the database is away: {super().__str__()}"


class TooManyRejectsError(ValueError):
    """So much of a file is bad that none of it is loaded."""


class Refusal(NamedTuple):
    """Why a bulk statement was refused.

    `rows` has reasons by the row's place, from 0, as far as the database tells;
    `is_all` says that it tells of many at once, not of the first one only.
    """

    rows: dict[int, str]
    is_all: bool
    reason: str


class Store(Protocol):
    """What the policy of this module asks of a database, in one transaction.

    `batch` tells how many chunks are settled at once: each time costs round trips.
    """

    batch: int

    def claim(self, found: S3Object, function: str) -> int | None:
        """Enter an object into the ledger; return its number, or None if it is there.

        Waits for a transaction that has the same object in hand.
        """

    def describe(self, number: int, size: int, modified: datetime) -> None:
        """Note what S3 says of the object."""

    def supersede(self, number: int) -> bool:
        """Delete the rows of earlier states, unless there is a later one; tell which.

        Waits for a transaction that has another state of the object in hand.
        """

    def send(self, number: int, chunk: Chunk) -> None:
        """Send rows on their way; until they are settled, nothing else is done.

        All chunks until then have their rows in the same forms.
        """

    def settle(self) -> Refusal | None:
        """Wait for the rows that were sent: all of them are in, or none."""

    def reject(self, number: int, rejects: list[Reject]) -> None:
        """Set lines aside."""

    def record(self, number: int, loaded: int, rejected: int) -> None:
        """Note the numbers of rows."""


class Load:
    """One object on its way into a table.

    `is_new` tells whether there is anything to do.
    """

    def __init__(
        self,
        store: Store,
        found: S3Object,
        function: str,
        replaces: bool = False,
        max_reject_share: float = 1,
    ) -> None:
        self._store = store
        self._found = found
        self._replaces = replaces
        self._max_reject_share = max_reject_share
        self._loaded = self._rejected = 0
        self._batch: list[Chunk] = []
        self._outcome = "loaded"
        number = store.claim(found, function)
        self.is_new = number is not None
        self._number = number or 0
        if not self.is_new:
            self._outcome = "loaded before"

    def begin(self, answer: dict[str, Any]) -> bool:
        """Take note of S3's answer to `get_object`; tell whether to go on.

        There is no need to where a later state of the object has been loaded, and the
        setting `on_new_version` says that it replaces earlier ones.
        """
        size, modified = answer["ContentLength"], answer["LastModified"]
        self._store.describe(self._number, size, modified)
        if self._replaces and not self._store.supersede(self._number):
            self._outcome = "superseded"
            return False
        return True

    def add(self, chunk: Chunk) -> None:
        """Insert the rows of a chunk; set aside its rejects, and the rows refused."""
        # a bulk statement takes rows of one form
        is_other = bool(self._batch) and bool(self._batch[0].csv) != bool(chunk.csv)
        if is_other or len(self._batch) == self._store.batch:
            self._settle()  # they were on their way while this chunk was read
        self._batch.append(chunk)
        if chunk.origins:
            self._store.send(self._number, chunk)

    def finish(self) -> None:
        """Note the numbers of rows in the ledger.

        Raises:
            TooManyRejectsError: there are more than the setting allows.
        """
        if not self.is_new:
            return
        self._settle()
        share = self._rejected / max(1, self._loaded + self._rejected)
        if share > self._max_reject_share:
            raise TooManyRejectsError(
                f"{self._rejected} of {self._loaded + self._rejected} "
                f"lines are bad, more than the share {self._max_reject_share:g} that "
                "max_reject_share allows"
            )
        self._store.record(self._number, self._loaded, self._rejected)

    def _settle(self) -> None:
        batch, self._batch = self._batch, []
        is_refused = self._store.settle() is not None
        rejects = [each for chunk in batch for each in chunk.rejects]
        for chunk in batch:
            self._loaded += len(chunk.origins)
            if is_refused:
                refused = insert(self._insert, chunk.text.splitlines(keepends=True))
                self._loaded -= len(refused)
                rejects += [chunk.reject(*each) for each in refused.items()]
        if rejects:
            self._store.reject(self._number, rejects)
            self._rejected += len(rejects)

    def _insert(self, rows: list[bytes]) -> Refusal | None:
        self._store.send(self._number, Chunk(b"".join(rows)))
        return self._store.settle()

    @property
    def report(self) -> dict[str, Any]:
        """What became of the object."""
        return {
            "object": str(self._found),
            "outcome": self._outcome,
            "loaded": self._loaded,
            "rejected": self._rejected,
        }


def insert(
    attempt: Callable[[list[bytes]], Refusal | None], rows: list[bytes]
) -> dict[int, str]:
    """Insert rows but those that the database refuses; return these, with reasons.

    A refused row costs a few further attempts, of fewer rows each time: those that the
    database names are left out, others are found by halving.
    """
    refused: dict[int, str] = {}
    waiting: list[Sequence[int]] = [range(len(rows))]
    while waiting:
        places = waiting.pop()
        refusal = attempt([rows[place] for place in places]) if places else None
        if refusal is None:
            continue
        if refusal.rows and refusal.is_all:
            refused |= {places[each]: why for each, why in refusal.rows.items()}
            waiting.append([each for each in places if each not in refused])
        elif refusal.rows:
            first = min(refusal.rows)
            refused[places[first]] = refusal.rows[first]
            middle = (first + 1 + len(places)) // 2
            waiting += [places[middle:], places[first + 1 : middle], places[:first]]
        elif len(places) == 1:
            refused[places[0]] = refusal.reason
        else:
            middle = len(places) // 2
            waiting += [places[middle:], places[:middle]]
    return refused
