"""A double of psycopg, and of the server behind it, whose tables are in memory."""

import csv
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from lib.chunks import parse_row
from tests.mock.rds import MockCursor, Row

NAMES = {
    "08006": "ConnectionFailure",
    "22003": "NumericValueOutOfRange",
    "22P02": "InvalidTextRepresentation",
    "23505": "UniqueViolation",
    "42P01": "UndefinedTable",
    "57014": "QueryCanceled",
    "57P01": "AdminShutdown",
}
COPY_OR_INSERT = re.compile(r"\s*(?:COPY|INSERT INTO|REPLACE) (\S+)")


class Error(Exception):
    """An error of the server or, without an SQLSTATE, of the driver."""

    def __init__(self, state: str | None = None, message: str = "", **diag: str):
        super().__init__(message)
        names = ("context", "constraint_name", "column_name", "table_name")
        found = {name: diag.get(name) for name in names}
        self.sqlstate = state
        self.diag = SimpleNamespace(message_primary=message, **found)


class OperationalError(Error):
    """There is no connection."""


class Connection:
    """A connection that records the statements of `execute`."""

    def __init__(self) -> None:
        self.closed = False
        self.statements: list[str] = []

    def execute(self, statement: str) -> None:
        """Record a statement."""
        self.statements.append(statement)


class Driver:
    """The module. `options` are those of each connection that was opened."""

    Error = Error
    OperationalError = OperationalError

    def __init__(self) -> None:
        self.errors = self
        self.options: list[dict[str, Any]] = []

    def connect(self, **options: Any) -> Connection:
        """Record the options."""
        self.options.append(options)
        return Connection()

    def lookup(self, state: str) -> type[Exception]:
        """Return the class of an SQLSTATE."""
        return type(NAMES[state], (Error,), {})


class Server(MockCursor):
    """A cursor whose server refuses rows by their first value.

    It is `bad` for a value that COPY, INSERT and blocks refuse, `invalid` for one that
    the check of types finds as well, `skipped` for a row that a trigger leaves out, and
    `lost` for a row that ends the connection.

    Attributes:
        tables: rows by the name of their table.
        copies: the text of each COPY.
        unfinished: number of COPY statements that have not ended.
        place: the constraint or column that blocks name, if any.
        extra: rows that each COPY or INSERT counts in addition.
        has_lines: whether errors of COPY have the number of a line.
        shift: what is wrong with that number.
        bad_block: what each block raises, if anything.
        bad_check: what the check of types raises, if anything.
    """

    def __init__(self, version: int = 150000) -> None:
        self.results: dict[str, list[tuple[Any, ...]]] = {}
        self.sent: list[tuple[str, Any]] = []
        super().__init__(self.results, self.sent)
        self.connection = SimpleNamespace(info=SimpleNamespace(server_version=version))
        self.tables: dict[str, list[Row]] = {}
        self.copies: list[bytes] = []
        self.unfinished = 0
        self.place: str | None = None
        self.extra = 0
        self.has_lines = True
        self.shift = 0
        self.bad_block: Error | None = None
        self.bad_check: Error | None = None
        self._saved: dict[str, list[Row]] = {}
        self._cells: list[Row] = []
        self._has_failed = False

    @property
    def statements(self) -> list[str]:
        """The statements, without their values."""
        return [statement.strip() for statement, _ in self.sent]

    def execute(self, statement: str, values: Any = None) -> int:
        """Run what concerns rows, and record all statements."""
        super().execute(statement, values)
        if statement.startswith("ROLLBACK"):
            self._has_failed = False
        self._require_sound()
        if "pg_input_error_info" in statement:
            self._check(values[0])
        elif "SAVEPOINT batch" in statement:
            if statement.startswith("ROLLBACK"):
                self.tables = self._copy_tables(self._saved)
            else:
                self._saved = self._copy_tables(self.tables)
        elif "set_config('block.rows'" in statement:
            self._cells = json.loads(values[0])
        elif statement.strip().startswith("DO "):
            self._run_block(statement)
        elif statement.startswith("TRUNCATE "):
            self.tables[statement.split()[1]] = []
        return self.rowcount

    def executemany(self, statement: str, values: Any) -> int:
        """Insert rows until one is refused."""
        rows = list(values)
        super().executemany(statement, rows)
        return self._insert(statement, rows)

    @contextmanager
    def copy(self, statement: str) -> Iterator["Copy"]:
        """Insert the rows of a COPY at its end, until one is refused."""
        self.sent.append((statement, None))
        copy = Copy()
        self.unfinished += 1
        try:
            yield copy
        except Exception:
            self.unfinished -= 1
            raise Error("57014", "COPY from stdin failed") from None
        self.unfinished -= 1
        self.copies.append(copy.text)
        lines = copy.text.splitlines(keepends=True)
        if "FORMAT csv" in statement:
            rows: list[Row] = [*csv.reader(line.decode() for line in lines)]
        else:
            rows = [parse_row(line) for line in lines]
        self._insert(statement, rows + copy.rows)

    def _insert(self, statement: str, rows: Sequence[Row]) -> int:
        self._require_sound()
        table = COPY_OR_INSERT.match(statement)
        assert table
        self.rowcount = self.extra
        for line, row in enumerate(rows, self.shift + 1):
            match row[0]:
                case "bad" | "invalid":
                    place = f"COPY clicks, line {line}" if self.has_lines else ""
                    self._has_failed = True
                    raise Error("22003", f"{row} is bad", context=place)
                case "lost":
                    raise Error("57P01", "the server shuts down")
                case "skipped":
                    continue
            self.tables.setdefault(table[1], []).append(row)
            self.rowcount += 1
        return self.rowcount

    def _run_block(self, statement: str) -> None:
        if self.bad_block:
            self._has_failed = True
            raise self.bad_block
        [limit] = re.findall(r"cardinality\(refused\) <= (-?\d+)", statement)
        [table] = re.findall(r"INSERT INTO (\S+)", statement)
        refused: list[tuple[int, str, str, str | None]] = []
        ignored = 0
        for index, row in enumerate(self._cells):
            if len(refused) > int(limit):
                break
            if row[0] in ("bad", "invalid"):
                refused.append((index, "22003", f"{row} is bad", self.place))
            elif row[0] == "skipped":
                ignored += 1
            else:
                self.tables.setdefault(table, []).append(row)
        self.results["current_setting('block.refused')"] = [((refused, ignored),)]

    def _check(self, text: str) -> None:
        if self.bad_check:
            self._has_failed = True
            raise self.bad_check
        self._rows = [
            (index, "22P02", "invalid input", 1)
            for index, line in enumerate(text.split("\n"))
            if line.startswith("invalid")
        ]

    def _require_sound(self) -> None:
        """Refuse statements behind an error, as PostgreSQL does until a rollback."""
        if self._has_failed:
            raise Error("25P02", "current transaction is aborted")

    def _copy_tables(self, tables: dict[str, list[Row]]) -> dict[str, list[Row]]:
        return {name: list(rows) for name, rows in tables.items()}


class Copy:
    """A COPY that collects text and rows."""

    def __init__(self) -> None:
        self.text = b""
        self.rows: list[Row] = []

    def write(self, text: bytes) -> None:
        """Add text."""
        self.text += text

    def write_row(self, row: Sequence[Any]) -> None:
        """Add a row."""
        self.rows.append(list(row))
