"""Test double of `lib.rds`: the real client of a database that is in memory."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from datetime import datetime
from typing import Any, ClassVar, NamedTuple, Self

from lib.chunks import Chunk, parse_row
from lib.database import Database
from lib.database_errors import RetryReason
from lib.events import S3Object
from lib.loads import Claim, OtherVersion
from lib.rejects import Refusal, Reject

Row = list[str | None]


class MockDriver:
    """The errors of a driver (PEP 249).

    An error's argument is the reason to retry a transaction, or None.
    """

    class Error(Exception):
        """An error of the database."""

    class OperationalError(Error):
        """The database cannot be reached."""


class Entry(NamedTuple):
    """An entry of the ledger."""

    number: int
    s3_object: S3Object
    modified: datetime | None = None
    loaded: int = 0
    rejected: int = 0


class State:
    """What a database holds. A transaction works on a copy of it."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[int, Row]]] = {}
        self.rejects: list[tuple[int, Reject]] = []
        self.ledger: dict[tuple[str, str], Entry] = {}
        self.statements: list[tuple[str, Any]] = []

    def copy(self) -> "State":
        """Return a copy."""
        state = State()
        state.rows = {table: list(rows) for table, rows in self.rows.items()}
        state.rejects = list(self.rejects)
        state.ledger = dict(self.ledger)
        state.statements = list(self.statements)
        return state


class MockRds(Database):
    """Both the module and its client. Loads, retries and errors are the real client's.

    A row whose first field is `refused` is refused, as is one whose values of `keys`
    another row of the table has.

    Attributes:
        columns: the columns of each table that was loaded into.
        keys: the columns of a unique key, by table.
        results: rows that a statement returns, by a part of its text. The count of its
            rows is their number.
        failures: errors of the driver that the next commits raise, such as
            `MockDriver.OperationalError(RetryReason.CONNECTION_LOST)`.
        is_closed: whether the connection was closed.
    """

    read_only_query: ClassVar[str] = "SELECT false"
    _pauses: ClassVar[tuple[float, float]] = (0, 0)

    def __init__(self) -> None:
        super().__init__(None, MockDriver)
        self.columns: dict[str, list[str]] = {}
        self.keys: dict[str, list[str]] = {}
        self.results: dict[str, list[tuple[Any, ...]]] = {
            self.read_only_query: [(False,)]
        }
        self.failures: list[Exception] = []
        self.is_closed = False
        self._state = State()

    def Rds(self, var: Any, credentials: Any) -> "MockRds":  # noqa: N802 - a class's
        """Return the client."""
        self._var = var
        self.credentials = self._read_credentials = credentials
        return self

    @property
    def tables(self) -> dict[str, list[Row]]:
        """The rows that were loaded into each table."""
        rows = self._state.rows
        return {table: [row for _, row in rows[table]] for table in rows}

    @property
    def rejects(self) -> list[Reject]:
        """The lines that were rejected."""
        return [reject for _, reject in self._state.rejects]

    @property
    def ledger(self) -> dict[tuple[str, str], Entry]:
        """The loads, by ID of the object and table."""
        return self._state.ledger

    @property
    def statements(self) -> list[tuple[str, Any]]:
        """Each statement of a transaction that was committed, with its values."""
        own = (self.read_only_query, None)
        return [each for each in self._state.statements if each != own]

    def close(self) -> None:
        """Note that it was closed."""
        self.is_closed = True
        super().close()

    def _import_driver(self) -> Any:
        raise AssertionError("the double has a driver")

    def _open(self, user: str, password: str) -> "MockConnection":
        self.is_closed = False
        return MockConnection(self)

    def _start_transaction(self) -> None:
        self._connection.state = self._state.copy()

    def _open_store(
        self, cursor: Any, table: str, columns: Sequence[str]
    ) -> "MockStore":
        return MockStore(self, table, columns, self._connection.state)

    def _classify(self, error: Any) -> RetryReason | None:
        reason: RetryReason | None = error.args[0] if error.args else None
        return reason

    def _is_slow(self, error: Any) -> bool:
        return False

    def _code(self, error: Any) -> str:
        return type(error).__name__

    def _describe(self, error: Any) -> str:
        return type(error).__name__


class MockConnection:
    """A connection (PEP 249)."""

    def __init__(self, rds: MockRds) -> None:
        self._rds = rds
        self.state = State()

    def cursor(self) -> Any:
        """Return a cursor as a context manager."""
        return nullcontext(MockCursor(self._rds.results, self.state.statements))

    def commit(self) -> None:
        """Keep the changes, or fail as the test asks for."""
        if self._rds.failures:
            raise self._rds.failures.pop(0)
        self._rds._state = self.state

    def rollback(self) -> None:
        """Discard the changes."""

    def close(self) -> None:
        """Close."""


class MockCursor:
    """A cursor (PEP 249) that records statements, and knows the results of some."""

    def __init__(
        self,
        results: dict[str, list[tuple[Any, ...]]],
        statements: list[tuple[str, Any]],
    ) -> None:
        self._results = results
        self._rows: list[tuple[Any, ...]] = []
        self._statements = statements
        self.rowcount = 0

    def execute(self, statement: str, values: Any = None) -> int:
        """Record a statement; return the number of its rows."""
        self._statements.append((statement, values))
        found = [rows for part, rows in self._results.items() if part in statement]
        self._rows = list(found[0]) if found else []
        self.rowcount = len(self._rows)
        return self.rowcount

    def executemany(self, statement: str, values: Iterable[Any]) -> int:
        """Record a statement once for each of the values; return their number."""
        rows = list(values)
        self._statements += [(statement, row) for row in rows]
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

    def __init__(
        self,
        rds: MockRds,
        table: str,
        columns: Sequence[str] = (),
        state: State | None = None,
    ) -> None:
        self._state = state or State()
        self._table = table
        self._sent: list[tuple[int, Row]] = []
        names = rds.columns[table] = list(columns)
        self._key = [names.index(name) for name in rds.keys.get(table, [])]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing is to be ended."""

    def claim(self, s3_object: S3Object, function: str) -> Claim:
        """See `lib.loads.Store`."""
        ledger, name = self._state.ledger, (s3_object.id, self._table)
        is_new = name not in ledger
        if is_new:
            ledger[name] = Entry(len(ledger) + 1, s3_object)
        return Claim(ledger[name].number, is_new)

    def lock(self, number: int) -> None:
        """See `lib.loads.Store`."""

    def describe(self, number: int, size: int, modified: datetime) -> None:
        """See `lib.loads.Store`."""
        self._change(number, modified=modified)

    def other_versions(self, number: int) -> list[OtherVersion]:
        """See `lib.loads.Store`."""
        this = self._find(number)
        ledger = self._state.ledger.items()
        others = [
            entry
            for (_, table), entry in ledger
            if table == self._table and entry.number != number
            if entry.s3_object[:2] == this.s3_object[:2]
        ]
        return [OtherVersion(each.number, compare(each, this)) for each in others]

    def delete_rows(self, numbers: list[int], check: Callable[[], None]) -> None:
        """See `lib.loads.Store`."""
        check()
        rows = self._state.rows.get(self._table, [])
        self._state.rows[self._table] = [
            each for each in rows if each[0] not in numbers
        ]

    def delete_rejects(self, number: int) -> None:
        """See `lib.loads.Store`."""
        rejects = self._state.rejects
        self._state.rejects = [each for each in rejects if each[0] != number]

    def check(self, chunk: Chunk) -> Chunk:
        """See `lib.loads.Store`."""
        return chunk

    def send(self, number: int, chunk: Chunk) -> None:
        """See `lib.loads.Store`."""
        lines = chunk.text.splitlines(keepends=True)
        self._sent += [(number, parse_row(line)) for line in lines]

    def flush(self) -> bool:
        """See `lib.loads.Store`."""
        sent, self._sent = self._sent, []
        rows = self._state.rows.setdefault(self._table, [])
        before = list(rows)
        if any(self._insert(rows, each) for each in sent):
            rows[:] = before
            return False
        return True

    def insert_acceptable(
        self, number: int, chunk: Chunk, limit: int, check: Callable[[], None]
    ) -> dict[int, Refusal]:
        """See `lib.loads.Store`."""
        self.send(number, chunk)
        sent, self._sent = self._sent, []
        rows = self._state.rows.setdefault(self._table, [])
        refused: dict[int, Refusal] = {}
        for index, each in enumerate(sent):
            if len(refused) <= limit and (refusal := self._insert(rows, each)):
                refused[index] = refusal
        return refused

    def reject(self, number: int, rejects: list[Reject]) -> None:
        """See `lib.loads.Store`."""
        self._state.rejects += [(number, each) for each in rejects]

    def record(self, number: int, loaded: int, rejected: int) -> None:
        """See `lib.loads.Store`."""
        self._change(number, loaded=loaded, rejected=rejected)

    def _insert(
        self, rows: list[tuple[int, Row]], new: tuple[int, Row]
    ) -> Refusal | None:
        """Add a row, or return why it is refused."""
        row = new[1]
        if row[0] == "refused":
            return Refusal("out of range", "OutOfRange")
        key = [row[at] for at in self._key]
        if key and any([other[at] for at in self._key] == key for _, other in rows):
            return Refusal("duplicate key", "UniqueViolation")
        rows.append(new)
        return None

    def _find(self, number: int) -> Entry:
        [entry] = [e for e in self._state.ledger.values() if e.number == number]
        return entry

    def _change(self, number: int, **values: Any) -> None:
        for name, entry in self._state.ledger.items():
            if entry.number == number:
                self._state.ledger[name] = entry._replace(**values)


def compare(entry: Entry, this: Entry) -> int:
    """Return the age of an entry compared to this one, see `OtherVersion`."""
    if entry.modified is None or this.modified is None:
        return -1
    return (entry.modified > this.modified) - (entry.modified < this.modified)
