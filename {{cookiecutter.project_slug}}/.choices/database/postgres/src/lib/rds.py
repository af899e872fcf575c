"""The database: PostgreSQL, by psycopg. The one file that knows SQL."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from lib.events import S3Object
from lib.rows import Batch

CLAIM = """
INSERT INTO loads (object_id, target, bucket, object_key, version)
VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""
RECORD = """
UPDATE loads SET loaded = %s, rejected = %s WHERE object_id = %s AND target = %s
"""
REJECT = """
INSERT INTO rejects (object_id, target, line, content, reason)
VALUES (%s, %s, %s, %s, %s)
"""


class Rds:
    """Client of the database; it connects when it is first needed.

    Args:
        var: settings, of which those named `db_…` are read.
        driver: module that connects; by default psycopg.
    """

    def __init__(self, var: Any, driver: Any = None) -> None:
        self._var = var
        self._driver = driver
        self._connection: Any = None

    @contextmanager
    def load(
        self, found: S3Object, table: str, columns: Sequence[str], statement: str
    ) -> Iterator["Load"]:
        """Open one transaction for rows, rejects and ledger entry: all or nothing.

        Where another worker has the same object in hand, this waits for its end.

        Args:
            found: the object whose rows are loaded.
            table: table that takes the rows, by its schema too if need be.
            columns: columns of the table, in the order of the fields.
            statement: takes a row; see the setting `insert_statement`.
        """
        with self.transaction() as cursor:
            load = Load(cursor, found, table, _filled_in(statement, table, columns))
            yield load
            load.record()

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """Open a transaction and yield its cursor (PEP 249): all or nothing."""
        connection = self._connect()
        with connection.transaction(), connection.cursor() as cursor:
            yield cursor

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return the rows that a statement yields, as tuples; `%s` marks a value."""
        with self.transaction() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())

    def close(self) -> None:
        """Close the connection; the next use opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> Any:
        if self._connection is None or self._connection.closed:
            driver = self._driver or import_module("psycopg")
            var = self._var
            tls = {"sslmode": "prefer"}
            if var.db_tls == "verify":
                tls = {"sslmode": "verify-full", "sslrootcert": var.db_ca or "system"}
            self._connection = driver.connect(
                host=var.db_host,
                port=var.db_port,
                dbname=var.db_name,
                user=var.db_user,
                password=var.db_pass,
                **tls,
                connect_timeout=10,
                autocommit=True,
            )
        return self._connection


class Load:
    """One object on its way into a table.

    `is_new` tells whether there is anything to do: the ledger knows each state of an
    object, so that the same one is loaded once into a table.
    """

    def __init__(
        self, cursor: Any, found: S3Object, table: str, statement: str
    ) -> None:
        self._cursor = cursor
        self._found = found
        self._statement = statement
        self._id = (found.id, table)
        self._loaded = self._rejected = 0
        state = found.version or found.etag
        cursor.execute(CLAIM, (*self._id, found.bucket, found.key, state))
        self.is_new = cursor.rowcount == 1

    def add(self, batch: Batch) -> None:
        """Insert the rows, and set the rejects aside."""
        if batch.rows:
            self._cursor.executemany(self._statement, batch.rows)
        if batch.rejects:
            self._cursor.executemany(
                REJECT, [(*self._id, *reject) for reject in batch.rejects]
            )
        self._loaded += len(batch.rows)
        self._rejected += len(batch.rejects)

    def record(self) -> None:
        """Note the numbers of rows in the ledger."""
        if self.is_new:
            self._cursor.execute(RECORD, (self._loaded, self._rejected, *self._id))

    @property
    def report(self) -> dict[str, Any]:
        """What became of the object."""
        return {
            "object": str(self._found),
            "outcome": "loaded" if self.is_new else "loaded before",
            "loaded": self._loaded,
            "rejected": self._rejected,
        }


def _filled_in(statement: str, table: str, columns: Sequence[str]) -> str:
    """Return the statement with its names in braces filled in, quoted."""
    return (
        statement.replace("{table}", ".".join(map(_quoted, table.split("."))))
        .replace("{columns}", ", ".join(map(_quoted, columns)))
        .replace("{values}", ", ".join(["%s"] * len(columns)))
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""').replace("%", "%%") + '"'
