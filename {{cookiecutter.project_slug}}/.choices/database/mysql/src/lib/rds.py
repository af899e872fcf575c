"""The database: MySQL or MariaDB, by pymysql. The one file that knows its SQL."""

import logging
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from importlib import import_module
from ssl import create_default_context
from typing import Any, ParamSpec, TypeVar

from lib.events import S3Object
from lib.loads import DatabaseAwayError, Load, Refusal
from lib.rows import Reject, fields

logger = logging.getLogger("function")

P = ParamSpec("P")
R = TypeVar("R")

ATTEMPTS = 3
SESSION = (
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION innodb_lock_wait_timeout = 5, sql_notes = 0, "
    "sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')",
)
# lock wait timeout, deadlock; the others: now it only reads
CONFLICTS = (1205, 1213, 1290, 1792, 1836)
# the server shuts down or has closed the connection, or cannot be reached
AWAY = (0, 1053, 1927, 2002, 2003, 2006, 2013, 2055, 4031)
# a server that nobody vouches for could ask for any file of this machine
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# errors that a value causes
REFUSALS = (1048, 1062, 1264, 1265, 1292, 1366, 1367, 1406, 1452, 1644, 3819, 4025)
INSERT = "INSERT INTO {table} ({columns}) VALUES ({values})"
# the server takes no local files
NO_LOCAL_FILES = (1148, 3948, 4166)

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


class Rds:
    """Client of the database; it connects when it is first needed.

    Args:
        var: settings.
        driver: module that connects; by default pymysql.
    """

    def __init__(self, var: Any, driver: Any = None) -> None:
        self._var = var
        self._given = driver
        self._connection: Any = None
        self.takes_files = var.db_tls == "verify" or var.db_host in LOOPBACK

    @contextmanager
    def load(
        self, found: S3Object, table: str, columns: Sequence[str], function: str
    ) -> Iterator[Load]:
        """Open one transaction for rows, rejects and ledger entry: all or nothing.

        Args:
            found: the object whose rows are loaded.
            table: table that takes the rows, by its schema too if need be.
            columns: columns of the table, in the order of the fields.
            function: who loads it, for the ledger.
        """
        var = self._var
        with self.transaction() as cursor:
            store = MysqlStore(cursor, self, table, columns, var)
            load = Load(
                store,
                found,
                function,
                replaces=var.on_new_version == "replace",
                max_reject_share=var.max_reject_share,
            )
            yield load
            load.finish()

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """Open a transaction and yield its cursor (PEP 249): all or nothing.

        Raises:
            DatabaseAwayError: there is no connection, or it was lost.
        """
        connection = self._connect()
        try:
            connection.begin()
            with connection.cursor() as cursor:
                yield cursor
            connection.commit()
        except BaseException as error:
            self._roll_back()
            if isinstance(error, self.driver.Error) and _code(error) in AWAY:
                raise DatabaseAwayError(_brief(error)) from error
            raise
        finally:
            if self._connection and self._var.on_new_version == "replace":
                connection.query("DO RELEASE_ALL_LOCKS()")

    def retry(self, act: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what `act` returns; try again where others were in its way.

        That is a deadlock, a lock that others hold for long, a connection that was lost
        or leads to a server that only reads. There are `ATTEMPTS` in all.
        """
        for left in reversed(range(ATTEMPTS)):
            try:
                return act(*args, **kwargs)
            except (DatabaseAwayError, self.driver.Error) as error:
                is_away = isinstance(error, DatabaseAwayError)
                if not left or not (is_away or _code(error) in CONFLICTS):
                    raise
                logger.warning("trying again: %s", _brief(error))
                if _code(error) not in CONFLICTS[:2]:
                    self.close()
                time.sleep(random.uniform(0.1, 0.5))  # noqa: S311 - jitter
        raise AssertionError("unreachable")

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return the rows that a statement yields, as tuples; `%s` marks a value."""
        with self.transaction() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())

    def check(self) -> None:
        """Do nothing, if the database answers.

        Raises:
            DatabaseAwayError: it does not.
        """
        self.query("SELECT 1")

    def close(self) -> None:
        """Close the connection; the next use opens a new one."""
        if self._connection is not None:
            with suppress(self.driver.Error):
                self._connection.close()
            self._connection = None

    @property
    def driver(self) -> Any:
        """The module that connects."""
        return self._given or import_module("pymysql")

    def _roll_back(self) -> None:
        try:
            self._connection.rollback()
        except (self.driver.Error, OSError):
            self.close()

    def _connect(self) -> Any:
        if self._connection is not None and not self._answers():
            self.close()
        if self._connection is None:
            var = self._var
            tls = None
            if var.db_tls == "verify":
                tls = create_default_context(cafile=var.db_ca)
            try:
                self._connection = self.driver.connect(
                    host=var.db_host,
                    port=var.db_port or 0,
                    database=var.db_name,
                    user=var.db_user,
                    password=var.db_pass or "",
                    charset="utf8mb4",
                    local_infile=self.takes_files,
                    ssl=tls,
                    connect_timeout=10,
                    read_timeout=60,
                    write_timeout=60,
                )
            except self.driver.OperationalError as error:
                raise DatabaseAwayError(_brief(error)) from error
            for statement in SESSION:
                self._connection.query(statement)
        return self._connection

    def _answers(self) -> bool:
        try:
            self._connection.ping(reconnect=False)
        except self.driver.Error:
            return False
        return True


class MysqlStore:
    """One transaction on its way, for `lib.loads`."""

    def __init__(
        self, cursor: Any, rds: Rds, table: str, columns: Sequence[str], var: Any
    ) -> None:
        self._cursor = cursor
        self._rds = rds
        self._table = table
        self._load_column = var.load_column
        names = [*columns, self._load_column] if self._load_column else columns
        self._is_bulk = not var.insert_statement
        self._statement = _filled_in(var.insert_statement or INSERT, table, names)
        columns_of_load = ", ".join(map(_quoted, columns))
        self._into = (
            f"INTO TABLE {_quoted(table)} CHARACTER SET utf8mb4 ({columns_of_load})"
        )

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
            raise self._rds.driver.OperationalError(CONFLICTS[0], "lock wait timeout")
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

    def insert(self, number: int, rows: list[bytes]) -> Refusal | None:
        """See `lib.loads.Store`.

        LOAD DATA makes do with values that it has to cut or to guess, and warns: here
        a warning is a refusal, and so is a row that was not taken.
        """
        cursor = self._cursor
        cursor.execute("SAVEPOINT chunk")
        refusal = None
        try:
            if self._is_bulk and self._rds.takes_files:
                self._load_file(number, b"".join(rows))
                if cursor.warning_count or cursor.rowcount != len(rows):
                    refusal = self._warnings()
            else:
                cursor.executemany(self._statement, self._values(number, rows))
        except self._rds.driver.Error as error:
            code = _code(error)
            if code in NO_LOCAL_FILES:
                logger.warning("inserting row by row: %s", _brief(error))
                self._rds.takes_files = False
                return self.insert(number, rows)
            if code not in REFUSALS:
                raise
            refusal = Refusal({}, is_all=False, reason=str(error.args[-1]))
        if refusal:
            cursor.execute("ROLLBACK TO SAVEPOINT chunk")
        else:
            cursor.execute("RELEASE SAVEPOINT chunk")
        return refusal

    def reject(self, number: int, rejects: list[Reject]) -> None:
        """See `lib.loads.Store`."""
        self._cursor.executemany(REJECT, [(number, *reject) for reject in rejects])

    def record(self, number: int, loaded: int, rejected: int) -> None:
        """See `lib.loads.Store`."""
        self._cursor.execute(RECORD, (loaded, rejected, number))

    def _load_file(self, number: int, text: bytes) -> None:
        """Load a text as if it were a file, by way of a pipe."""
        reading, writing = os.pipe()
        feeder = threading.Thread(target=_feed, args=(writing, text))
        feeder.start()
        try:
            statement = f"LOAD DATA LOCAL INFILE '/dev/fd/{reading}' {self._into}"
            if self._load_column:
                statement += f" SET {_quoted(self._load_column)} = {number}"
            self._cursor.execute(statement)
        finally:
            os.close(reading)
            feeder.join()

    def _warnings(self) -> Refusal:
        self._cursor.execute("SHOW WARNINGS")
        rows: dict[int, str] = {}
        reason = "not taken"
        for _, _, message in self._cursor.fetchall():
            reason = message
            if line := re.search(r" at row (\d+)$", message):
                rows.setdefault(int(line[1]) - 1, message[: line.start()])
        return Refusal(rows, is_all=True, reason=reason)

    def _values(self, number: int, rows: list[bytes]) -> list[list[Any]]:
        more = [number] if self._load_column else []
        return [[*fields(row), *more] for row in rows]


def _feed(pipe: int, text: bytes) -> None:
    with suppress(BrokenPipeError), os.fdopen(pipe, "wb") as file:
        file.write(text)


def _code(error: BaseException) -> int:
    return error.args[0] if error.args and isinstance(error.args[0], int) else -1


def _filled_in(statement: str, table: str, columns: Sequence[str]) -> str:
    """Return the statement with its names in braces filled in, quoted."""
    escaped = [_quoted(name).replace("%", "%%") for name in (table, *columns)]
    return (
        statement.replace("{table}", escaped[0])
        .replace("{columns}", ", ".join(escaped[1:]))
        .replace("{values}", ", ".join(["%s"] * len(columns)))
    )


def _quoted(name: str) -> str:
    """Return a name quoted, part by part where its parts are joined by points."""
    parts = name.replace("`", "``").split(".")
    return ".".join(f"`{part}`" for part in parts)


def _brief(error: BaseException) -> str:
    """Return the first line of an error, which says no values."""
    return (str(error.args[-1] if error.args else "").splitlines() or [repr(error)])[0]
