"""Merges rows into a table by a key: `on_duplicate` with `ignore` or `update`.

`ON DUPLICATE KEY UPDATE` would also act on other unique keys, and change rows that have
another key. So rows go into a temporary table first, and from there into their own by
one UPDATE and one INSERT for each batch.
"""

from collections.abc import Sequence
from typing import Any

from lib.database_errors import DatabaseError
from lib.statements import quote_name, quote_table

STAGE = "rows_to_merge"
NEWEST = "newest_rows_to_merge"  # MySQL opens a temporary table once in a statement
POSITION = "position in file"  # a column of both
UNIQUE_KEYS = """
SELECT index_name, column_name, sub_part FROM information_schema.statistics
WHERE non_unique = 0 AND table_name = %s AND table_schema = coalesce(%s, database())
"""
DROP = "DROP TEMPORARY TABLE IF EXISTS {stage}, {newest}"
CREATE = """
CREATE TEMPORARY TABLE {name} (
    {position} BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY
) ENGINE = InnoDB AS SELECT {columns} FROM {table} WHERE 1 = 0
"""
# Rows whose key has a NULL are no duplicates of each other.
FIND_NEWEST = """
INSERT INTO {newest} ({columns}, {position})
SELECT {columns}, {position} FROM (
    SELECT {columns}, {position},
        ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY {order}) AS `place in order`
    FROM {stage} AS new
) AS ordered
WHERE `place in order` = 1 OR {is_alone}
"""
UPDATE = """
UPDATE {table} AS old JOIN {newest} AS new ON {same_key}
SET {assignments} WHERE {is_newer}
"""
INSERT = """
INSERT INTO {table} ({columns})
SELECT {new_columns} FROM {newest} AS new LEFT JOIN {table} AS old ON {same_key}
WHERE old.{first_key} IS NULL ORDER BY new.{position}
"""
CLEAR = "DELETE FROM {name}"
IS_NEWER = """
new.{name} > old.{name} OR old.{name} IS NULL AND new.{name} IS NOT NULL
OR old.{name} <=> new.{name} AND {new_text} > {old_text}
"""


class Merge:
    """Merges batches of rows into a table.

    Args:
        cursor: the transaction.
        table: name of the table, optionally with its schema: `schema.table`.
        columns: names of its columns.
        var: settings.

    Attributes:
        stage: the table to load the rows of a batch into.
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
        """Create the stage, and a table for the newest of its rows.

        Raises:
            DatabaseError: no unique key of the table has exactly the key's columns.
        """
        if not self._has_key():
            raise DatabaseError(
                f"{self._table} has no unique key of exactly {', '.join(self._key)}, "
                f"which on_duplicate: {self._var.on_duplicate} needs: add one, or "
                "change `key`"
            )
        self._cursor.execute(self._fill_in(DROP))  # of an earlier transaction
        for name in (STAGE, NEWEST):
            self._cursor.execute(self._fill_in(CREATE, name))

    def run(self) -> tuple[int, int]:
        """Merge the rows of the stage, and empty it.

        Returns:
            How many rows were written, and how many of them were there before.
        """
        updated = 0
        self._cursor.execute(self._fill_in(FIND_NEWEST))
        if self._var.on_duplicate == "update" and self._others():
            updated = self._cursor.execute(self._fill_in(UPDATE))
        inserted = self._cursor.execute(self._fill_in(INSERT))
        for name in (STAGE, NEWEST):
            self._cursor.execute(CLEAR.format(name=name))
        return updated + inserted, updated

    def _has_key(self) -> bool:
        schema, _, name = self._table.rpartition(".")
        self._cursor.execute(UNIQUE_KEYS, (name, schema or None))
        keys: dict[str, set[str]] = {}
        for index, column, prefix_length in self._cursor.fetchall():
            part = column.lower() if prefix_length is None else ""
            keys.setdefault(index, set()).add(part)
        return {name.lower() for name in self._key} in keys.values()

    def _others(self) -> list[str]:
        return [name for name in self._columns if name not in self._key]

    def _fill_in(self, statement: str, name: str = "") -> str:
        key = [_quote(name) for name in self._key]
        columns = [_quote(name) for name in self._columns]
        values = {
            "name": name,
            "table": quote_table(self._table, "`"),
            "stage": STAGE,
            "newest": NEWEST,
            "position": _quote(POSITION),
            "columns": ", ".join(columns),
            "new_columns": ", ".join(f"new.{name}" for name in columns),
            "key": ", ".join(key),
            "first_key": key[0],
            "same_key": " AND ".join(f"old.{name} = new.{name}" for name in key),
            "is_alone": " OR ".join(f"{name} IS NULL" for name in key),
            "order": self._order(),
            "assignments": ", ".join(
                f"old.{_quote(name)} = new.{_quote(name)}" for name in self._others()
            ),
            "is_newer": self._is_newer(),
        }
        return statement.format(**values)

    def _order(self) -> str:
        if self._var.on_duplicate == "ignore":
            return _quote(POSITION)
        last_first = f"{_quote(POSITION)} DESC"
        if not self._var.order_by:
            return last_first
        name = _quote(self._var.order_by)
        return f"{name} DESC, {self._text('new')} DESC, {last_first}"

    def _is_newer(self) -> str:
        """Return the condition for a row to replace the table's.

        Of two rows of the same age, the one with the greater text wins, so that the
        order of files makes no difference.
        """
        texts = {"old_text": self._text("old"), "new_text": self._text("new")}
        if not self._var.order_by:
            return "{old_text} <> {new_text}".format(**texts)
        return IS_NEWER.format(name=_quote(self._var.order_by), **texts)

    def _text(self, alias: str) -> str:
        """Return SQL for the text of a row, without the number of its load."""
        names = [name for name in self._columns if name != self._var.load_column]
        values = ", ".join(f"QUOTE({alias}.{_quote(name)})" for name in names)
        return f"CAST(CONCAT_WS(',', {values}) AS BINARY)"


def _quote(name: str) -> str:
    return quote_name(name, "`")
