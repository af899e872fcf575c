"""A double of pymysql, and of the server behind it, whose tables are in memory."""

import re
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

from lib.chunks import parse_row
from tests.mock.rds import MockCursor, Row

# some of `pymysql.constants.ER`
NAMES = SimpleNamespace(
    __name__="pymysql.constants.ER",
    BAD_NULL_ERROR=1048,
    DUP_ENTRY=1062,
    DATA_TOO_LONG=1406,
    LOCK_DEADLOCK=1213,
    TRUNCATED_WRONG_VALUE=1292,
    TRUNCATED_WRONG_VALUE_FOR_FIELD=1366,
)
TABLE = re.compile(r"INTO (?:TABLE )?([^\s(]+)", re.I)


class Error(Exception):
    """An error: its number and its message."""


class OperationalError(Error):
    """An error of the connection, or of the server's operation."""


class DataError(Error):
    """An error that is due to a value."""


class Connection:
    """A connection that records the statements of `query`.

    Attributes:
        statements: all statements, also those of cursors.
        failures: errors by a part of a statement.
    """

    def __init__(self, info: str, results: dict[str, list[tuple[Any, ...]]]) -> None:
        self.statements: list[str] = []
        self.values: list[Any] = []
        self.failures: dict[str, Exception] = {}
        self.is_closed = False
        self._info = info
        self._results = results

    def query(self, statement: str) -> None:
        """Record a statement, or fail."""
        self.execute(statement)

    def execute(self, statement: str, values: Any = None) -> int:
        """Record a statement, or fail; return the number of its rows."""
        self.statements.append(statement)
        self.values.append(values)
        for part, error in self.failures.items():
            if part in statement:
                raise error
        return len(self._find(statement))

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the first row of the last statement."""
        return next(iter(self._find(self.statements[-1])), None)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows of the last statement."""
        return self._find(self.statements[-1])

    def cursor(self) -> Any:
        """Return the connection itself as a context manager."""
        return nullcontext(self)

    def get_server_info(self) -> str:
        """Return the version."""
        return self._info

    def thread_id(self) -> int:
        """Return its number."""
        return 42

    def begin(self) -> None:
        """Begin a transaction."""
        self.query("BEGIN")

    def commit(self) -> None:
        """Commit."""
        self.query("COMMIT")

    def rollback(self) -> None:
        """Roll back."""
        self.query("ROLLBACK")

    def close(self) -> None:
        """Note that it is closed."""
        self.is_closed = True

    def _find(self, statement: str) -> list[tuple[Any, ...]]:
        found = [rows for part, rows in self._results.items() if part in statement]
        return found[0] if found else []


class Driver:
    """The module.

    Attributes:
        info: the version of the server.
        results: rows that a statement returns, by a part of its text.
        options: those of each connection that was opened.
        connections: the connections.
        failures: those of each new connection, see `Connection`.
        refusal: what `connect` raises, if anything.
    """

    Error = Error
    OperationalError = OperationalError
    cursors = SimpleNamespace(
        RE_INSERT_VALUES=re.compile(
            r"\s*(?:INSERT|REPLACE)\b.+\bVALUES?\s*\(\s*%s\s*(?:,\s*%s\s*)*\)"
            r"(?:\s*ON DUPLICATE.*)?\s*\Z",
            re.I | re.S,
        )
    )

    def __init__(self, info: str = "8.4.0") -> None:
        self.info = info
        self.results: dict[str, list[tuple[Any, ...]]] = {
            "@@explicit_defaults": [(1,)],
            "@@local_infile": [(1,)],
        }
        self.options: list[dict[str, Any]] = []
        self.connections: list[Connection] = []
        self.failures: dict[str, Exception] = {}
        self.refusal: Exception | None = None

    def connect(self, **options: Any) -> Connection:
        """Record the options."""
        self.options.append(options)
        if self.refusal:
            raise self.refusal
        connection = Connection(self.info, self.results)
        connection.failures = self.failures
        self.connections.append(connection)
        return connection


class Server(MockCursor):
    """A cursor whose server refuses rows by their first value.

    `bad` is a value that INSERT refuses, and that LOAD DATA replaces and warns of, with
    the number of the row. `unknown` has no such number. `checked` and `orphan` are
    refused by a CHECK constraint and a foreign key, so that LOAD DATA leaves them out.
    `failing` ends both statements, `lost` the connection. INSERT only warns of
    `converted` and `noted`, and counts nothing for `skipped`.

    Attributes:
        tables: rows by the name of their table.
        loads: number of LOAD DATA statements that have read all their rows.
        is_unique: whether first values are keys.
        lastrowid: number of the last row.
        warning_count: number of the last statement's warnings.
    """

    def __init__(self) -> None:
        self.results: dict[str, list[tuple[Any, ...]]] = {}
        self.sent: list[tuple[str, Any]] = []
        super().__init__(self.results, self.sent)
        self.tables: dict[str, list[Row]] = {}
        self.loads = 0
        self.is_unique = False
        self.max_stmt_length = 0
        self.lastrowid = 0
        self.warning_count = 0
        self._warnings: list[tuple[str, int, str]] = []
        self._saved: dict[str, list[Row]] = {}

    @property
    def statements(self) -> list[str]:
        """The statements, without their values."""
        return [statement.strip() for statement, _ in self.sent]

    def execute(self, statement: str, values: Any = None) -> int:
        """Run what concerns rows, and record all statements."""
        super().execute(statement, values)
        if statement == "SHOW WARNINGS":
            self._rows = [*self._warnings]
            return self.rowcount
        self._warn([])
        if statement.startswith("ROLLBACK TO"):
            self.tables = {name: [*rows] for name, rows in self._saved.items()}
        elif statement.startswith("SAVEPOINT"):
            self._saved = {name: [*rows] for name, rows in self.tables.items()}
        elif statement.startswith("LOAD DATA"):
            self._load(statement)
        elif statement.startswith("DELETE FROM") and "WHERE" not in statement:
            self.tables[statement.split()[-1]] = []
        return self.rowcount

    def executemany(self, statement: str, values: Any) -> int:
        """Insert rows until one is refused."""
        rows = list(values)
        self.sent.append((statement, rows))
        return self._run(statement, rows, self._insert_row)

    def _load(self, statement: str) -> None:
        [path] = re.findall(r"INFILE '(.*?)'", statement)
        with open(path, "rb") as file:
            rows = [parse_row(line) for line in file]
        self.loads += 1
        self._run(statement, rows, self._load_row)

    def _run(
        self,
        statement: str,
        rows: Sequence[Row],
        run: Callable[[Row, int, set[Any]], tuple[int, str] | None],
    ) -> int:
        table = TABLE.search(statement)
        assert table
        stored = self.tables.setdefault(table[1], [])
        warnings, self.rowcount = [], 0
        for number, row in enumerate(rows, 1):
            if row[0] == "lost":
                raise OperationalError(2013, "Lost connection")
            if row[0] == "failing":
                raise DataError(1406, "Data too long")
            known = {each[0] for each in stored} if self.is_unique else set()
            warning = run(row, number, known)
            if warning:
                warnings.append(("Warning", *warning))
            if row[0] not in ("checked", "orphan", "skipped", *known):
                stored.append(row)
                self.rowcount += 1
        self._warn(warnings)
        return self.rowcount

    def _load_row(
        self, row: Row, number: int, known: set[Any]
    ) -> tuple[int, str] | None:
        if row[0] == "bad":
            return 1366, f"Incorrect integer value: 'bad' at row {number}"
        if row[0] == "unknown":
            return 1265, "Data truncated"
        if row[0] == "checked":
            return 4025, "CONSTRAINT failed"
        if row[0] == "orphan":
            return 1452, "Cannot add a child row"
        if row[0] in known:
            return 1062, f"Duplicate entry '{row[0]}' for key 'clicks.PRIMARY'"
        return None

    def _insert_row(
        self, row: Row, number: int, known: set[Any]
    ) -> tuple[int, str] | None:
        if row[0] in ("bad", "unknown", "checked", "orphan"):
            raise DataError(1366, f"Incorrect integer value: '{row[0]}'")
        if row[0] in known:
            raise Error(1062, f"Duplicate entry '{row[0]}' for key 'clicks.PRIMARY'")
        if row[0] == "converted":
            return 1292, "Truncated incorrect INTEGER value"
        if row[0] == "noted":
            return 1062, "Duplicate entry 'x' for key 'clicks.PRIMARY'"
        return None

    def _warn(self, warnings: list[tuple[str, int, str]]) -> None:
        self._warnings = warnings
        self.warning_count = len(warnings)
