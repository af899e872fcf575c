"""Loads one object into a table: the rules that hold for every database.

Rows, rejects and an entry in the ledger (the table `loads`) are written in one
transaction. The ledger has at most one entry for each version of an object and table,
so a repeated message, even a concurrent one, changes nothing.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from io import BytesIO
from typing import Any, NamedTuple, Protocol

from errors import UnreachableError
from lib.blocks import Stream
from lib.events import S3Object
from lib.rows import Chunk, Reject


class DatabaseUnreachableError(UnreachableError):
    """The database cannot be reached. A later attempt may succeed."""

    def __str__(self) -> str:
        return f"the database cannot be reached: {super().__str__()}"


class TooManyRejectsError(ValueError):
    """A file has so many bad lines that none of it is loaded."""


class RefusedRows(NamedTuple):
    """Rows of a batch that the database refused.

    `reasons` has the reason of each row that the database reports, by the row's index
    in the batch. `is_complete` says that it reports all refused rows and not only the
    first one. `reason` applies to the batch as a whole.
    """

    reasons: dict[int, str]
    is_complete: bool
    reason: str


class Store(Protocol):
    """One transaction of a database, for `Load`.

    `chunks_per_batch` is the number of chunks to send before each `flush`: every flush
    costs round trips.
    """

    chunks_per_batch: int

    def claim(self, s3_object: S3Object, function: str) -> int | None:
        """Enter an object into the ledger; return its number, or None if it is there.

        Waits for other transactions that are loading the same object.
        """

    def describe(self, number: int, size: int, modified: datetime) -> None:
        """Enter the object's size in bytes and its modification time."""

    def supersede(self, number: int) -> bool:
        """Delete the rows of other versions; return False if one of them is newer.

        Waits for other transactions that are loading a version of the object.
        """

    def send(self, number: int, chunk: Chunk) -> None:
        """Send rows to the database. Nothing else may be called before `flush`.

        All chunks of a batch must have `csv`, or none of them.
        """

    def flush(self) -> RefusedRows | None:
        """Finish the batch. It is inserted as a whole (None), or not at all."""

    def reject(self, number: int, rejects: list[Reject]) -> None:
        """Write rejects to the table `rejects`."""

    def record(self, number: int, loaded: int, rejected: int) -> None:
        """Enter the numbers of rows loaded and of lines rejected."""


class Load:
    """The load of one object: `open` it, `add` its chunks, then `finish`.

    Args:
        store: the transaction.
        s3_object: the object, with its version or ETag.
        function: name of the function, for the ledger.
        replaces: delete the rows of the object's earlier versions.
        max_reject_share: share of rejects, from 0 to 1, above which the load fails.
    """

    def __init__(
        self,
        store: Store,
        s3_object: S3Object,
        function: str,
        replaces: bool = False,
        max_reject_share: float = 1,
    ) -> None:
        self._store = store
        self._object = s3_object
        self._replaces = replaces
        self._max_reject_share = max_reject_share
        self._loaded = self._rejected = 0
        self._batch: list[Chunk] = []
        number = store.claim(s3_object, function)
        self._is_new = number is not None
        self._number = number or 0
        self._outcome = "loaded" if self._is_new else "loaded before"

    def open(self, s3: Any) -> Stream:
        """Return the object's body: empty if there is nothing to load.

        There is nothing to load if this version was loaded before, or if a newer one
        was loaded and replaces it.

        Args:
            s3: client for S3.

        Raises:
            ClientError: this version of the object is gone (an error of botocore).
        """
        if not self._is_new:
            return BytesIO()
        response = s3.get_object(**self._object.request)
        size, modified = response["ContentLength"], response["LastModified"]
        self._store.describe(self._number, size, modified)
        if self._replaces and not self._store.supersede(self._number):
            self._outcome = "superseded"
            return BytesIO()
        body: Stream = response["Body"]
        return body

    def add(self, chunk: Chunk) -> None:
        """Insert a chunk's rows. Write its rejects, and the rows refused, as rejects.

        The database inserts a batch while the next chunk is being read.
        """
        is_mixed = bool(self._batch) and bool(self._batch[0].csv) != bool(chunk.csv)
        if is_mixed or len(self._batch) == self._store.chunks_per_batch:
            self._flush()
        self._batch.append(chunk)
        if chunk.origins:
            self._store.send(self._number, chunk)

    def finish(self) -> None:
        """Insert the last rows, and enter the numbers of rows into the ledger.

        Raises:
            TooManyRejectsError: the share of rejects exceeds `max_reject_share`.
        """
        if not self._is_new:
            return
        self._flush()
        lines = self._loaded + self._rejected
        if self._rejected / max(1, lines) > self._max_reject_share:
            raise TooManyRejectsError(
                f"{self._rejected} of {lines} lines are bad, more than the share "
                f"{self._max_reject_share:g} that max_reject_share allows"
            )
        self._store.record(self._number, self._loaded, self._rejected)

    @property
    def report(self) -> dict[str, Any]:
        """The outcome: `loaded`, `loaded before` or `superseded`, and the numbers."""
        return {
            "object": str(self._object),
            "outcome": self._outcome,
            "loaded": self._loaded,
            "rejected": self._rejected,
        }

    def _flush(self) -> None:
        batch, self._batch = self._batch, []
        is_refused = self._store.flush() is not None
        rejects = [reject for chunk in batch for reject in chunk.rejects]
        for chunk in batch:
            self._loaded += len(chunk.origins)
            if is_refused:
                refused = self._insert_acceptable_rows(chunk)
                self._loaded -= len(refused)
                rejects += refused
        if rejects:
            self._store.reject(self._number, rejects)
            self._rejected += len(rejects)

    def _insert_acceptable_rows(self, chunk: Chunk) -> list[Reject]:
        refused = insert_acceptable(
            self._try_insert, chunk.text.splitlines(keepends=True)
        )
        return [chunk.reject(index, reason) for index, reason in refused.items()]

    def _try_insert(self, rows: list[bytes]) -> RefusedRows | None:
        self._store.send(self._number, Chunk(b"".join(rows)))
        return self._store.flush()


def insert_acceptable(
    try_insert: Callable[[list[bytes]], RefusedRows | None], rows: list[bytes]
) -> dict[int, str]:
    """Insert all rows that the database accepts.

    Rows that the database reports are left out of the next attempt. If it reports
    none, the batch is halved until the bad rows are found.

    Args:
        try_insert: inserts a batch of rows, or returns which of them are refused.
        rows: the rows.

    Returns:
        The reasons of the refused rows, by their index in `rows`.
    """
    refused: dict[int, str] = {}
    pending: list[Sequence[int]] = [range(len(rows))]
    while pending:
        batch = pending.pop()
        refusal = try_insert([rows[index] for index in batch]) if batch else None
        if refusal is None:
            continue
        if refusal.reasons and refusal.is_complete:
            refused |= {batch[at]: reason for at, reason in refusal.reasons.items()}
            pending.append([index for index in batch if index not in refused])
        elif refusal.reasons:
            first = min(refusal.reasons)
            refused[batch[first]] = refusal.reasons[first]
            # the rows before it are fine, those behind it are unknown
            middle = (first + 1 + len(batch)) // 2
            pending += [batch[middle:], batch[first + 1 : middle], batch[:first]]
        elif len(batch) == 1:
            refused[batch[0]] = refusal.reason
        else:
            middle = len(batch) // 2
            pending += [batch[middle:], batch[:middle]]
    return refused
