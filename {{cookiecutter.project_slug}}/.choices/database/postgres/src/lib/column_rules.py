"""Rules for dates and times, which PostgreSQL would read in many other forms.

Such as `02/03/2012`, whose order depends on a setting, `now`, or a time whose offset it
drops.
"""

from collections.abc import Sequence
from typing import Any

from lib import values
from lib.database_errors import DatabaseError
from lib.values import Rule

# A domain has the rule of the type below it.
COLUMNS = """
WITH RECURSIVE types AS (
    SELECT attname, attgenerated, atttypid AS type FROM pg_attribute
    WHERE attrelid = %s::regclass AND attname = ANY(%s) AND NOT attisdropped
    UNION ALL
    SELECT attname, attgenerated, typbasetype FROM types
    JOIN pg_type ON pg_type.oid = type WHERE typtype = 'd'
)
SELECT attname, attgenerated <> '', format_type(type, NULL) FROM types
"""
RULES = {
    "date": values.DATE,
    "timestamp without time zone": values.UTC_TIMESTAMP,
    "timestamp with time zone": values.TIMESTAMP_WITH_OFFSET,
    "time without time zone": values.TIME,
    "time with time zone": values.TIME_WITH_OFFSET,
}


def read_rules(cursor: Any, table: str, columns: Sequence[str]) -> dict[str, Rule]:
    """Return rules for the columns that need them, by the columns' names.

    Args:
        cursor: the transaction.
        table: name of the table, quoted.
        columns: names of columns.

    Raises:
        DatabaseError: a column is generated.
    """
    cursor.execute(COLUMNS, (table, list(columns)))
    rules = {}
    name = table.replace('"', "")
    for column, is_generated, data_type in cursor.fetchall():
        if is_generated:
            raise DatabaseError(
                f"{column} is a generated column of {name}: remove it from columns"
            )
        if data_type in RULES:
            rules[column] = RULES[data_type]
    return rules
