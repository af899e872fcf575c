"""Test double of `lib.rds`: a database in memory."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from lib.events import S3Object
from lib.loads import Load, RefusedRows
from lib.rows import Chunk, Reject, parse_row

Row = list[str | None]


class MockRds:
    """Both the module and its client.

    A row whose first field is `refused` is refused.
    """

    def __init__(self) -> None:
        self.tables: dict[str, list[Row]] = {}
        self.rejects: list[Reject] = []
        self.ledger: dict[tuple[str, str], dict[str, Any]] = {}
        self.is_closed = False

    def Rds(self, var: Any, credentials: Any) -> "MockRds":  # noqa: N802 - a class's
        """Return the client."""
        self.credentials = credentials
        return self

    @contextmanager
    def load(
        self, s3_object: S3Object, table: str, columns: Sequence[str], function: str
    ) -> Iterator[Load]:
        """Open a transaction for rows, rejects and ledger entry: all or nothing."""
        store = MockStore(self, table)
        load = Load(store, s3_object, function, max_reject_share=0.5)
        yield load
        load.finish()
        self.commit(store)

    def commit(self, store: "MockStore") -> None:
        """Keep the rows, rejects and ledger entry of a transaction."""
        self.ledger |= store.entry
        self.tables.setdefault(store.table, []).extend(store.rows)
        self.rejects.extend(store.rejects)

    def retry(self, action: Callable[..., Any], *args: Any) -> Any:
        """Call `action` once."""
        return action(*args)

    def close(self) -> None:
        """Note that it was closed."""
        self.is_closed = True


class MockStore:
    """One transaction, see `lib.loads.Store`."""

    chunks_per_batch = 4

    def __init__(self, rds: MockRds, table: str) -> None:
        self._rds = rds
        self.table = table
        self.rows: list[Row] = []
        self._sent: list[Row] = []
        self.rejects: list[Reject] = []
        self.entry: dict[tuple[str, str], dict[str, Any]] = {}

    def claim(self, s3_object: S3Object, function: str) -> int | None:
        """See `lib.loads.Store`."""
        key = (s3_object.id, self.table)
        if key in self._rds.ledger:
            return None
        self.entry[key] = {"function": function}
        return len(self._rds.ledger) + 1

    def describe(self, number: int, size: int, modified: datetime) -> None:
        """See `lib.loads.Store`."""

    def supersede(self, number: int) -> bool:
        """See `lib.loads.Store`."""
        return True

    def send(self, number: int, chunk: Chunk) -> None:
        """See `lib.loads.Store`."""
        self._sent += map(parse_row, chunk.text.splitlines(keepends=True))

    def flush(self) -> RefusedRows | None:
        """See `lib.loads.Store`. It does not report which rows are refused."""
        sent, self._sent = self._sent, []
        if any(row[0] == "refused" for row in sent):
            return RefusedRows({}, is_complete=False, reason="out of range")
        self.rows += sent
        return None

    def reject(self, number: int, rejects: list[Reject]) -> None:
        """See `lib.loads.Store`."""
        self.rejects += rejects

    def record(self, number: int, loaded: int, rejected: int) -> None:
        """See `lib.loads.Store`."""


class BrokenRds(MockRds):
    """A database that fails at each commit."""

    def commit(self, store: MockStore) -> None:
        """Fail."""
        raise ConnectionError("server closed the connection unexpectedly")
