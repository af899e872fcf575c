r"""Finds rows whose values are none of their columns' types, in one query.

PostgreSQL 16 and later check a text against a type without raising an error, see
https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-VALIDITY.
That takes a few times as long as COPY for a row, whether it is good or bad.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

SERVER_VERSION = 160000
COLUMN_TYPES = """
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = %s::regclass AND attname = ANY(%s)
"""
# `MATERIALIZED`, or the planner would check each value several times.
FIND = r"""
WITH split AS MATERIALIZED (
    SELECT number, string_to_array(line, E'\t', '\N') AS cells
    FROM string_to_table(%s, E'\n') WITH ORDINALITY AS lines (line, number)
), checked AS MATERIALIZED (
    SELECT number, cells, CASE {conditions} ELSE 0 END AS bad FROM split
), refused AS MATERIALIZED (
    SELECT number, bad, cells[bad] AS cell FROM checked WHERE bad > 0
), reasons AS MATERIALIZED (
    SELECT bad, cell, sql_error_code, message
    FROM (SELECT DISTINCT bad, cell FROM refused) AS each
    CROSS JOIN LATERAL pg_input_error_info(cell, (%s::text[])[bad])
)
SELECT number - 1, sql_error_code, message, bad
FROM refused JOIN reasons USING (bad, cell) ORDER BY number
"""


class Invalid(NamedTuple):
    """A row with a value that is none of its column's type.

    `number` counts rows from 0. `state` is the SQLSTATE, `place` the column.
    """

    number: int
    state: str
    message: str
    place: str


class TypeCheck:
    """Checks rows against the columns of a table.

    Args:
        cursor: the transaction.
        table: name of the table, quoted.
        columns: names of its columns.
    """

    def __init__(self, cursor: Any, table: str, columns: Sequence[str]) -> None:
        self._cursor = cursor
        self._table = table
        self._columns = list(columns)
        self._types: list[str] = []

    def find_invalid(self, rows: bytes) -> list[Invalid]:
        """Return the rows whose first bad value is none of its column's type.

        There are none if the server is too old for the check, or if rows have escapes
        other than that of NULL, which it does not know.

        Args:
            rows: the rows, as text for COPY.

        Raises:
            Error: a type raises an error nevertheless, as some extensions' types do.
        """
        is_old = self._cursor.connection.info.server_version < SERVER_VERSION
        if is_old or b"\\" in rows.replace(rb"\N", b""):
            return []
        self._types = self._types or self._read_types()
        conditions = " ".join(
            f"WHEN NOT pg_input_is_valid(cells[{number}], (%s::text[])[{number}]) "
            f"THEN {number}"
            for number in range(1, len(self._types) + 1)
        )
        types = [self._types] * len(self._types)
        text = rows.decode().removesuffix("\n")
        statement = FIND.format(conditions=conditions)
        self._cursor.execute(statement, (text, *types, self._types))
        return [
            Invalid(number, state, message, self._columns[bad - 1])
            for number, state, message, bad in self._cursor.fetchall()
        ]

    def _read_types(self) -> list[str]:
        self._cursor.execute(COLUMN_TYPES, (self._table, self._columns))
        types = dict(self._cursor.fetchall())
        return [types[column] for column in self._columns]
