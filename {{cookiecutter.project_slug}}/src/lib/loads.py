"""Loads one object into a table: the rules that hold for every database.

Rows, rejects and an entry in the ledger (the table `loads`) are written in one
transaction. The ledger has at most one entry for each version of an object and table,
so a repeated message, even a concurrent one, changes nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from io import BytesIO
from typing import Any, NamedTuple, Protocol

from errors import BadInputError
from lib.blocks import BLOCK_SIZE, LINE_LIMIT, CountedStream, Stream
from lib.chunks import Chunk
from lib.events import S3Object, is_current
from lib.python_rows import make_chunks
from lib.records import LOOKAHEAD
from lib.rejects import Refusal, Reject, RejectSummary

# Bytes that may have been read of an object before they are lines of a chunk.
READ_AHEAD = BLOCK_SIZE + LINE_LIMIT + LOOKAHEAD
SHORTEST_ROW = 2  # bytes; empty lines are no rows


# Lines that may follow in a load without a file, whose number is unknown.
UNKNOWN_LINES = 10**12
MAX_KEY = 1024  # characters


class TooManyRejectsError(BadInputError):
    """A file has so many bad lines that none of it is loaded."""


class Claim(NamedTuple):
    """The number of an object's entry in the ledger, and whether the entry is new."""

    number: int
    is_new: bool


class OtherVersion(NamedTuple):
    """An entry in the ledger for another version of an object.

    `age` is negative if the version was modified before this one, zero if in the same
    second, and positive if after it.
    """

    number: int
    age: int


class Store(Protocol):
    """One transaction of a database, for `Load`.

    `chunks_per_batch` is the number of chunks to send before each `flush`: every flush
    costs round trips. `ignored` is the number of rows that were accepted and are not in
    the table: a trigger or an own statement has left them out, or a row with the same
    key is kept. `updated` is the number of rows that have replaced one in the table.
    """

    chunks_per_batch: int
    ignored: int
    updated: int

    def claim(self, s3_object: S3Object, function: str) -> Claim:
        """Enter an object into the ledger, unless it is there.

        Waits for other transactions that are loading the same object.
        """

    def lock(self, number: int) -> None:
        """Wait for other transactions that replace a version of the object."""

    def describe(self, number: int, size: int, modified: datetime) -> None:
        """Enter the object's size in bytes and its modification time."""

    def other_versions(self, number: int) -> list[OtherVersion]:
        """Return the ledger's entries for other versions of the object."""

    def delete_rows(self, numbers: list[int], check: Callable[[], None]) -> None:
        """Delete the rows of loads, in pieces. Call `check` before each of them."""

    def delete_rejects(self, number: int) -> None:
        """Delete the rejects of a load."""

    def check(self, chunk: Chunk) -> Chunk:
        """Return a chunk with values that the database will store as they are.

        Others are converted, or their rows are rejects of the chunk, see `lib.values`.
        """

    def send(self, number: int, chunk: Chunk) -> None:
        """Send rows to the database. Nothing else may be called before `flush`.

        All chunks of a batch must have `csv`, or none of them.
        """

    def flush(self) -> bool:
        """Finish the batch. It is inserted as a whole, or (False) not at all."""

    def insert_acceptable(
        self, number: int, chunk: Chunk, limit: int, check: Callable[[], None]
    ) -> dict[int, Refusal]:
        """Insert a chunk's rows, except those that the database refuses.

        Args:
            number: number of the load.
            chunk: the rows.
            limit: stop once more rows than this are refused.
            check: is called before each attempt, and may raise.

        Returns:
            The refused rows, by their index.
        """

    def reject(self, number: int, rejects: list[Reject]) -> None:
        """Write rejects to the table `rejects`."""

    def record(self, number: int, loaded: int, rejected: int) -> None:
        """Enter the numbers of rows loaded and of lines rejected."""


class KeyedRows(S3Object):
    """Rows that are in no object. The ledger has their key without a bucket."""

    def __str__(self) -> str:
        return self.key


def choose_source(s3_object: S3Object | None, key: str) -> S3Object:
    """Return what a load is of, given one of an object and a key.

    Raises:
        ValueError: both are given, or none, or the key is too long.
    """
    if (s3_object is None) == (not key):
        raise ValueError("a load is either of an object or of a key: pass one of them")
    if s3_object is not None:
        return s3_object
    if len(key) > MAX_KEY:
        raise ValueError(f"the key has {len(key)} characters: use up to {MAX_KEY}")
    return KeyedRows("", key)


class Load:
    """The load of one object: `open` it, `add` its chunks, then `finish`.

    Rows that are in no object are added by `add_rows`.

    Args:
        store: the transaction.
        s3_object: the object, with its version or ETag, or the key of rows.
        function: name of the function, for the ledger.
        replaces: delete the rows of the object's earlier versions.
        max_reject_share: share of rejects, from 0 to 1, above which the load fails.
        check: is called before each step, and may raise.
        columns: columns of the table, for `add_rows`.
        shortest_row: bytes that a row of the file has at least.

    Attributes:
        is_new: whether nothing was loaded before for this object or key.
    """

    def __init__(
        self,
        store: Store,
        s3_object: S3Object,
        function: str,
        replaces: bool = False,
        max_reject_share: float = 1,
        check: Callable[[], None] = lambda: None,
        columns: Sequence[str] = (),
        shortest_row: int = SHORTEST_ROW,
    ) -> None:
        self._store = store
        self._object = s3_object
        self._replaces = replaces
        self._max_reject_share = max_reject_share
        self._check = check
        self._shortest_row = max(SHORTEST_ROW, shortest_row)
        self._body = CountedStream(BytesIO(), 0)
        self._loaded = self._lines = 0
        self._rejects = RejectSummary()
        self._batch: list[Chunk] = []
        self._columns = columns
        self._number, self.is_new = store.claim(s3_object, function)
        self._outcome = "loaded" if self.is_new else "loaded before"

    def open(self, s3: Any) -> Stream:
        """Return the object's body: empty if there is nothing to load.

        There is nothing to load if this version was loaded before, unless the message
        asks for it again, or if a newer one was loaded and replaces it.

        Args:
            s3: client for S3.

        Raises:
            ClientError: this version of the object is gone (an error of botocore).
        """
        reloads = self._object.reload
        may_have_returned = self._replaces and not self._object.version
        if not (self.is_new or reloads or may_have_returned):
            return self._body
        if self._replaces or reloads:
            self._store.lock(self._number)
        if not self.is_new:
            if not (reloads or self._has_returned(s3)):
                return self._body
            self._start_again()
        response = s3.get_object(**self._object.request)
        size, modified = response["ContentLength"], response["LastModified"]
        self._store.describe(self._number, size, modified)
        if self._replaces and not self._supersede(s3):
            self._outcome = "superseded"
            return self._body
        self._body = CountedStream(response["Body"], size)
        return self._body

    def add(self, chunk: Chunk) -> None:
        """Insert a chunk's rows. Write its rejects, and the rows refused, as rejects.

        The database inserts a batch while the next chunk is being read.

        Raises:
            TooManyRejectsError: more lines are bad than `max_reject_share` can allow,
                whatever follows.
        """
        self._check()
        chunk = self._store.check(chunk)
        is_mixed = bool(self._batch) and bool(self._batch[0].csv) != bool(chunk.csv)
        if is_mixed or len(self._batch) == self._store.chunks_per_batch:
            self._flush(self._lines + self._count_unread_lines())
        self._batch.append(chunk)
        self._lines += len(chunk.origins) + len(chunk.rejects)
        if chunk.origins:
            self._store.send(self._number, chunk)

    def add_rows(self, rows: Iterable[Sequence[Any]]) -> None:
        """Insert rows of Python values; do nothing if the key was loaded before.

        None becomes NULL. Texts, numbers, booleans, UUIDs, dates and times become what
        the database reads as such; times with a time zone are converted to UTC.

        Raises:
            ValueError: a row has another number of values than there are columns.
            TypeError: a value is of another type.
            TooManyRejectsError: the share of rejects exceeds `max_reject_share`.
        """
        if not self.is_new:
            return
        for chunk in make_chunks(rows, self._columns, self._lines + 1):
            self.add(chunk)

    def finish(self) -> None:
        """Insert the last rows, and enter the numbers of rows into the ledger.

        Raises:
            TooManyRejectsError: the share of rejects exceeds `max_reject_share`.
        """
        if self._outcome == "loaded before":
            return
        self._flush(self._lines)
        loaded = self._loaded - self._store.ignored
        self._store.record(self._number, loaded, self._rejects.number)

    @property
    def report(self) -> dict[str, Any]:
        """The outcome: `loaded`, `loaded before` or `superseded`, and the numbers.

        Rows that were `updated` are among those loaded. The report has their number,
        and that of rows `ignored`, only if there are such rows.
        """
        ignored = self._store.ignored
        counts = {"updated": self._store.updated, "ignored": ignored}
        report = {
            "key" if self._is_keyed else "object": str(self._object),
            "outcome": self._outcome,
            "loaded": self._loaded - ignored,
            "rejected": self._rejects.number,
        }
        return report | {name: count for name, count in counts.items() if count}

    @property
    def _is_keyed(self) -> bool:
        return isinstance(self._object, KeyedRows)

    def _has_returned(self, s3: Any) -> bool:
        """Return whether an object has again the state that was loaded before.

        Without versions, an object may change from one state to another and back.
        """
        others = self._store.other_versions(self._number)
        was_replaced = any(other.age >= 0 for other in others)
        return was_replaced and is_current(self._object, s3)

    def _start_again(self) -> None:
        self._store.delete_rows([self._number], self._check)
        self._store.delete_rejects(self._number)
        self._outcome = "loaded"

    def _supersede(self, s3: Any) -> bool:
        """Delete the rows of other versions; return False if one of them is newer.

        S3 has just returned an object without a version: so this is its current state.
        It counts times in seconds: within one of them, S3 knows which is the latest.
        """
        others = self._store.other_versions(self._number)
        latest = max((other.age for other in others), default=-1)
        if self._object.version and (
            latest > 0 or (latest == 0 and not is_current(self._object, s3))
        ):
            return False
        self._store.delete_rows([other.number for other in others], self._check)
        return True

    def _flush(self, most_lines: int) -> None:
        """Insert the batch, except bad lines.

        Args:
            most_lines: the number of lines that the file may have at most.
        """
        batch, self._batch = self._batch, []
        is_inserted = self._store.flush()
        rejects = [reject for chunk in batch for reject in chunk.rejects]
        self._rejects.add(rejects)
        for chunk in batch:
            self._require_share(most_lines)
            self._loaded += len(chunk.origins)
            if not is_inserted:
                rejects += self._insert_acceptable(chunk, most_lines)
        self._require_share(most_lines)
        if rejects:
            self._store.reject(self._number, rejects)

    def _insert_acceptable(self, chunk: Chunk, most_lines: int) -> list[Reject]:
        limit = int(self._max_reject_share * most_lines) - self._rejects.number + 1
        refused = self._store.insert_acceptable(self._number, chunk, limit, self._check)
        rejects = [chunk.reject(index, refused[index]) for index in refused]
        self._rejects.add(rejects)
        self._loaded -= len(rejects)
        return rejects

    def _require_share(self, most_lines: int) -> None:
        if self._rejects.number / max(1, most_lines) > self._max_reject_share:
            raise TooManyRejectsError(
                f"{self._rejects.number} of {self._lines} lines are bad, more than the "
                f"share {self._max_reject_share:g} that max_reject_share allows: "
                f"{self._rejects}"
            )

    def _count_unread_lines(self) -> int:
        """Return how many more lines there may be at most."""
        if self._is_keyed:
            return UNKNOWN_LINES
        return (self._body.unread + READ_AHEAD) // self._shortest_row
