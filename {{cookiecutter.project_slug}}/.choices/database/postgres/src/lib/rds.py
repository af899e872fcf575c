"""The database: PostgreSQL, by psycopg. The one file that knows its SQL."""

import logging
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

from lib.events import S3Object
from lib.loads import DatabaseAwayError, Load, Refusal
from lib.rows import Reject, fields

logger = logging.getLogger("function")

P = ParamSpec("P")
R = TypeVar("R")

ATTEMPTS = 3
SESSION = "-c lock_timeout=5000 -c statement_timeout=60000"
# serialization failure, deadlock, lock timeout; the last: now it only reads
CONFLICTS = ("40001", "40P01", "55P03", "25006")
# connection exceptions, the server shuts down or starts
AWAY = ("08", "57P0")
# classes of errors that a value causes: data, integrity, raised by a trigger
REFUSALS = ("22", "23", "P0001")

CLAIM = """
INSERT INTO loads (object_id, target, bucket, object_key, version, function)
VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING number
"""
DESCRIBE = "UPDATE loads SET bytes = %s, modified_at = %s WHERE number = %s"
LOCK = """
SELECT pg_advisory_xact_lock(
    hashtextextended(concat_ws('/', target, bucket, object_key), 0)
)
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
        driver: module that connects; by default psycopg.
    """

    def __init__(self, var: Any, driver: Any = None) -> None:
        self._var = var
        self._given = driver
        self._connection: Any = None

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
            store = PostgresStore(cursor, self._driver, table, columns, var)
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
            with connection.transaction(), connection.cursor() as cursor:
                yield cursor
        except self._driver.Error as error:
            if self._is_away(error):
                self.close()
                raise DatabaseAwayError(_brief(error)) from error
            raise

    def retry(self, act: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what `act` returns; try again where others were in its way.

        That is a deadlock, a lock that others hold for long, a connection that was lost
        or leads to a server that only reads. There are `ATTEMPTS` in all.
        """
        for left in reversed(range(ATTEMPTS)):
            try:
                return act(*args, **kwargs)
            except (DatabaseAwayError, self._driver.Error) as error:
                is_away = isinstance(error, DatabaseAwayError)
                state = getattr(error, "sqlstate", None)
                if not left or not (is_away or state in CONFLICTS):
                    raise
                logger.warning("trying again: %s", _brief(error))
                if state == "25006":
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
            self._connection.close()
            self._connection = None

    @property
    def _driver(self) -> Any:
        return self._given or import_module("psycopg")

    def _is_away(self, error: Any) -> bool:
        is_lost = self._connection is None or self._connection.closed
        return is_lost or str(error.sqlstate or "").startswith(AWAY)

    def _connect(self) -> Any:
        if self._connection is not None and not self._answers():
            self.close()
        if self._connection is None:
            var = self._var
            tls = {"sslmode": "prefer"}
            if var.db_tls == "verify":
                tls = {"sslmode": "verify-full", "sslrootcert": var.db_ca or "system"}
            try:
                self._connection = self._driver.connect(
                    host=var.db_host,
                    port=var.db_port,
                    dbname=var.db_name,
                    user=var.db_user,
                    password=var.db_pass,
                    options=SESSION,
                    connect_timeout=10,
                    tcp_user_timeout=30_000,
                    autocommit=True,
                    **tls,
                )
            except self._driver.OperationalError as error:
                raise DatabaseAwayError(_brief(error)) from error
        return self._connection

    def _answers(self) -> bool:
        try:
            self._connection.execute("SELECT 1")
        except self._driver.Error:
            return False
        return True


class PostgresStore:
    """One transaction on its way, for `lib.loads`."""

    def __init__(
        self, cursor: Any, driver: Any, table: str, columns: Sequence[str], var: Any
    ) -> None:
        self._cursor = cursor
        self._driver = driver
        self._table = table
        self._load_column = var.load_column
        names = [*columns, self._load_column] if self._load_column else columns
        self._statement = ""
        if var.insert_statement:
            self._statement = _filled_in(var.insert_statement, table, names)
        columns_of_copy = ", ".join(map(_quoted, names))
        self._copy = f"COPY {_quoted(table)} ({columns_of_copy}) FROM STDIN"

    def claim(self, found: S3Object, function: str) -> int | None:
        """See `lib.loads.Store`."""
        state = found.version or found.etag
        where = (found.id, self._table, found.bucket, found.key)
        self._cursor.execute(CLAIM, (*where, state, function))
        row = self._cursor.fetchone()
        return row[0] if row else None

    def describe(self, number: int, size: int, modified: datetime) -> None:
        """See `lib.loads.Store`."""
        self._cursor.execute(DESCRIBE, (size, modified, number))

    def supersede(self, number: int) -> bool:
        """See `lib.loads.Store`."""
        self._cursor.execute(LOCK, (number,))
        self._cursor.execute(OTHERS, (number,))
        others = self._cursor.fetchall()
        if any(is_later for _, is_later in others):
            return False
        table, column = _quoted(self._table), _quoted(self._load_column)
        numbers = [other for other, _ in others]
        self._cursor.execute(
            f"DELETE FROM {table} WHERE {column} = ANY(%s)",  # noqa: S608 - quoted
            (numbers,),
        )
        return True

    def insert(self, number: int, rows: list[bytes]) -> Refusal | None:
        """See `lib.loads.Store`."""
        cursor = self._cursor
        cursor.execute("SAVEPOINT chunk")
        try:
            if self._statement:
                cursor.executemany(self._statement, self._values(number, rows))
            else:
                with cursor.copy(self._copy) as copy:
                    copy.write(self._numbered(number, rows))
        except self._driver.Error as error:
            if not str(error.sqlstate or "").startswith(REFUSALS):
                raise
            cursor.execute("ROLLBACK TO SAVEPOINT chunk")
            return _refusal(error)
        cursor.execute("RELEASE SAVEPOINT chunk")
        return None

    def reject(self, number: int, rejects: list[Reject]) -> None:
        """See `lib.loads.Store`."""
        self._cursor.executemany(REJECT, [(number, *reject) for reject in rejects])

    def record(self, number: int, loaded: int, rejected: int) -> None:
        """See `lib.loads.Store`."""
        self._cursor.execute(RECORD, (loaded, rejected, number))

    def _numbered(self, number: int, rows: list[bytes]) -> bytes:
        text = b"".join(rows)
        return text.replace(b"\n", b"\t%d\n" % number) if self._load_column else text

    def _values(self, number: int, rows: list[bytes]) -> list[list[Any]]:
        more = [number] if self._load_column else []
        return [[*fields(row), *more] for row in rows]


def _refusal(error: Any) -> Refusal:
    reason = str(error.diag.message_primary)
    line = re.search(r"COPY .*, line (\d+)", error.diag.context or "")
    rows = {int(line[1]) - 1: reason} if line else {}
    return Refusal(rows, is_all=False, reason=reason)


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
    parts = name.replace('"', '""').split(".")
    return ".".join(f'"{part}"' for part in parts)


def _brief(error: BaseException) -> str:
    """Return the first line of an error, which says no values."""
    return (str(error).splitlines() or [type(error).__name__])[0]
