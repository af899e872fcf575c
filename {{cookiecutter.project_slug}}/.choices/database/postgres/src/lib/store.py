"""Loads rows into PostgreSQL, see `lib.loads.Store`."""

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Any

from lib.chunks import NULL, Chunk, parse_row
from lib.column_rules import read_rules
from lib.error_codes import find_place, is_due_to_value, name_condition
from lib.events import S3Object
from lib.insert_block import InsertBlock
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
from lib.type_check import TypeCheck
from lib.values import ValueCheck

CLAIM = """
INSERT INTO loads (object_id, target, bucket, object_key, version, function)
SELECT %s, nspname || '.' || relname, %s, %s, %s, %s
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE pg_class.oid = %s::regclass
ON CONFLICT DO NOTHING RETURNING number
"""
FIND = """
SELECT number FROM loads
JOIN pg_class ON pg_class.oid = %s::regclass
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE object_id = %s AND target = nspname || '.' || relname
"""
LOCK = """
SELECT pg_advisory_xact_lock(
    hashtextextended(concat_ws('/', target, bucket, object_key), 0)
)
FROM loads WHERE number = %s
"""
DELETE = """
DELETE FROM {table} WHERE {column} = ANY(%s) AND ctid = ANY(ARRAY(
    SELECT ctid FROM {table} WHERE {column} = ANY(%s) LIMIT %s
))
"""
REJECT = "COPY rejects (number, line, content, reason) FROM STDIN"
SAVEPOINT = "SAVEPOINT batch"
NEXT_SAVEPOINT = f"RELEASE SAVEPOINT batch; {SAVEPOINT}"
ROLL_BACK = "ROLLBACK TO SAVEPOINT batch"
# Rows to send to COPY again after a bad one, and to a block.
PIECE = 4000
SLICE = 1000  # a bad row takes a block longer among more of them
# Bad rows are few if a COPY inserts this many before it meets one.
SPARSE = 100


class PostgresStore(SqlStore):
    """One transaction of PostgreSQL, see `lib.loads.Store`.

    A batch is one COPY, behind a savepoint: a refused batch is rolled back alone.
    """

    chunks_per_batch = 8  # more need more memory, and are no faster

    def __init__(
        self, cursor: Any, driver: Any, table: str, columns: Sequence[str], var: Any
    ) -> None:
        super().__init__(cursor, driver, columns, var)
        self._table = quote_table(table, '"')
        names = [*columns, self._load_column] if self._load_column else columns
        quoted = [_quote(name) for name in names]
        self._insert = ""
        if var.insert_statement:
            self._insert = fill_in(var.insert_statement, self._table, quoted)
        # an own statement may convert others by functions
        self._checked = find_plain_columns(var.insert_statement or "{values}", names)
        self._counts_rows = bool(re.match(r"\s*INSERT\b|$", self._insert, re.I))
        self._block = InsertBlock(cursor, self._table, quoted)
        self._type_check = TypeCheck(cursor, self._table, names)
        self._merge: Merge | None = None
        target = self._table
        if var.on_duplicate != "reject":
            self._merge = Merge(cursor, self._table, names, var)
            target = self._merge.stage
        self._copy = f"COPY {target} ({', '.join(quoted)}) FROM STDIN"
        self._accepts_csv = not self._load_column and not self._insert
        self._begin_batch = SAVEPOINT
        self._has_batch = False
        self._open_copy = ExitStack()
        self._copy_stream: Any = None
        self._rows: list[list[str | None]] = []
        self._sent = 0
        self._refusal = Refusal("", "")
        self._hint = -1

    def __exit__(self, *exception: Any) -> None:
        with suppress(self._driver.Error):  # ending an unfinished COPY is an error
            self._open_copy.__exit__(*exception)

    def claim(self, s3_object: S3Object, function: str) -> Claim:
        """See `lib.loads.Store`."""
        version = s3_object.version or s3_object.etag
        name = (s3_object.id, s3_object.bucket, s3_object.key, version)
        self._cursor.execute(CLAIM, (*name, function, self._table))
        if row := self._cursor.fetchone():
            return Claim(row[0], is_new=True)
        self._cursor.execute(FIND, (self._table, s3_object.id))
        return Claim(self._cursor.fetchone()[0], is_new=False)

    def lock(self, number: int) -> None:
        """See `lib.loads.Store`."""
        self._cursor.execute(LOCK, (number,))

    def send(self, number: int, chunk: Chunk) -> None:
        """See `lib.loads.Store`."""
        self._begin()
        self._sent += len(chunk.origins)
        if chunk.csv and self._accepts_csv:
            self._write(f"{self._copy} (FORMAT csv, NULL '{NULL}')", chunk.csv)
        else:
            self._send_text(self._add_number(number, chunk.text))

    def flush(self) -> bool:
        """See `lib.loads.Store`."""
        if not self._has_batch:
            return True
        self._has_batch = False
        self._copy_stream = None
        rows, self._rows = self._rows, []
        sent, self._sent = self._sent, 0
        try:
            self._open_copy.close()
            if rows:
                self._cursor.executemany(self._insert, rows)
            if self._merge:
                self._count_merged(sent, *self._merge.run())
            elif self._counts_rows:  # a trigger may leave rows out
                self.ignored += sent - min(sent, self._cursor.rowcount)
        except self._driver.Error as error:
            self._refusal = self._roll_back_batch(error)
            return False
        return True

    def insert_acceptable(
        self, number: int, chunk: Chunk, limit: int, check: Callable[[], None]
    ) -> dict[int, Refusal]:
        """See `lib.loads.Store`."""
        text = self._add_number(number, chunk.text)
        rows = text.splitlines(keepends=True)
        if self._insert:
            return insert_acceptable(self._try_insert, rows, limit, check)
        check()
        refused = self._find_invalid(text)
        rest = [index for index in range(len(rows)) if index not in refused]
        good = [rows[index] for index in rest]
        limit -= len(refused)
        if self._merge:
            found = insert_acceptable(self._try_insert, good, limit, check)
        else:
            found = self._copy_acceptable(good, limit, check)
        refused |= {rest[index]: found[index] for index in found}
        return dict(sorted(refused.items()))

    def reject(self, number: int, rejects: list[Reject]) -> None:
        """See `lib.loads.Store`."""
        with self._cursor.copy(REJECT) as copy:
            for reject in rejects:
                copy.write_row((number, reject.line, reject.text, reject.reason))

    def _delete_piece(self, numbers: list[int], size: int) -> int:
        table, column = self._table, _quote(self._load_column)
        statement = DELETE.format(table=escape(table), column=escape(column))
        self._cursor.execute(statement, (numbers, numbers, size))
        return int(self._cursor.rowcount)

    def _prepare(self) -> ValueCheck:
        """Read what to check, and create what rows are loaded into."""
        checked = [name for name in self._columns if name in self._checked]
        rules = read_rules(self._cursor, self._table, checked)
        if self._merge:
            self._merge.prepare()
        return ValueCheck(rules, self._columns, self._accepts_csv)

    def _begin(self) -> None:
        if not self._has_batch:
            self._cursor.execute(self._begin_batch)
            self._begin_batch = NEXT_SAVEPOINT
            self._has_batch = True

    def _send_text(self, text: bytes) -> None:
        if self._insert:
            self._rows += map(parse_row, text.splitlines())
        else:
            self._write(self._copy, text)

    def _write(self, statement: str, text: bytes) -> None:
        if not self._copy_stream:
            copy = self._cursor.copy(statement)
            self._copy_stream = self._open_copy.enter_context(copy)
        self._copy_stream.write(text)

    def _try_insert(self, rows: Sequence[bytes]) -> Refusal | None:
        self._begin()
        self._sent = len(rows)
        self._send_text(b"".join(rows))
        return None if self.flush() else self._refusal

    def _find_invalid(self, text: bytes) -> dict[int, Refusal]:
        """Return the rows that have a value which is none of its column's type."""
        self._cursor.execute(NEXT_SAVEPOINT)
        try:
            found = self._type_check.find_invalid(text)
        except self._driver.Error as error:
            self._roll_back_batch(error)
            return {}
        return {
            each.number: Refusal(
                each.message, name_condition(self._driver, each.state, each.place)
            )
            for each in found
        }

    def _copy_acceptable(
        self, rows: Sequence[bytes], limit: int, check: Callable[[], None]
    ) -> dict[int, Refusal]:
        """Insert acceptable rows by COPY, and by blocks where many rows are bad.

        COPY's error has the line of a bad row, in a text that values may appear in. So
        it is a hint: first the rows ahead of it are tried, and then this row alone.
        """
        refused: dict[int, Refusal] = {}
        hints: list[int] = []
        first = 0
        while first < len(rows) and len(refused) <= limit:
            check()
            if hints and hints[-1] == first:
                hints.pop()
                if refusal := self._try_insert(rows[first : first + 1]):
                    refused[first] = refusal
                first += 1
                continue
            limits = (len(rows), first + PIECE, *hints[-1:])
            end = min(limits)
            if self._try_insert(rows[first:end]) is None:
                first = end
            elif SPARSE <= self._hint < end - first:
                hints.append(first + self._hint)
            else:
                end = min(*limits, first + SLICE)
                found = self._insert_slice(rows[first:end], limit - len(refused), check)
                refused |= {first + index: found[index] for index in found}
                first = end
        return refused

    def _insert_slice(
        self, rows: Sequence[bytes], limit: int, check: Callable[[], None]
    ) -> dict[int, Refusal]:
        self._cursor.execute(NEXT_SAVEPOINT)
        try:
            refused, ignored = self._block.insert(rows, limit)
        except self._driver.Error as error:  # a domain may refuse any variable
            self._roll_back_batch(error)
            return insert_acceptable(self._try_insert, rows, limit, check)
        self.ignored += ignored
        return {
            index: Refusal(message, name_condition(self._driver, state, place))
            for index, state, message, place in refused
        }

    def _roll_back_batch(self, error: Any) -> Refusal:
        """Roll back a batch that was refused, and return why.

        Raises:
            Error: the error is not due to values.
        """
        state = str(error.sqlstate or "")
        if not is_due_to_value(self._driver, state):
            raise error
        self._cursor.execute(ROLL_BACK)
        line = re.search(r", line ([0-9]{1,9})", error.diag.context or "")
        self._hint = int(line[1]) - 1 if line else -1
        condition = name_condition(self._driver, state, find_place(error.diag))
        return Refusal(str(error.diag.message_primary), condition)


def _quote(name: str) -> str:
    return quote_name(name, '"')
