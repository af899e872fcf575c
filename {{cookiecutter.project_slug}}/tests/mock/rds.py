"""What stands for `lib.rds` in the unit tests: a table in memory."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from lib.events import S3Object
from lib.loads import Load, Refusal
from lib.rows import Chunk, Reject, fields

Row = list[str | None]


class MockRds:
    """A database in memory, and the module that makes it.

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
        self, found: S3Object, table: str, columns: Sequence[str], function: str
    ) -> Iterator[Load]:
        """Take rows and rejects of an object, all or nothing."""
        store = MockStore(self, table)
        load = Load(store, found, function, max_reject_share=0.5)
        yield load
        load.finish()
        self.commit(store)

    def commit(self, store: "MockStore") -> None:
        """Keep what a transaction has brought."""
        self.ledger |= store.entry
        self.tables.setdefault(store.table, []).extend(store.rows)
        self.rejects.extend(store.rejects)

    def retry(self, act: Callable[..., Any], *args: Any) -> Any:
        """Act once."""
        return act(*args)

    def close(self) -> None:
        """Note that it was closed."""
        self.is_closed = True


class MockStore:
    """One transaction on its way."""

    batch = 4

    def __init__(self, rds: MockRds, table: str) -> None:
        self._rds = rds
        self.table = table
        self.rows: list[Row] = []
        self._sent: list[Row] = []
        self.rejects: list[Reject] = []
        self.entry: dict[tuple[str, str], dict[str, Any]] = {}

    def claim(self, found: S3Object, function: str) -> int | None:
        """See `lib.loads.Store`."""
        name = (found.id, self.table)
        if name in self._rds.ledger:
            return None
        self.entry[name] = {"function": function}
        return len(self._rds.ledger) + 1

    def describe(self, number: int, size: int, modified: datetime) -> None:
        """See `lib.loads.Store`."""

    def supersede(self, number: int) -> bool:
        """See `lib.loads.Store`."""
        return True

    def send(self, number: int, chunk: Chunk) -> None:
        """See `lib.loads.Store`."""
        self._sent += map(fields, chunk.text.splitlines(keepends=True))

    def settle(self) -> Refusal | None:
        """See `lib.loads.Store`; it does not tell which row is refused."""
        sent, self._sent = self._sent, []
        if any(row[0] == "refused" for row in sent):
            return Refusal({}, is_all=False, reason="out of range")
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
