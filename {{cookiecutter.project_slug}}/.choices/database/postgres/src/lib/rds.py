"""PostgreSQL, with psycopg: connections, SQL and errors."""

import logging
import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from functools import partial
from importlib import import_module
from typing import Any, Self

from lib.chunks import NULL, Chunk, parse_row
from lib.column_rules import read_rules
from lib.database import (
    Database,
    delete_in_pieces,
    escape,
    fill_in,
    quote_name,
    quote_table,
)
from lib.database_errors import RetryReason
from lib.events import S3Object
from lib.insert_block import InsertBlock
from lib.loads import Claim, OtherVersion
from lib.merge import Merge
from lib.rejects import Refusal, Reject, insert_acceptable
from lib.type_check import TypeCheck
from lib.values import ValueCheck

# Statements set this at the start of each transaction: start-up options are refused by
# RDS Proxy and PgBouncer, and PgBouncer's transactions may change their session.
BEGIN = """
BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL standard_conforming_strings = on;
SET LOCAL synchronous_commit = on;
SET LOCAL TimeZone = 'UTC';
SET LOCAL DateStyle = 'ISO, YMD';
SET LOCAL IntervalStyle = 'postgres';
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '{timeout}s'
"""
# By the first characters of SQLSTATE, see
# https://www.postgresql.org/docs/current/errcodes-appendix.html
RETRY_REASONS = {
    "08": RetryReason.CONNECTION_LOST,
    "57P0": RetryReason.CONNECTION_LOST,  # the server shuts down or starts
    "25006": RetryReason.READ_ONLY,
    "40": RetryReason.DEADLOCK,
    "55P03": RetryReason.LOCK_TIMEOUT,
}
QUERY_CANCELED = "57014"
SQLSTATE_LENGTH = 5
# Errors that are due to values: too many rows of a subquery, of data, of integrity, of
# functions, of a view's check, of a limit such as an index's, raised by PL/pgSQL.
VALUE_ERRORS = ("21", "22", "23", "2F", "38", "39", "44", "54", "P0")
# Errors whose messages name parts of the schema or of the server, and no values.
NAMING_ERRORS = ("08", "25", "28", "3D", "3F", "42", "53", "55", "57")

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
DESCRIBE = "UPDATE loads SET bytes = %s, modified_at = %s WHERE number = %s"
LOCK = """
SELECT pg_advisory_xact_lock(
    hashtextextended(concat_ws('/', target, bucket, object_key), 0)
)
FROM loads WHERE number = %s
"""
OTHER_VERSIONS = """
SELECT other.number, CASE
    WHEN other.modified_at > this.modified_at THEN 1
    WHEN other.modified_at = this.modified_at THEN 0
    ELSE -1
END
FROM loads AS this JOIN loads AS other USING (target, bucket, object_key)
WHERE this.number = %s AND other.number <> this.number
"""
DELETE = """
DELETE FROM {table} WHERE {column} = ANY(%s) AND ctid = ANY(ARRAY(
    SELECT ctid FROM {table} WHERE {column} = ANY(%s) LIMIT %s
))
"""
DELETE_REJECTS = "DELETE FROM rejects WHERE number = %s"
REJECT = "COPY rejects (number, line, content, reason) FROM STDIN"
SAVEPOINT = "SAVEPOINT batch"
NEXT_SAVEPOINT = f"RELEASE SAVEPOINT batch; {SAVEPOINT}"
ROLL_BACK = "ROLLBACK TO SAVEPOINT batch"
# Rows to send to COPY again after a bad one, and to a block.
PIECE = 4000
SLICE = 1000  # a bad row takes a block longer among more of them
# Bad rows are few if a COPY inserts this many before it meets one.
SPARSE = 100
RECORD = """
UPDATE loads SET loaded = %s, rejected = %s, loaded_at = CURRENT_TIMESTAMP
WHERE number = %s
"""


class Rds(Database):
    """Client of PostgreSQL."""

    read_only_query = "SELECT current_setting('transaction_read_only') = 'on'"

    def _import_driver(self) -> Any:
        # it logs errors that it ignores, with values of rows
        logging.getLogger("psycopg").setLevel(logging.ERROR)
        return import_module("psycopg")

    def _open(self, user: str, password: str) -> Any:
        var = self._var
        tls = {"sslmode": "prefer"}
        if var.db_tls == "verify":
            tls = {"sslmode": "verify-full", "sslrootcert": var.db_ca or "system"}
        return self.driver.connect(
            host=var.db_host,
            port=var.db_port,
            dbname=var.db_name,
            user=user,
            password=password,
            connect_timeout=10,
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
            tcp_user_timeout=30_000,
            autocommit=True,  # `BEGIN` is ours
            prepare_threshold=None,  # a prepared statement belongs to a session
            **tls,
        )

    def _start_transaction(self) -> None:
        self._connection.execute(BEGIN.format(timeout=self._var.db_statement_timeout))

    def _open_store(
        self, cursor: Any, table: str, columns: Sequence[str]
    ) -> "PostgresStore":
        return PostgresStore(cursor, self.driver, table, columns, self._var)

    def _classify(self, error: Any) -> RetryReason | None:
        if self._connection is None or self._connection.closed:
            return RetryReason.CONNECTION_LOST
        for start, reason in RETRY_REASONS.items():
            if self._code(error).startswith(start):
                return reason
        return None

    def _is_slow(self, error: Any) -> bool:
        return self._code(error) == QUERY_CANCELED

    def _code(self, error: Any) -> str:
        return str(error.sqlstate or "")

    def _describe(self, error: Any) -> str:
        state = self._code(error)
        first_line = (str(error).splitlines() or [""])[0]
        if not state:  # it is the driver's own
            is_of_connection = isinstance(error, self.driver.OperationalError)
            return first_line if is_of_connection else type(error).__name__
        if state.startswith(NAMING_ERRORS) and not error.diag.context:
            return f"{type(error).__name__} ({state}): {first_line}"
        return _name_condition(self.driver, state, _find_place(error.diag))


class PostgresStore:
    """One transaction of PostgreSQL, see `lib.loads.Store`.

    A batch is one COPY, behind a savepoint: a refused batch is rolled back alone.
    """

    chunks_per_batch = 8  # more need more memory, and are no faster
    ignored = 0
    updated = 0

    def __init__(
        self, cursor: Any, driver: Any, table: str, columns: Sequence[str], var: Any
    ) -> None:
        self._cursor = cursor
        self._driver = driver
        self._table = quote_table(table, '"')
        self._load_column = var.load_column
        self._timeout = var.db_statement_timeout
        names = [*columns, self._load_column] if self._load_column else columns
        quoted = [_quote(name) for name in names]
        self._insert = ""
        if var.insert_statement:
            self._insert = fill_in(var.insert_statement, self._table, quoted)
        # an own statement may convert values by functions
        self._stores_as_given = not self._insert or "{values}" in var.insert_statement
        self._counts_rows = bool(re.match(r"\s*INSERT\b|$", self._insert, re.I))
        self._columns = list(columns)
        self._value_check: ValueCheck | None = None
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

    def __enter__(self) -> Self:
        return self

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

    def describe(self, number: int, size: int, modified: datetime) -> None:
        """See `lib.loads.Store`."""
        self._cursor.execute(DESCRIBE, (size, modified, number))

    def other_versions(self, number: int) -> list[OtherVersion]:
        """See `lib.loads.Store`."""
        self._cursor.execute(OTHER_VERSIONS, (number,))
        return [OtherVersion(*row) for row in self._cursor.fetchall()]

    def delete_rows(self, numbers: list[int], check: Callable[[], None]) -> None:
        """See `lib.loads.Store`."""
        if numbers:
            delete = partial(self._delete_piece, numbers)
            delete_in_pieces(delete, self._timeout, check)

    def delete_rejects(self, number: int) -> None:
        """See `lib.loads.Store`."""
        self._cursor.execute(DELETE_REJECTS, (number,))

    def check(self, chunk: Chunk) -> Chunk:
        """See `lib.loads.Store`."""
        if self._value_check is None:
            self._value_check = self._prepare()
        return self._value_check.check(chunk)

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

    def record(self, number: int, loaded: int, rejected: int) -> None:
        """See `lib.loads.Store`."""
        self._cursor.execute(RECORD, (loaded, rejected, number))

    def _delete_piece(self, numbers: list[int], size: int) -> int:
        table, column = self._table, _quote(self._load_column)
        statement = DELETE.format(table=escape(table), column=escape(column))
        self._cursor.execute(statement, (numbers, numbers, size))
        return int(self._cursor.rowcount)

    def _prepare(self) -> ValueCheck:
        """Read what to check, and create what rows are loaded into."""
        rules = {}
        if self._stores_as_given:
            rules = read_rules(self._cursor, self._table, self._columns)
        if self._merge:
            self._merge.prepare()
        return ValueCheck(rules, self._columns, self._accepts_csv)

    def _count_merged(self, sent: int, written: int, updated: int) -> None:
        self.ignored += sent - written
        self.updated += updated

    def _add_number(self, number: int, text: bytes) -> bytes:
        return text.replace(b"\n", b"\t%d\n" % number) if self._load_column else text

    def _begin(self) -> None:
        if not self._has_batch:
            self._cursor.execute(self._begin_batch)
            self._begin_batch = NEXT_SAVEPOINT
            self._has_batch = True

    def _send_text(self, text: bytes) -> None:
        if self._insert:
            self._rows += map(parse_row, text.splitlines(keepends=True))
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
                each.message, _name_condition(self._driver, each.state, each.place)
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
            index: Refusal(message, _name_condition(self._driver, state, place))
            for index, state, message, place in refused
        }

    def _is_due_to_value(self, state: str) -> bool:
        """Return whether an error is due to a value, by its SQLSTATE.

        An unknown one is of a trigger or function of the user's.
        """
        if state.startswith(VALUE_ERRORS):
            return True
        try:
            self._driver.errors.lookup(state)
        except KeyError:
            return len(state) == SQLSTATE_LENGTH
        return False

    def _roll_back_batch(self, error: Any) -> Refusal:
        """Roll back a batch that was refused, and return why.

        Raises:
            Error: the error is not due to values.
        """
        state = str(error.sqlstate or "")
        if not self._is_due_to_value(state):
            raise error
        self._cursor.execute(ROLL_BACK)
        line = re.search(r", line ([0-9]{1,9})", error.diag.context or "")
        self._hint = int(line[1]) - 1 if line else -1
        condition = _name_condition(self._driver, state, _find_place(error.diag))
        return Refusal(str(error.diag.message_primary), condition)


def _name_condition(driver: Any, state: str, place: str) -> str:
    """Return the name of an error, its SQLSTATE, and where it happened."""
    try:
        name = driver.errors.lookup(state).__name__
    except KeyError:
        name = "error"
    return f"{name} ({state}){place and f' at {place}'}"


def _find_place(diag: Any) -> str:
    """Return the constraint, column or table of an error, unless a trigger raised it.

    A trigger may put values there.
    """
    context = diag.context or ""
    if "function" in context:
        return ""
    if diag.constraint_name or diag.column_name:
        return str(diag.constraint_name or diag.column_name)
    column = re.match(r'COPY [^"\n]+?, line \d+, column ([^"\n]+?): ', context)
    return column[1] if column else str(diag.table_name or "")


def _quote(name: str) -> str:
    return quote_name(name, '"')
