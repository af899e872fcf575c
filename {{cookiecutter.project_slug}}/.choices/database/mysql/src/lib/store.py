"""Loads rows into MySQL and MariaDB, see `lib.loads.Store`."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from lib.chunks import Chunk, parse_row
from lib.column_rules import read_columns
from lib.duplicates import Duplicates
from lib.error_codes import VALUE_ERRORS, name_code, read_refusal
from lib.events import S3Object
from lib.load_data import LoadData
from lib.loads import Claim
from lib.merge import Merge
from lib.rejects import Refusal, Reject, insert_acceptable
from lib.sql_store import SqlStore
from lib.statements import (
    escape,
    fill_in,
    find_plain_columns,
    quote_name,
    quote_table,
)
from lib.values import ValueCheck

DUPLICATE = 1062
# Warnings that have no row's number, but do not shift those of later warnings either.
SKIPPED_ROW = (DUPLICATE, 1452)
INSERT = "INSERT INTO {table} ({columns}) VALUES ({values})"
MAX_STATEMENT = 4_000_000  # bytes, fit the least `max_allowed_packet`

CLAIM = """
INSERT INTO loads (object_id, target, bucket, object_key, version, `function`)
VALUES (%s, %s, %s, %s, %s, %s) ON DUPLICATE KEY UPDATE object_id = object_id
"""
FIND = "SELECT number FROM loads WHERE object_id = %s AND target = %s"
LOCK = """
SELECT GET_LOCK(SHA2(CONCAT_WS('/', target, bucket, object_key), 256), 5)
FROM loads WHERE number = %s
"""
DELETE = "DELETE FROM {table} WHERE {column} IN ({numbers}) LIMIT %s"
REJECT = """
INSERT INTO rejects (number, line, content, reason) VALUES (%s, %s, %s, %s)
"""
SLICE = 2000  # rows to load again after a refusal
PIECE = 250_000  # characters of the rows of one INSERT
WORTH_LOAD_DATA = 50  # rows; fewer are faster by INSERT
SAVEPOINT = "SAVEPOINT batch"  # replaces the one before
ROLL_BACK = "ROLLBACK TO SAVEPOINT batch"


class MysqlStore(SqlStore):
    """One transaction of MySQL, see `lib.loads.Store`.

    A batch is one LOAD DATA, behind a savepoint: a refused batch is rolled back alone.
    """

    chunks_per_batch = 4  # fit the socket's buffer

    def __init__(
        self,
        cursor: Any,
        driver: Any,
        table: str,
        columns: Sequence[str],
        var: Any,
        is_bulk: bool,
    ) -> None:
        super().__init__(cursor, driver, columns, var)
        self._cursor.max_stmt_length = MAX_STATEMENT
        self._table = quote_table(table, "`")
        self._name = table
        self._target = table if "." in table else f"{var.db_name}.{table}"
        self._is_bulk = is_bulk
        names = [*columns, self._load_column] if self._load_column else columns
        self._names = [_quote(name) for name in names]
        self._merge: Merge | None = None
        self._filled = self._table  # the table that the bulk statement fills
        if var.on_duplicate != "reject":
            self._merge = Merge(cursor, table, names, var)
            self._filled = self._merge.stage
        statement = var.insert_statement or INSERT
        self._insert = fill_in(statement, self._filled, self._names)
        pattern = driver.cursors.RE_INSERT_VALUES
        self._inserts_many = bool(pattern.match(self._insert))
        # ON DUPLICATE KEY UPDATE and REPLACE count rows twice
        self._counts_rows = bool(
            re.match(r"\s*INSERT\b(?!.*\bDUPLICATE\b)", self._insert, re.I | re.S)
        )
        # an own statement may convert others by functions
        self._checked = find_plain_columns(statement, names)
        self._duplicates = Duplicates(cursor, table, names)
        self._bits: list[int] = []  # positions of columns of type BIT
        self._rows_sent = 0
        self._load_data: LoadData | None = None
        self._rows: list[list[str | None]] = []
        self._refusal = Refusal("a row is missing", "row missing")

    def __exit__(self, *exception: Any) -> None:
        if self._load_data:
            with suppress(self._driver.Error):
                self._load_data.finish()

    def claim(self, s3_object: S3Object, function: str) -> Claim:
        """See `lib.loads.Store`."""
        version = s3_object.version or s3_object.etag
        name = (s3_object.id, self._target, s3_object.bucket, s3_object.key)
        self._cursor.execute(CLAIM, (*name, version, function))
        if self._cursor.rowcount == 1:
            return Claim(self._cursor.lastrowid, is_new=True)
        self._cursor.execute(FIND, (s3_object.id, self._target))
        return Claim(self._cursor.fetchone()[0], is_new=False)

    def lock(self, number: int) -> None:
        """See `lib.loads.Store`."""
        self._cursor.execute(LOCK, (number,))
        if self._cursor.fetchone() != (1,):
            raise self._driver.OperationalError(1205, "lock wait timeout")

    def send(self, number: int, chunk: Chunk) -> None:
        """See `lib.loads.Store`."""
        if not self._rows_sent:
            self._cursor.execute(SAVEPOINT)
            if self._is_bulk:
                self._load_data = LoadData(self._cursor, self._into)
        text = self._add_number(number, chunk.text)
        self._rows_sent += len(chunk.origins)
        if self._load_data:
            self._load_data.write(text)
        else:
            self._rows += map(self._parse, text.splitlines())

    def flush(self) -> bool:
        """See `lib.loads.Store`."""
        sent, self._rows_sent = self._rows_sent, 0
        load_data, self._load_data = self._load_data, None
        rows, self._rows = self._rows, []
        try:
            if load_data:
                load_data.finish()
                is_refused = self._has_refused(sent)
            else:
                is_refused = self._insert_all(rows) is not None
            if not is_refused:
                self._merge_batch(sent)
        except self._driver.Error as error:
            read_refusal(error)
            is_refused = True
        if is_refused:
            self._cursor.execute(ROLL_BACK)
        return not is_refused

    def insert_acceptable(
        self, number: int, chunk: Chunk, limit: int, check: Callable[[], None]
    ) -> dict[int, Refusal]:
        """See `lib.loads.Store`."""
        text = self._add_number(number, chunk.text)
        rows = text.splitlines(keepends=True)
        if self._merge or not self._is_bulk:
            return insert_acceptable(self._try_insert, rows, limit, check)
        refused: dict[int, Refusal] = {}
        for first in range(0, len(rows), SLICE):
            if len(refused) > limit:
                break
            found = self._load_acceptable(
                rows[first : first + SLICE], limit - len(refused), check
            )
            refused |= {first + index: found[index] for index in found}
        return refused

    def reject(self, number: int, rejects: list[Reject]) -> None:
        """See `lib.loads.Store`."""
        self._cursor.executemany(
            REJECT,
            [(number, each.line, each.text, each.reason) for each in rejects],
        )

    def _delete_piece(self, numbers: list[int], size: int) -> int:
        statement = DELETE.format(
            table=escape(self._table),
            column=escape(_quote(self._load_column)),
            numbers=", ".join(map(str, numbers)),
        )
        return int(self._cursor.execute(statement, (size,)))

    def _merge_batch(self, sent: int) -> None:
        """Write rows into their table that were loaded to be merged."""
        if self._merge:
            self._count_merged(sent, *self._merge.run())

    def _prepare(self) -> ValueCheck:
        """Read what to check, and create what rows are loaded into."""
        if self._merge:
            self._merge.prepare()
        checked = [name for name in self._columns if name in self._checked]
        columns = read_columns(self._cursor, self._name, checked)
        bits = {each.name for each in columns if each.data_type == "bit"}
        self._bits = [at for at, name in enumerate(self._columns) if name in bits]
        rules = {each.name: each.rule for each in columns if each.rule}
        return ValueCheck(rules, self._columns)

    @property
    def _into(self) -> str:
        """LOAD DATA's statement, from INTO TABLE on."""
        fields, assignments = list(self._names), []
        for at in self._bits:
            fields[at] = f"@bits_{at}"
            number = f"CAST(CONV(@bits_{at}, 2, 10) AS UNSIGNED)"
            assignments.append(f"{self._names[at]} = {number}")
        into = f"INTO TABLE {self._filled} CHARACTER SET utf8mb4 ({', '.join(fields)})"
        return f"{into} SET {', '.join(assignments)}" if assignments else into

    def _parse(self, row: bytes) -> list[Any]:
        """Return the values of a row for INSERT."""
        values: list[Any] = [*parse_row(row)]
        for at in self._bits:
            values[at] = None if values[at] is None else int(values[at], 2)
        return values

    def _insert_all(self, rows: Sequence[list[Any]]) -> Refusal | None:
        """Insert rows by INSERT, or return why one was refused.

        A function that cannot convert a value makes NULL of it, and only warns.

        Raises:
            Error: a row was refused by an error.
        """
        inserted = 0
        pieces = _split(rows) if self._inserts_many else [[row] for row in rows]
        for piece in pieces:
            self._cursor.executemany(self._insert, piece)
            inserted += self._cursor.rowcount
            if self._cursor.warning_count:
                for code, message in self._read_warnings():
                    # `INSERT IGNORE` warns of duplicates
                    if code in VALUE_ERRORS and code != DUPLICATE:
                        return Refusal(message, name_code(code))
        if self._counts_rows:
            self.ignored += len(rows) - inserted
        return None

    def _has_refused(self, sent: int) -> bool:
        """Return whether LOAD DATA has refused or changed any of the rows sent.

        With LOCAL, it cuts values that do not fit, and only warns.
        """
        return bool(self._cursor.warning_count) or self._cursor.rowcount != sent

    def _load_acceptable(
        self, rows: Sequence[bytes], limit: int, check: Callable[[], None]
    ) -> dict[int, Refusal]:
        """Leave out the bad rows that LOAD DATA reports; search for the others."""
        refused: dict[int, Refusal] = {}
        rest = list(range(len(rows)))
        is_loaded = False
        while not is_loaded and len(refused) <= limit:
            check()
            is_loaded, reported = self._load([rows[index] for index in rest])
            refused |= {rest[index]: reported[index] for index in reported}
            if not is_loaded and not reported:
                found = insert_acceptable(
                    self._try_insert,
                    [rows[index] for index in rest],
                    limit - len(refused),
                    check,
                )
                refused |= {rest[index]: found[index] for index in found}
                break
            rest = [index for index in rest if index not in refused]
        return refused

    def _load(self, rows: Sequence[bytes]) -> tuple[bool, dict[int, Refusal]]:
        """Load rows; return whether the good ones are loaded, and the bad ones.

        Otherwise nothing is loaded, and only those bad rows are returned whose numbers
        are reported.
        """
        if not rows:
            return True, {}
        self._cursor.execute(SAVEPOINT)
        load_data = LoadData(self._cursor, self._into)
        load_data.write(b"".join(rows))
        refused: dict[int, Refusal] = {}
        try:
            load_data.finish()
        except self._driver.Error as error:
            self._refusal = read_refusal(error)
        else:
            left_out = len(rows) - self._cursor.rowcount
            if not self._has_refused(len(rows)):
                return True, {}
            warnings = self._read_warnings()
            if duplicates := self._find_duplicates(rows, warnings, left_out):
                return True, duplicates
            refused = self._find_numbered(warnings, len(rows))
        self._cursor.execute(ROLL_BACK)
        return False, refused

    def _read_warnings(self) -> list[tuple[int, str]]:
        """Return code and message of each of LOAD DATA's warnings."""
        self._cursor.execute("SHOW WARNINGS")
        warnings = [(code, message) for _, code, message in self._cursor.fetchall()]
        for code, message in warnings[-1:]:
            self._refusal = Refusal(message, name_code(code))
        return warnings

    def _find_duplicates(
        self, rows: Sequence[bytes], warnings: list[tuple[int, str]], left_out: int
    ) -> dict[int, Refusal]:
        """Return the rows left out, if all of them are known to be duplicates."""
        messages = [message for code, message in warnings if code == DUPLICATE]
        if not len(warnings) == len(messages) == left_out:
            return {}
        found = self._duplicates.find(rows, messages)
        condition = name_code(DUPLICATE)
        return {index: Refusal(found[index], condition) for index in sorted(found)}

    def _find_numbered(
        self, warnings: list[tuple[int, str]], sent: int
    ) -> dict[int, Refusal]:
        """Return the bad rows whose numbers LOAD DATA reports, by their index.

        MariaDB does not count rows that a CHECK constraint refuses, so that the numbers
        of later rows are wrong: then none is returned.
        """
        refused: dict[int, Refusal] = {}
        is_numbered = True
        for code, message in warnings:
            if row := re.search(r"^Row (\d+) | at row (\d+)$", message):
                reason = message[: row.start()] or message
                refusal = Refusal(reason, name_code(code))
                index = int(row[1] or row[2]) - 1
                refused.setdefault(index, refusal)
                is_numbered &= index < sent
            else:
                is_numbered &= code in SKIPPED_ROW
        return refused if is_numbered else {}

    def _try_insert(self, rows: Sequence[bytes]) -> Refusal | None:
        """Insert rows, or return why one was refused. Then none is inserted."""
        try:
            if self._is_bulk and len(rows) >= WORTH_LOAD_DATA:
                is_loaded, refused = self._load(rows)
                refusal = None if is_loaded and not refused else self._refusal
            else:
                self._cursor.execute(SAVEPOINT)
                refusal = self._insert_all([self._parse(row) for row in rows])
            if refusal is None:
                self._merge_batch(len(rows))
        except self._driver.Error as error:
            refusal = read_refusal(error)
        if refusal:
            self._cursor.execute(ROLL_BACK)
        return refusal


def _split(rows: Sequence[list[Any]]) -> Iterator[Sequence[list[Any]]]:
    """Split rows into pieces, each of which fits one statement."""
    first = size = 0
    for index, row in enumerate(rows):
        size += sum(len(str(value)) + 4 for value in row)
        if size > PIECE:
            yield rows[first : index + 1]
            first, size = index + 1, 0
    if first < len(rows):
        yield rows[first:]


def _quote(name: str) -> str:
    return quote_name(name, "`")
