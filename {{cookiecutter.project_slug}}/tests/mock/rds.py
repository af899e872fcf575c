"""Test double of `lib.rds`: a database in memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from lib.chunks import Chunk, parse_row
from lib.columns import SKIPPED
from lib.events import S3Object
from lib.loads import Claim, Load, OtherVersion, choose_source
from lib.rejects import Refusal, Reject

Row = list[str | None]


class MockRds:
    """Both the module and its client.

    A row whose first field is `refused` is refused.

    Attributes:
        tables: the rows that were loaded into each table.
        columns: the columns that they have.
        rejects: the lines that were rejected.
        ledger: the loads, by ID of the object and table.
        statements: each statement of a transaction that was committed, with its values.
        results: rows that a statement returns, by a part of its text. The count of its
            rows is their number.
    """

    def __init__(self) -> None:
        self.tables: dict[str, list[Row]] = {}
        self.columns: dict[str, list[str]] = {}
        self.statements: list[tuple[str, Any]] = []
        self.results: dict[str, list[tuple[Any, ...]]] = {}
        self.rejects: list[Reject] = []
        self.ledger: dict[tuple[str, str], dict[str, Any]] = {}
        self.is_closed = False

    def Rds(self, var: Any, credentials: Any) -> "MockRds":  # noqa: N802 - a class's
        """Return the client."""
        self.credentials = credentials
        return self

    @contextmanager
    def load(
        self,
        s3_object: S3Object | None = None,
        table: str = "",
        columns: Sequence[str] = (),
        function: str = "",
        check: Callable[[], None] = lambda: None,
        key: str = "",
    ) -> Iterator[Load]:
        """Open a transaction for rows, rejects and ledger entry: all or nothing."""
        source = choose_source(s3_object, key)
        columns = [name for name in columns if name != SKIPPED]
        store = MockStore(self, table)
        load = Load(
            store, source, function, max_reject_share=0.5, check=check, columns=columns
        )
        yield load
        load.finish()
        self.commit(store)
        self.columns[table] = list(columns)

    def commit(self, store: "MockStore") -> None:
        """Keep the rows, rejects and ledger entry of a transaction."""
        self.ledger |= store.entry
        self.tables.setdefault(store.table, []).extend(store.rows)
        self.rejects.extend(store.rejects)

    @contextmanager
    def transaction(self) -> Iterator["MockCursor"]:
        """Yield a cursor. Its statements count once the transaction has ended."""
        cursor = MockCursor(self.results)
        yield cursor
        self.statements += cursor.statements

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return the rows that `results` has for a statement."""
        with self.transaction() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall()

    def check(self) -> None:
        """Respond."""

    def retry(self, action: Callable[..., Any], *args: Any) -> Any:
        """Call `action` once."""
        return action(*args)

    def close(self) -> None:
        """Note that it was closed."""
        self.is_closed = True


class MockCursor:
    """A cursor (PEP 249) that records statements, and knows the results of some."""

    def __init__(self, results: dict[str, list[tuple[Any, ...]]]) -> None:
        self._results = results
        self._rows: list[tuple[Any, ...]] = []
        self.statements: list[tuple[str, Any]] = []
        self.rowcount = 0

    def execute(self, statement: str, values: Any = None) -> int:
        """Record a statement; return the number of its rows."""
        self.statements.append((statement, values))
        found = [rows for part, rows in self._results.items() if part in statement]
        self._rows = list(found[0]) if found else []
        self.rowcount = len(self._rows)
        return self.rowcount

    def executemany(self, statement: str, values: Iterable[Any]) -> int:
        """Record a statement once for each of the values; return their number."""
        rows = list(values)
        self.statements += [(statement, row) for row in rows]
        self.rowcount = len(rows)
        return self.rowcount

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row, or None."""
        return self._rows.pop(0) if self._rows else None

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the other rows."""
        rows, self._rows = self._rows, []
        return rows


class MockStore:
    """One transaction, see `lib.loads.Store`."""

    chunks_per_batch = 4
    ignored = 0
    updated = 0

    def __init__(self, rds: MockRds, table: str) -> None:
        self._rds = rds
        self.table = table
        self.rows: list[Row] = []
        self._sent: list[Row] = []
        self.rejects: list[Reject] = []
        self.entry: dict[tuple[str, str], dict[str, Any]] = {}

    def claim(self, s3_object: S3Object, function: str) -> Claim:
        """See `lib.loads.Store`."""
        key = (s3_object.id, self.table)
        if key in self._rds.ledger:
            return Claim(0, is_new=False)
        self.entry[key] = {"function": function}
        return Claim(len(self._rds.ledger) + 1, is_new=True)

    def lock(self, number: int) -> None:
        """See `lib.loads.Store`."""

    def describe(self, number: int, size: int, modified: datetime) -> None:
        """See `lib.loads.Store`."""

    def other_versions(self, number: int) -> list[OtherVersion]:
        """See `lib.loads.Store`."""
        return []

    def delete_rows(self, numbers: list[int], check: Callable[[], None]) -> None:
        """See `lib.loads.Store`."""

    def delete_rejects(self, number: int) -> None:
        """See `lib.loads.Store`."""

    def check(self, chunk: Chunk) -> Chunk:
        """See `lib.loads.Store`."""
        return chunk

    def send(self, number: int, chunk: Chunk) -> None:
        """See `lib.loads.Store`."""
        self._sent += map(parse_row, chunk.text.splitlines(keepends=True))

    def flush(self) -> bool:
        """See `lib.loads.Store`."""
        sent, self._sent = self._sent, []
        is_refused = any(row[0] == "refused" for row in sent)
        if not is_refused:
            self.rows += sent
        return not is_refused

    def insert_acceptable(
        self, number: int, chunk: Chunk, limit: int, check: Callable[[], None]
    ) -> dict[int, Refusal]:
        """See `lib.loads.Store`."""
        self.send(number, chunk)
        sent, self._sent = self._sent, []
        self.rows += [row for row in sent if row[0] != "refused"]
        refusal = Refusal("out of range", "OutOfRange")
        return {at: refusal for at, row in enumerate(sent) if row[0] == "refused"}

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
