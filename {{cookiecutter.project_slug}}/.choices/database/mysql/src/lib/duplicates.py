"""Finds the rows that LOAD DATA has left out as duplicates.

MySQL reports their keys, but not their numbers.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from lib.chunks import parse_row

MESSAGE = re.compile(
    r"Duplicate entry '(.*)' for key '(?:[^']*\.)?([^'.]+)'", re.DOTALL
)
WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]*")
WHOLE_NUMBERS = ("tinyint", "smallint", "mediumint", "int", "bigint")
TEXTS = ("char", "varchar")
UNIQUE_KEYS = """
SELECT index_name, column_name, data_type, sub_part
FROM information_schema.statistics
LEFT JOIN information_schema.columns USING (table_schema, table_name, column_name)
WHERE non_unique = 0 AND table_name = %s AND table_schema = coalesce(%s, database())
ORDER BY index_name, seq_in_index
"""


class KeyColumn(NamedTuple):
    """A column of a unique key: its place among the values of a row."""

    position: int
    is_text: bool


class Duplicates:
    """Names the rows that are duplicates by the messages of MySQL.

    Args:
        cursor: the transaction.
        table: name of the table, optionally with its schema: `schema.table`.
        columns: names of the columns of the rows.
    """

    def __init__(self, cursor: Any, table: str, columns: Sequence[str]) -> None:
        self._cursor = cursor
        schema, _, self._table = table.rpartition(".")
        self._schema = schema or None
        self._columns = list(columns)
        self._keys: dict[str, list[KeyColumn]] | None = None

    def find(self, rows: Sequence[bytes], messages: Sequence[str]) -> dict[int, str]:
        """Return the messages of the rows that were left out, by the rows' indices.

        Of the rows with a key, all were left out, or all but the first. So their number
        says which. The result is empty if the messages do not prove which they were.

        Args:
            rows: all rows that were sent, as text for LOAD DATA.
            messages: a message for each row that was left out.
        """
        found: dict[int, str] = {}
        indices = self._group(rows)
        for message, count in Counter(messages).items():
            match = MESSAGE.fullmatch(message)
            same = indices.get((match[2], match[1]), []) if match else []
            if len(same) not in (count, count + 1):
                return {}
            found |= dict.fromkeys(same[-count:], message)
        return found if len(found) == len(messages) else {}

    def _group(self, rows: Sequence[bytes]) -> dict[tuple[str, str], list[int]]:
        """Return the indices of the rows with each entry of each unique key.

        There are none if the database might write one of the entries otherwise. An
        entry with a NULL has no duplicates.
        """
        if self._keys is None:
            self._keys = self._read_keys()
        groups: dict[tuple[str, str], list[int]] = defaultdict(list)
        for index, row in enumerate(rows):
            values = parse_row(row)
            for name, columns in self._keys.items():
                entry = [
                    value
                    for column in columns
                    if (value := values[column.position]) is not None
                ]
                if len(entry) < len(columns):
                    continue
                if not all(map(_is_written_so, entry, columns)):
                    return {}
                groups[name, "-".join(entry)].append(index)
        return groups

    def _read_keys(self) -> dict[str, list[KeyColumn]]:
        """Return the unique keys whose entries in messages are the rows' values."""
        self._cursor.execute(UNIQUE_KEYS, (self._table, self._schema))
        keys: dict[str, list[KeyColumn]] = defaultdict(list)
        unusable = set()
        for name, column, data_type, prefix_length in self._cursor.fetchall():
            is_usable = data_type in WHOLE_NUMBERS + TEXTS and prefix_length is None
            if is_usable and column in self._columns:
                position = self._columns.index(column)
                keys[name].append(KeyColumn(position, data_type in TEXTS))
            else:
                unusable.add(name)
        return {
            name: columns
            for name, columns in keys.items()
            # several texts could be joined to the same entry
            if name not in unusable and sum(each.is_text for each in columns) < 2
        }


def _is_written_so(value: str, column: KeyColumn) -> bool:
    """Return whether a message writes a value of a key as the row does."""
    if column.is_text:
        return value.isascii() and not value.endswith(" ")  # which may be cut off
    return WHOLE_NUMBER.fullmatch(value) is not None
