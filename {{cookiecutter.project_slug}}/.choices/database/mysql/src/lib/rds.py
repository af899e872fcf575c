"""MySQL and MariaDB, with pymysql: connections, SQL and errors."""

import logging
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from importlib import import_module
from ssl import create_default_context
from typing import Any, Self

from lib.database import Database, RetryReason, fill_in, quote_name
from lib.events import S3Object
from lib.loads import RefusedRows
from lib.rows import Chunk, Reject, parse_row

logger = logging.getLogger("function")

SESSION = (
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION innodb_lock_wait_timeout = 5, sql_notes = 0, "
    "sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')",
)
# https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
RETRY_REASONS = {
    **dict.fromkeys(
        (0, 1053, 1927, 2002, 2003, 2006, 2013, 2055, 4031),
        RetryReason.CONNECTION_LOST,
    ),
    **dict.fromkeys((1290, 1792, 1836), RetryReason.READ_ONLY),
    1205: RetryReason.LOCK_TIMEOUT,
    1213: RetryReason.DEADLOCK,
}
# Errors that are due to values.
VALUE_ERRORS = (1048, 1062, 1264, 1265, 1292, 1366, 1367, 1406, 1452, 1644, 3819, 4025)
# LOAD DATA LOCAL lets the server read any file of the client. Only a server that TLS
# verifies may do so, or one on this machine.
LOOPBACK = ("127.0.0.1", "localhost", "::1")
INSERT = "INSERT INTO {table} ({columns}) VALUES ({values})"

CLAIM = """
INSERT INTO loads (object_id, target, bucket, object_key, version, `function`)
VALUES (%s, %s, %s, %s, %s, %s) ON DUPLICATE KEY UPDATE object_id = object_id
"""
DESCRIBE = "UPDATE loads SET bytes = %s, modified_at = %s WHERE number = %s"
LOCK_OBJECT = """
SELECT GET_LOCK(SHA2(CONCAT_WS('/', target, bucket, object_key), 256), 5)
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
RECORD = """
UPDATE loads SET loaded = %s, rejected = %s, loaded_at = CURRENT_TIMESTAMP
WHERE number = %s
"""


class Rds(Database):
    """Client of MySQL and MariaDB."""

    def __init__(self, var: Any, driver: Any = None, credentials: Any = None) -> None:
        super().__init__(var, driver, credentials)
        self._has_load_data: bool | None = None  # unknown before the first load

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """Open a transaction, see `lib.database.Database`; release named locks, too."""
        try:
            with super().transaction() as cursor:
                yield cursor
        finally:
            if self._connection and self._var.on_new_version == "replace":
                self._connection.query("DO RELEASE_ALL_LOCKS()")

    def _import_driver(self) -> Any:
        return import_module("pymysql")

    def _open(self, user: str, password: str) -> Any:
        var = self._var
        tls = None
        if var.db_tls == "verify":
            tls = create_default_context(cafile=var.db_ca)
        connection = self.driver.connect(
            host=var.db_host,
            port=var.db_port or 0,
            database=var.db_name,
            user=user,
            password=password.encode(),  # pymysql would encode it as Latin-1
            charset="utf8mb4",
            local_infile=self._is_trusted,
            ssl=tls,
            connect_timeout=10,
            read_timeout=60,
            write_timeout=20,  # a server may vanish while it is sent rows
        )
        for statement in SESSION:
            connection.query(statement)
        return connection

    @property
    def _is_trusted(self) -> bool:
        return self._var.db_tls == "verify" or self._var.db_host in LOOPBACK

    def _ping(self) -> None:
        self._connection.ping(reconnect=False)

    def _open_store(
        self, cursor: Any, table: str, columns: Sequence[str]
    ) -> "MysqlStore":
        is_bulk = self._can_load_data(cursor)
        return MysqlStore(cursor, self.driver, table, columns, self._var, is_bulk)

    def _can_load_data(self, cursor: Any) -> bool:
        """Whether to use LOAD DATA instead of INSERT; log once why it is not."""
        if self._var.insert_statement:
            return False
        if self._has_load_data is None:
            cursor.execute("SELECT @@local_infile")
            is_on = cursor.fetchone() == (1,)
            self._has_load_data = is_on and self._is_trusted
            if not self._has_load_data:
                reason = "TLS does not verify it" if is_on else "local_infile is off"
                host = self._var.db_host
                logger.warning("loading into %s by INSERT, slowly: %s", host, reason)
        return self._has_load_data

    def _classify(self, error: Any) -> RetryReason | None:
        return RETRY_REASONS.get(_error_code(error))

    def _first_line(self, error: BaseException) -> str:
        message = str(error.args[-1] if error.args else "")
        return (message.splitlines() or [repr(error)])[0]


class MysqlStore:
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
        self._cursor = cursor
        self._driver = driver
        self._table = table
        self._load_column = var.load_column
        self._is_bulk = is_bulk
        names = [*columns, self._load_column] if self._load_column else columns
        statement = var.insert_statement or INSERT
        self._insert = fill_in(statement, table, names, _quote)
        self._into = (
            f"INTO TABLE {_quote(table)} CHARACTER SET utf8mb4 "
            f"({', '.join(map(_quote, names))})"
        )
        self._rows_sent = 0
        self._load_data: LoadData | None = None
        self._rows: list[list[str | None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._load_data:
            with suppress(self._driver.Error):
                self._load_data.finish()

    def claim(self, s3_object: S3Object, function: str) -> int | None:
        """See `lib.loads.Store`."""
        version = s3_object.version or s3_object.etag
        name = (s3_object.id, self._table, s3_object.bucket, s3_object.key)
        self._cursor.execute(CLAIM, (*name, version, function))
        return self._cursor.lastrowid if self._cursor.rowcount == 1 else None

    def describe(self, number: int, size: int, modified: datetime) -> None:
        """See `lib.loads.Store`."""
        self._cursor.execute(DESCRIBE, (size, modified, number))

    def supersede(self, number: int) -> bool:
        """See `lib.loads.Store`."""
        self._cursor.execute(LOCK_OBJECT, (number,))
        if self._cursor.fetchone() != (1,):
            raise self._driver.OperationalError(1205, "lock wait timeout")
        self._cursor.execute(OTHER_VERSIONS, (number,))
        others = self._cursor.fetchall()
        if any(is_newer for _, is_newer in others):
            return False
        table, column = _quote(self._table), _quote(self._load_column)
        self._cursor.executemany(
            f"DELETE FROM {table} WHERE {column} = %s",  # noqa: S608 - quoted
            [(other,) for other, _ in others],
        )
        return True

    def send(self, number: int, chunk: Chunk) -> None:
        """See `lib.loads.Store`."""
        text = chunk.text
        if not self._rows_sent:
            self._cursor.execute("SAVEPOINT batch")  # replaces the one before
            if self._is_bulk:
                self._load_data = LoadData(self._cursor, self._into)
        if self._load_column:
            text = text.replace(b"\n", b"\t%d\n" % number)
        self._rows_sent += len(chunk.origins) or text.count(b"\n")
        if self._load_data:
            self._load_data.write(text)
        else:
            self._rows += map(parse_row, text.splitlines(keepends=True))

    def flush(self) -> RefusedRows | None:
        """See `lib.loads.Store`.

        LOAD DATA LOCAL cuts values that do not fit, and only warns. Here, any warning
        refuses the batch, and so does a row that is missing.
        """
        if not self._rows_sent:
            return None
        sent, self._rows_sent = self._rows_sent, 0
        load_data, self._load_data = self._load_data, None
        rows, self._rows = self._rows, []
        refused = None
        try:
            if load_data:
                load_data.finish()
                if self._cursor.warning_count or self._cursor.rowcount != sent:
                    refused = self._read_warnings()
            else:
                self._cursor.executemany(self._insert, rows)
        except self._driver.Error as error:
            if _error_code(error) not in VALUE_ERRORS:
                raise
            reason = str(error.args[-1])
            refused = RefusedRows({}, is_complete=False, reason=reason)
        if refused:
            self._cursor.execute("ROLLBACK TO SAVEPOINT batch")
        return refused

    def reject(self, number: int, rejects: list[Reject]) -> None:
        """See `lib.loads.Store`."""
        self._cursor.executemany(REJECT, [(number, *reject) for reject in rejects])

    def record(self, number: int, loaded: int, rejected: int) -> None:
        """See `lib.loads.Store`."""
        self._cursor.execute(RECORD, (loaded, rejected, number))

    def _read_warnings(self) -> RefusedRows:
        self._cursor.execute("SHOW WARNINGS")
        reasons: dict[int, str] = {}
        reason = "row is missing"
        for _, _, message in self._cursor.fetchall():
            reason = message
            if row := re.search(r" at row (\d+)$", message):
                reasons.setdefault(int(row[1]) - 1, message[: row.start()])
        return RefusedRows(reasons, is_complete=True, reason=reason)


class LoadData:
    """A LOAD DATA LOCAL statement that reads from a pipe instead of a file.

    A thread runs it: the next rows are parsed while the server inserts.

    Args:
        cursor: the cursor. Nothing else may use it before `finish`.
        into: the statement, from INTO TABLE on.
    """

    def __init__(self, cursor: Any, into: str) -> None:
        self._cursor = cursor
        self._read_end, write_end = os.pipe()
        self._pipe = os.fdopen(write_end, "wb")
        self._error: BaseException | None = None
        statement = f"LOAD DATA LOCAL INFILE '/dev/fd/{self._read_end}' {into}"
        self._thread = threading.Thread(target=self._execute, args=(statement,))
        self._thread.start()

    def write(self, text: bytes) -> None:
        """Send rows, unless the statement has failed."""
        with suppress(BrokenPipeError):
            self._pipe.write(text)

    def finish(self) -> None:
        """Wait for the end of the statement.

        Raises:
            Exception: the statement failed.
        """
        with suppress(BrokenPipeError):
            self._pipe.close()
        self._thread.join()
        if self._error:
            raise self._error

    def _execute(self, statement: str) -> None:
        try:
            self._cursor.execute(statement)
        except AttributeError as error:
            # pymysql's own bug after it closed the connection for the error in context
            self._error = error.__context__ or error
        except Exception as error:
            self._error = error
        finally:
            os.close(self._read_end)


def _error_code(error: BaseException) -> int:
    return error.args[0] if error.args and isinstance(error.args[0], int) else -1


def _quote(name: str) -> str:
    return quote_name(name, "`")
