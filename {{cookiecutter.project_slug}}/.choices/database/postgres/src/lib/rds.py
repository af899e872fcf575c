"""The database: PostgreSQL, by psycopg. The one file that knows its SQL."""

import re
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from importlib import import_module
from typing import Any, Self

from lib.database import Database, Trouble, filled_in, quoted
from lib.events import S3Object
from lib.loads import Refusal
from lib.rows import NULL, Chunk, Reject, fields

SESSION = "-c lock_timeout=5000 -c statement_timeout=60000"
# by the start of SQLSTATE, https://www.postgresql.org/docs/current/errcodes-appendix.html
TROUBLES = {
    "08": Trouble.AWAY,
    "57P0": Trouble.AWAY,  # the server shuts down or starts
    "25006": Trouble.READ_ONLY,
    "40": Trouble.CONFLICT,
    "55P03": Trouble.BUSY,
}
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
SAVEPOINT = "SAVEPOINT batch"
RECORD = """
UPDATE loads SET loaded = %s, rejected = %s, loaded_at = CURRENT_TIMESTAMP
WHERE number = %s
"""


class Rds(Database):
    """Client of PostgreSQL."""

    def _own_driver(self) -> Any:
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

    def _store(
        self, cursor: Any, table: str, columns: Sequence[str]
    ) -> "PostgresStore":
        return PostgresStore(cursor, self.driver, table, columns, self._var)

    def _diagnosis(self, error: Any) -> Trouble | None:
        if self._connection is None or self._connection.closed:
            return Trouble.AWAY
        state = str(error.sqlstate or "")
        found = (TROUBLES[each] for each in TROUBLES if state.startswith(each))
        return next(found, None)

    def _brief(self, error: BaseException) -> str:
        return (str(error).splitlines() or [type(error).__name__])[0]


class PostgresStore:
    """One transaction on its way, for `lib.loads`."""

    batch = 8  # more cost memory

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
            self._statement = filled_in(var.insert_statement, table, names, _quoted)
        columns_of_copy = ", ".join(map(_quoted, names))
        self._copy = f"COPY {_quoted(table)} ({columns_of_copy}) FROM STDIN"
        self._takes_csv = not self._load_column and not self._statement
        self._begin = SAVEPOINT
        self._is_open = False
        self._batch = ExitStack()
        self._copying: Any = None
        self._rows: list[list[str | None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        with suppress(self._driver.Error):
            self._batch.__exit__(*exception)  # COPY fails where it is not settled

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

    def send(self, number: int, chunk: Chunk) -> None:
        """See `lib.loads.Store`; all chunks of a batch have the same form."""
        if not self._is_open:
            self._cursor.execute(self._begin)
            self._begin = f"RELEASE SAVEPOINT batch; {SAVEPOINT}"  # one round trip
            self._is_open = True
        if chunk.csv and self._takes_csv:
            self._write(f"{self._copy} (FORMAT csv, NULL '{NULL}')", chunk.csv)
            return
        text = chunk.text
        if self._load_column:
            text = text.replace(b"\n", b"\t%d\n" % number)
        if self._statement:
            self._rows += map(fields, text.splitlines(keepends=True))
        else:
            self._write(self._copy, text)

    def _write(self, statement: str, text: bytes) -> None:
        if not self._copying:
            copy = self._cursor.copy(statement)
            self._copying = self._batch.enter_context(copy)
        self._copying.write(text)

    def settle(self) -> Refusal | None:
        """See `lib.loads.Store`."""
        if not self._is_open:
            return None
        self._copying = None
        rows, self._rows = self._rows, []
        self._is_open = False
        try:
            self._batch.close()
            if rows:
                self._cursor.executemany(self._statement, rows)
        except self._driver.Error as error:
            if not str(error.sqlstate or "").startswith(REFUSALS):
                raise
            self._cursor.execute("ROLLBACK TO SAVEPOINT batch")
            return _refusal(error)
        return None

    def reject(self, number: int, rejects: list[Reject]) -> None:
        """See `lib.loads.Store`."""
        self._cursor.executemany(REJECT, [(number, *reject) for reject in rejects])

    def record(self, number: int, loaded: int, rejected: int) -> None:
        """See `lib.loads.Store`."""
        self._cursor.execute(RECORD, (loaded, rejected, number))


def _refusal(error: Any) -> Refusal:
    reason = str(error.diag.message_primary)
    line = re.search(r"COPY .*, line (\d+)", error.diag.context or "")
    rows = {int(line[1]) - 1: reason} if line else {}
    return Refusal(rows, is_all=False, reason=reason)


def _quoted(name: str) -> str:
    return quoted(name, '"')
