"""Merges rows into a table by a key: `on_duplicate` with `ignore` or `update`.

Rows are copied into a temporary table first, and from there into their own by one
statement for each batch, see
https://www.postgresql.org/docs/current/sql-insert.html#SQL-ON-CONFLICT
"""

from collections.abc import Sequence
from typing import Any

from lib.database_errors import DatabaseError
from lib.statements import quote_name

STAGE = "rows_to_merge"
POSITION = "position in file"  # a column of the stage
HAS_KEY = """
SELECT count(*) FROM pg_index CROSS JOIN LATERAL (
    SELECT array_agg(attname::text) AS names FROM pg_attribute
    WHERE attrelid = indrelid AND attnum = ANY((indkey::int2[])[:indnkeyatts - 1])
) AS columns
WHERE indrelid = %s::regclass AND indisunique AND indimmediate AND indisvalid
    AND indpred IS NULL AND indexprs IS NULL
    AND names @> %s::text[] AND names <@ %s::text[]
"""
CREATE = """
CREATE TEMPORARY TABLE {stage} ON COMMIT DROP AS
SELECT {columns} FROM {table} WITH NO DATA
"""
NUMBER = "ALTER TABLE {stage} ADD {position} BIGINT GENERATED ALWAYS AS IDENTITY"
IGNORE = """
INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE
SELECT {columns} FROM {stage} ORDER BY {position}
ON CONFLICT ({key}) DO NOTHING
"""
# Rows whose key has a NULL are no duplicates of each other.
UPDATE = """
WITH newest AS MATERIALIZED (
    SELECT DISTINCT ON ({key}, {is_alone}) {columns} FROM {stage} AS new
    ORDER BY {key}, {is_alone}, {newest_first} {position} DESC
), known AS MATERIALIZED (
    SELECT {stored_key} FROM newest JOIN {table} AS stored USING ({key})
), written AS (
    INSERT INTO {table} AS stored ({columns}) OVERRIDING SYSTEM VALUE
    SELECT {columns} FROM newest
    ON CONFLICT ({key}) DO UPDATE SET {assignments} WHERE {is_newer}
    RETURNING {stored_key}
)
SELECT (SELECT count(*) FROM written),
    (SELECT count(*) FROM written JOIN known USING ({key}))
"""
IS_NEWER = """
{new} > {old} OR {old} IS NULL AND {new} IS NOT NULL
OR {old} IS NOT DISTINCT FROM {new} AND {new_text} > {old_text}
"""


class Merge:
    """Merges batches of rows into a table.

    Args:
        cursor: the transaction.
        table: name of the table, quoted.
        columns: names of its columns.
        var: settings.

    Attributes:
        stage: the table to copy the rows of a batch into.
    """

    stage = STAGE

    def __init__(
        self, cursor: Any, table: str, columns: Sequence[str], var: Any
    ) -> None:
        self._cursor = cursor
        self._table = table
        self._columns = list(columns)
        self._var = var
        self._key = list(var.key or ())

    def prepare(self) -> None:
        """Create the stage. It lives as long as the transaction.

        Raises:
            DatabaseError: no unique key of the table has exactly the key's columns.
        """
        self._cursor.execute(HAS_KEY, (self._table, self._key, self._key))
        if self._cursor.fetchone() == (0,):
            table = self._table.replace('"', "")
            raise DatabaseError(
                f"{table} has no unique key of exactly {', '.join(self._key)}, which "
                f"on_duplicate: {self._var.on_duplicate} needs: add one, or change "
                "`key`"
            )
        self._cursor.execute(self._fill_in(CREATE))
        self._cursor.execute(self._fill_in(NUMBER))

    def run(self) -> tuple[int, int]:
        """Merge the rows of the stage, and empty it.

        Returns:
            How many rows were written, and how many of them were there before.
        """
        if self._var.on_duplicate == "update" and self._others():
            self._cursor.execute(self._fill_in(UPDATE))
            written, updated = self._cursor.fetchone()
        else:
            self._cursor.execute(self._fill_in(IGNORE))
            written, updated = self._cursor.rowcount, 0
        self._cursor.execute(f"TRUNCATE {STAGE}")
        return written, updated

    def _others(self) -> list[str]:
        return [name for name in self._columns if name not in self._key]

    def _fill_in(self, statement: str) -> str:
        values = {
            "table": self._table,
            "stage": STAGE,
            "position": _quote(POSITION),
            "columns": ", ".join(map(_quote, self._columns)),
            "key": ", ".join(map(_quote, self._key)),
            "stored_key": ", ".join(f"stored.{_quote(name)}" for name in self._key),
            "is_alone": self._when_alone(),
            "newest_first": self._newest_first(),
            "assignments": ", ".join(
                f"{_quote(name)} = EXCLUDED.{_quote(name)}" for name in self._others()
            ),
            "is_newer": self._is_newer(),
        }
        return statement.format(**values)

    def _when_alone(self) -> str:
        is_null = " OR ".join(f"{_quote(name)} IS NULL" for name in self._key)
        return f"CASE WHEN {is_null} THEN {_quote(POSITION)} END"

    def _newest_first(self) -> str:
        if not self._var.order_by:
            return ""
        name = _quote(self._var.order_by)
        return f"{name} DESC NULLS LAST, {self._text('new')} DESC,"

    def _is_newer(self) -> str:
        """Return the condition for a row to replace the table's.

        Of two rows of the same age, the one with the greater text wins, so that the
        order of files makes no difference.
        """
        texts = {"old_text": self._text("stored"), "new_text": self._text("EXCLUDED")}
        if not self._var.order_by:
            return "{old_text} <> {new_text}".format(**texts)
        name = _quote(self._var.order_by)
        return IS_NEWER.format(old=f"stored.{name}", new=f"EXCLUDED.{name}", **texts)

    def _text(self, alias: str) -> str:
        """Return SQL for the text of a row, without the number of its load."""
        names = [name for name in self._columns if name != self._var.load_column]
        values = ", ".join(f"{alias}.{_quote(name)}" for name in names)
        return f'ROW({values})::text COLLATE "C"'


def _quote(name: str) -> str:
    return quote_name(name, '"')
