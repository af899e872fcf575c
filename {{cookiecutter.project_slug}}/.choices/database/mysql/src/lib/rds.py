"""The database: MySQL or MariaDB, by pymysql. The one file that knows its SQL."""

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

from lib.database import Database, Trouble, filled_in, quoted
from lib.events import S3Object
from lib.loads import Refusal
from lib.rows import Chunk, Reject, fields

logger = logging.getLogger("function")

SESSION = (
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION innodb_lock_wait_timeout = 5, sql_notes = 0, "
    "sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')",
)
# https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
TROUBLES = {
    **dict.fromkeys((0, 1053, 1927, 2002, 2003, 2006, 2013, 2055, 4031), Trouble.AWAY),
    **dict.fromkeys((1290, 1792, 1836), Trouble.READ_ONLY),
    1205: Trouble.BUSY,
    1213: Trouble.CONFLICT,
}
# a server that nobody vouches for could ask for any file of this machine
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# errors that a value causes
REFUSALS = (1048, 1062, 1264, 1265, 1292, 1366, 1367, 1406, 1452, 1644, 3819, 4025)
INSERT = "INSERT INTO {table} ({columns}) VALUES ({values})"

CLAIM = """
INSERT INTO loads (object_id, target, bucket, object_key, version, `function`)
VALUES (%s, %s, %s, %s, %s, %s) ON DUPLICATE KEY UPDATE object_id = object_id
"""
DESCRIBE = "UPDATE loads SET bytes = %s, modified_at = %s WHERE number = %s"
LOCK = """
SELECT GET_LOCK(SHA2(CONCAT_WS('/', target, bucket, object_key), 256), 5)
FROM loads WHERE number = %s
"""
OTHERS = """
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
    """Client of MySQL or MariaDB."""

    def __init__(self, var: Any, driver: Any = None, credentials: Any = None) -> None:
        super().__init__(var, driver, credentials)
        self._takes_files: bool | None = None

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """See `lib.database.Database`; locks by name end with it, too."""
        try:
            with super().transaction() as cursor:
                yield cursor
        finally:
            if self._connection and self._var.on_new_version == "replace":
                self._connection.query("DO RELEASE_ALL_LOCKS()")

    def _own_driver(self) -> Any:
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
            password=password.encode(),  # else it is Latin-1
            charset="utf8mb4",
            local_infile=self._is_trusted,
            ssl=tls,
            connect_timeout=10,
            read_timeout=60,
            write_timeout=20,  # a server that is sent rows may go and never say so
        )
        for statement in SESSION:
            connection.query(statement)
        return connection

    @property
    def _is_trusted(self) -> bool:
        return self._var.db_tls == "verify" or self._var.db_host in LOOPBACK

    def _ping(self) -> None:
        self._connection.ping(reconnect=False)

    def _store(self, cursor: Any, table: str, columns: Sequence[str]) -> "MysqlStore":
        is_bulk = self._is_bulk(cursor)
        return MysqlStore(cursor, self.driver, table, columns, self._var, is_bulk)

    def _is_bulk(self, cursor: Any) -> bool:
        """Tell whether LOAD DATA takes the rows; log once why it does not."""
        if self._var.insert_statement:
            return False
        if self._takes_files is None:
            cursor.execute("SELECT @@local_infile")
            is_on = cursor.fetchone() == (1,)
            self._takes_files = is_on and self._is_trusted
            if not self._takes_files:
                why = "TLS does not vouch for it" if is_on else "local_infile is off"
                name = self._var.db_host
                logger.warning("%s takes rows by INSERT only: %s", name, why)
        return self._takes_files

    def _diagnosis(self, error: Any) -> Trouble | None:
        return TROUBLES.get(_code(error))

    def _brief(self, error: BaseException) -> str:
        text = str(error.args[-1] if error.args else "")
        return (text.splitlines() or [repr(error)])[0]


class MysqlStore:
    """One transaction on its way, for `lib.loads`."""

    batch = 4  # fit the socket's buffer

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
        self._statement = filled_in(statement, table, names, _quoted)
        self._into = (
            f"INTO TABLE {_quoted(table)} CHARACTER SET utf8mb4 "
            f"({', '.join(map(_quoted, names))})"
        )
        self._sent = 0
        self._file: LocalFile | None = None
        self._rows: list[list[str | None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._file:
            with suppress(self._driver.Error):
                self._file.end()

    def claim(self, found: S3Object, function: str) -> int | None:
        """See `lib.loads.Store`."""
        state = found.version or found.etag
        where = (found.id, self._table, found.bucket, found.key)
        self._cursor.execute(CLAIM, (*where, state, function))
        return self._cursor.lastrowid if self._cursor.rowcount == 1 else None

    def describe(self, number: int, size: int, modified: datetime) -> None:
        """See `lib.loads.Store`."""
        self._cursor.execute(DESCRIBE, (size, modified, number))

    def supersede(self, number: int) -> bool:
        """See `lib.loads.Store`."""
        self._cursor.execute(LOCK, (number,))
        if self._cursor.fetchone() != (1,):
            raise self._driver.OperationalError(1205, "lock wait timeout")
        self._cursor.execute(OTHERS, (number,))
        others = self._cursor.fetchall()
        if any(is_later for _, is_later in others):
            return False
        table, column = _quoted(self._table), _quoted(self._load_column)
        self._cursor.executemany(
            f"DELETE FROM {table} WHERE {column} = %s",  # noqa: S608 - quoted
            [(other,) for other, _ in others],
        )
        return True

    def send(self, number: int, chunk: Chunk) -> None:
        """See `lib.loads.Store`."""
        text = chunk.text
        if not self._sent:
            self._cursor.execute("SAVEPOINT batch")  # instead of the last one
            if self._is_bulk:
                self._file = LocalFile(self._cursor, self._into)
        if self._load_column:
            text = text.replace(b"\n", b"\t%d\n" % number)
        self._sent += len(chunk.origins) or text.count(b"\n")
        if self._file:
            self._file.write(text)
        else:
            self._rows += map(fields, text.splitlines(keepends=True))

    def settle(self) -> Refusal | None:
        """See `lib.loads.Store`.

        LOAD DATA makes do with values that it has to cut or to guess, and warns: here
        a warning is a refusal, and so is a row that was not taken.
        """
        sent, self._sent = self._sent, 0
        file, self._file = self._file, None
        rows, self._rows = self._rows, []
        if not sent:
            return None
        cursor, refusal = self._cursor, None
        try:
            if file:
                file.end()
                if cursor.warning_count or cursor.rowcount != sent:
                    refusal = self._warnings()
            else:
                cursor.executemany(self._statement, rows)
        except self._driver.Error as error:
            if _code(error) not in REFUSALS:
                raise
            refusal = Refusal({}, is_all=False, reason=str(error.args[-1]))
        if refusal:
            cursor.execute("ROLLBACK TO SAVEPOINT batch")
        return refusal

    def reject(self, number: int, rejects: list[Reject]) -> None:
        """See `lib.loads.Store`."""
        self._cursor.executemany(REJECT, [(number, *reject) for reject in rejects])

    def record(self, number: int, loaded: int, rejected: int) -> None:
        """See `lib.loads.Store`."""
        self._cursor.execute(RECORD, (loaded, rejected, number))

    def _warnings(self) -> Refusal:
        self._cursor.execute("SHOW WARNINGS")
        rows: dict[int, str] = {}
        reason = "not taken"
        for _, _, message in self._cursor.fetchall():
            reason = message
            if line := re.search(r" at row (\d+)$", message):
                rows.setdefault(int(line[1]) - 1, message[: line.start()])
        return Refusal(rows, is_all=True, reason=reason)


class LocalFile:
    """A LOAD DATA LOCAL on its way, from a pipe that stands for the file.

    A thread runs the statement, so that rows are made while the server takes others.
    """

    def __init__(self, cursor: Any, into: str) -> None:
        self._cursor = cursor
        self._reading, writing = os.pipe()
        self._pipe = os.fdopen(writing, "wb")
        self._error: BaseException | None = None
        statement = f"LOAD DATA LOCAL INFILE '/dev/fd/{self._reading}' {into}"
        self._thread = threading.Thread(target=self._execute, args=(statement,))
        self._thread.start()

    def write(self, text: bytes) -> None:
        """Add to the file, unless the statement has failed."""
        with suppress(BrokenPipeError):
            self._pipe.write(text)

    def end(self) -> None:
        """End the file; raise what the statement has raised."""
        with suppress(BrokenPipeError):
            self._pipe.close()
        self._thread.join()
        if self._error:
            raise self._error

    def _execute(self, statement: str) -> None:
        try:
            self._cursor.execute(statement)
        except AttributeError as error:
            # pymysql stumbles over a connection that it has closed
            self._error = error.__context__ or error
        except Exception as error:
            self._error = error
        finally:
            os.close(self._reading)


def _code(error: BaseException) -> int:
    return error.args[0] if error.args and isinstance(error.args[0], int) else -1


def _quoted(name: str) -> str:
    return quoted(name, "`")
