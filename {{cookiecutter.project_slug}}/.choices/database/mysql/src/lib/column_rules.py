r"""Rules for the values that MySQL and MariaDB would store as something else.

LOAD DATA and strict INSERT warn of most values that do not fit. They do not warn of
`1.5` for a whole number, `26` for a year, `1` for the first member of an ENUM, or NULL
for TIMESTAMP NOT NULL. MySQL's LOAD DATA reads `1.5x` as a decimal number, and only
notes it, as it does for digits that it rounds.
"""

import re
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from lib import values
from lib.chunks import ESCAPES
from lib.database_errors import DatabaseError
from lib.values import Rule

COLUMNS = """
SELECT column_name, data_type, column_type, is_nullable, lower(extra)
FROM information_schema.columns
WHERE table_name = %s AND table_schema = coalesce(%s, database())
"""
WHOLE_NUMBERS = ("tinyint", "smallint", "mediumint", "int", "bigint")
WHOLE_NUMBER = Rule("whole number", "[+-]?+[0-9]++")
DECIMAL_NUMBER = Rule(
    "decimal number",
    r"[+-]?+(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?+[0-9]++)?+",
)
ANY = Rule("value", r"(?:(?:[^\\\t\n]|\\[^N\t\n])[^\t\n]*+)?+")
MEMBER = re.compile("'((?:[^']|'')*)'")


class Column(NamedTuple):
    """A column: its name and the attributes that its rule depends on."""

    name: str
    data_type: str
    definition: str
    is_nullable: bool
    extra: str

    @property
    def length(self) -> str:
        """Its length, as in `bit(8)`."""
        return re.sub("[^0-9]", "", self.definition)

    @property
    def rule(self) -> Rule | None:
        """The rule for its values, if it needs one."""
        rule = self._type_rule()
        # NULL would become the next number, or the current time
        takes_default = "auto_increment" in self.extra or self.data_type == "timestamp"
        if takes_default and not self.is_nullable:
            rule = (rule or ANY)._replace(is_nullable=False)
        return rule

    def _type_rule(self) -> Rule | None:
        times = "{" + self.length + "}"
        if self.data_type in ("enum", "set"):
            return _make_member_rule(self.data_type, self.definition)
        if self.data_type == "bit":
            meaning = f"bit string of length {self.length}"
            return Rule(meaning, f"[01]{times}")
        if self.data_type == "binary":
            pattern = rf"(?:[^\\\t\n]|\\[^N]){times}"
            return Rule(f"value of {self.length} bytes", pattern, has_spaces=True)
        return RULES.get(self.data_type)


def read_columns(cursor: Any, table: str, columns: Sequence[str]) -> list[Column]:
    """Return the columns with these names that the table has.

    Args:
        cursor: the transaction.
        table: name of the table, optionally with its schema.
        columns: names of columns.

    Raises:
        DatabaseError: a column is generated.
    """
    schema, _, name = table.rpartition(".")
    cursor.execute(COLUMNS, (name, schema or None))
    names = {column.lower(): column for column in columns}
    found = [
        Column(names[column.lower()], data_type, definition, nullable == "YES", extra)
        for column, data_type, definition, nullable, extra in cursor.fetchall()
        if column.lower() in names
    ]
    for each in found:
        if re.search("(virtual|stored|persistent) generated", each.extra):
            raise DatabaseError(
                f"{each.name} is a generated column of {table}: remove it from columns"
            )
    return found


def _make_member_rule(data_type: str, definition: str) -> Rule:
    """Return the rule of ENUM and SET: their members exactly as they are declared.

    Servers would read a number as an index, and letters without regard to case.
    """
    found = (each.replace("''", "'") for each in MEMBER.findall(definition))
    texts = (each.replace(r"\\", "\\").translate(ESCAPES) for each in found)
    member = f"(?:{'|'.join(map(re.escape, texts))})"
    pattern = rf"(?:{member}(?:,{member})*)?" if data_type == "set" else member
    return Rule(f"member of {data_type.upper()}", pattern, has_spaces=True)


def _refuse_tiny(layout: str) -> Rule:
    """Return the rule of a type of floating-point numbers, which rounds tiny ones to 0.

    Args:
        layout: the type's name in the module `struct`.
    """

    def refuse(value: str) -> str | None:
        try:
            [stored] = struct.unpack(layout, struct.pack(layout, float(value)))
        except (ValueError, OverflowError):
            return value  # the server refuses it
        digits = value.lower().partition("e")[0]
        return None if stored == 0 and re.search("[1-9]", digits) else value

    return Rule("number large enough for its type", r"[^eE\\\t\n]{0,40}+", refuse)


RULES = {
    **dict.fromkeys(WHOLE_NUMBERS, WHOLE_NUMBER),
    "decimal": DECIMAL_NUMBER,
    "float": _refuse_tiny("f"),
    "double": _refuse_tiny("d"),
    "date": values.DATE,
    "datetime": values.TIMESTAMP,
    "timestamp": values.TIMESTAMP,
    # it may be an interval, too
    "time": Rule(
        "time as hh:mm:ss",
        r"-?+[0-9]{2,3}+:[0-5][0-9](?::[0-5][0-9](?:\.[0-9]++)?+)?+",
    ),
    "year": Rule("year of four digits", "[0-9][0-9][0-9][0-9]"),
}
