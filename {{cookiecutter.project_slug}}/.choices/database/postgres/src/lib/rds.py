"""PostgreSQL, with psycopg: connections, SQL and errors."""

import re
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from importlib import import_module
from typing import Any, Self

from lib.database import Database, RetryReason, fill_in, quote_name
from lib.events import S3Object
from lib.loads import RefusedRows
from lib.rows import NULL, Chunk, Reject, parse_row

SESSION = "-c lock_timeout=5000 -c statement_timeout=60000"
# By the first characters of SQLSTATE, see
# https://www.postgresql.org/docs/current/errcodes-appendix.html
RETRY_REASONS = {
    "08": RetryReason.CONNECTION_LOST,
    "57P0": RetryReason.CONNECTION_LOST,  # the server shuts down or starts
    "25006": RetryReason.READ_ONLY,
    "40": RetryReason.DEADLOCK,
    "55P03": RetryReason.LOCK_TIMEOUT,
}
# Errors that are due to values: of data, of integrity, raised by a trigger.
VALUE_ERRORS = ("22", "23", "P0001")

CLAIM = """
INSERT INTO loads (object_id, target, bucket, object_key, version, function)
VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING number
"""
DESCRIBE = "UPDATE loads SET bytes = %s, modified_at = %s WHERE number = %s"
LOCK_OBJECT = """
SELECT pg_advisory_xact_lock(
    hashtextextended(concat_ws('/', target, bucket, object_key), 0)
)
FROM loads WHERE number = %s
"""
OTHER_VERSIONS = """
SELECT other.number, other.modified_at > this.modified_at FROM loads AS this
JOIN loads AS other USING (target, bucket, object_key)
WHERE this.number = %s AND other.number <> this.number
"""
REJECT = """
INSERT INTO rejects (number, line, content, reason) VALUES (%s, %s, %s, %s)
"""
SAVEPOINT = "SAVEPOINT batch"
RECORD = """
UPDATE loads SET loaded = %s, rejected = %s, loaded_at = CURRENT_TIMESTAMP
WHERE number = %s
"""


class Rds(Database):
    """Client of PostgreSQL."""

    def _import_driver(self) -> Any:
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
            options=SESSION,
            connect_timeout=10,
            tcp_user_timeout=30_000,
            **tls,
        )

    def _ping(self) -> None:
        self._connection.execute("SELECT 1")

    def _open_store(
        self, cursor: Any, table: str, columns: Sequence[str]
    ) -> "PostgresStore":
        return PostgresStore(cursor, self.driver, table, columns, self._var)

    def _classify(self, error: Any) -> RetryReason | None:
        if self._connection is None or self._connection.closed:
            return RetryReason.CONNECTION_LOST
        state = str(error.sqlstate or "")
        for start, reason in RETRY_REASONS.items():
            if state.startswith(start):
                return reason
        return None

    def _first_line(self, error: BaseException) -> str:
        return (str(error).splitlines() or [type(error).__name__])[0]


class PostgresStore:
    """One transaction of PostgreSQL, see `lib.loads.Store`.

    A batch is one COPY, behind a savepoint: a refused batch is rolled back alone.
    """

    chunks_per_batch = 8  # more need more memory, and are no faster

    def __init__(
        self, cursor: Any, driver: Any, table: str, columns: Sequence[str], var: Any
    ) -> None:
        self._cursor = cursor
        self._driver = driver
        self._table = table
        self._load_column = var.load_column
        names = [*columns, self._load_column] if self._load_column else columns
        self._insert = ""
        if var.insert_statement:
            self._insert = fill_in(var.insert_statement, table, names, _quote)
        quoted_names = ", ".join(map(_quote, names))
        self._copy = f"COPY {_quote(table)} ({quoted_names}) FROM STDIN"
        self._accepts_csv = not self._load_column and not self._insert
        self._begin_batch = SAVEPOINT
        self._has_batch = False
        self._open_copy = ExitStack()
        self._copy_stream: Any = None
        self._rows: list[list[str | None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        with suppress(self._driver.Error):  # ending an unfinished COPY is an error
            self._open_copy.__exit__(*exception)

    def claim(self, s3_object: S3Object, function: str) -> int | None:
        """See `lib.loads.Store`."""
        version = s3_object.version or s3_object.etag
        name = (s3_object.id, self._table, s3_object.bucket, s3_object.key)
        self._cursor.execute(CLAIM, (*name, version, function))
        row = self._cursor.fetchone()
        return row[0] if row else None

    def describe(self, number: int, size: int, modified: datetime) -> None:
        """See `lib.loads.Store`."""
        self._cursor.execute(DESCRIBE, (size, modified, number))

    def supersede(self, number: int) -> bool:
        """See `lib.loads.Store`."""
        self._cursor.execute(LOCK_OBJECT, (number,))
        self._cursor.execute(OTHER_VERSIONS, (number,))
        others = self._cursor.fetchall()
        if any(is_newer for _, is_newer in others):
            return False
        table, column = _quote(self._table), _quote(self._load_column)
        numbers = [other for other, _ in others]
        self._cursor.execute(
            f"DELETE FROM {table} WHERE {column} = ANY(%s)",  # noqa: S608 - quoted
            (numbers,),
        )
        return True

    def send(self, number: int, chunk: Chunk) -> None:
        """See `lib.loads.Store`."""
        if not self._has_batch:
            self._cursor.execute(self._begin_batch)
            # later batches release the savepoint of the one before in one round trip
            self._begin_batch = f"RELEASE SAVEPOINT batch; {SAVEPOINT}"
            self._has_batch = True
        if chunk.csv and self._accepts_csv:
            self._write(f"{self._copy} (FORMAT csv, NULL '{NULL}')", chunk.csv)
            return
        text = chunk.text
        if self._load_column:
            text = text.replace(b"\n", b"\t%d\n" % number)
        if self._insert:
            self._rows += map(parse_row, text.splitlines(keepends=True))
        else:
            self._write(self._copy, text)

    def flush(self) -> RefusedRows | None:
        """See `lib.loads.Store`."""
        if not self._has_batch:
            return None
        self._has_batch = False
        self._copy_stream = None
        rows, self._rows = self._rows, []
        try:
            self._open_copy.close()
            if rows:
                self._cursor.executemany(self._insert, rows)
        except self._driver.Error as error:
            if not str(error.sqlstate or "").startswith(VALUE_ERRORS):
                raise
            self._cursor.execute("ROLLBACK TO SAVEPOINT batch")
            return _refused_rows(error)
        return None

    def reject(self, number: int, rejects: list[Reject]) -> None:
        """See `lib.loads.Store`."""
        self._cursor.executemany(REJECT, [(number, *reject) for reject in rejects])

    def record(self, number: int, loaded: int, rejected: int) -> None:
        """See `lib.loads.Store`."""
        self._cursor.execute(RECORD, (loaded, rejected, number))

    def _write(self, statement: str, text: bytes) -> None:
        if not self._copy_stream:
            copy = self._cursor.copy(statement)
            self._copy_stream = self._open_copy.enter_context(copy)
        self._copy_stream.write(text)


def _refused_rows(error: Any) -> RefusedRows:
    """PostgreSQL stops at the first bad row, and COPY reports its line."""
    reason = str(error.diag.message_primary)
    line = re.search(r"COPY .*, line (\d+)", error.diag.context or "")
    reasons = {int(line[1]) - 1: reason} if line else {}
    return RefusedRows(reasons, is_complete=False, reason=reason)


def _quote(name: str) -> str:
    return quote_name(name, '"')
