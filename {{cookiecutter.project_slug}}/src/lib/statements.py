"""Puts names into SQL statements, and reads an own `insert_statement`."""

import re
from collections.abc import Sequence

# The values of an own statement, from behind their opening parenthesis on.
VALUES = re.compile(r"\(\s*\{columns\}\s*\)\s*VALUES\s*\((.*)", re.I | re.S)
# A text, a name, a mark that separates values, or anything else.
PART = re.compile(r"""'(?:[^'\\]|\\.|'')*'|"[^"]*"|`[^`]*`|[(),]|[^'"`(),]+|.""", re.S)


def fill_in(statement: str, table: str, columns: Sequence[str]) -> str:
    """Replace `{table}`, `{columns}` and `{values}` in a statement.

    Args:
        statement: SQL, with these placeholders.
        table: name of the table, quoted.
        columns: names of its columns, quoted. Each has a `%s` among the values.
    """
    return (
        statement.replace("{table}", escape(table))
        .replace("{columns}", escape(", ".join(columns)))
        .replace("{values}", ", ".join(["%s"] * len(columns)))
    )


def find_plain_columns(statement: str, columns: Sequence[str]) -> list[str]:
    """Return the columns that a statement gives values as they are in the file.

    These are all columns if it has `{values}`. In `({columns}) VALUES (%s, upper(%s))`
    it is the first one: a function may convert a value, and so may any other statement.

    Args:
        statement: SQL, with its placeholders.
        columns: names of all columns that it fills.
    """
    if "{values}" in statement:
        return list(columns)
    found = VALUES.search(statement)
    values = _split_values(found[1]) if found else []
    if len(values) != len(columns):
        return []
    pairs = zip(columns, values, strict=True)
    return [column for column, value in pairs if value.strip() == "%s"]


def escape(name: str) -> str:
    """Return a name for a statement with `%s` in it."""
    return name.replace("%", "%%")


def quote_table(name: str, mark: str) -> str:
    """Quote the name of a table, each part of `schema.table` on its own.

    Args:
        name: the name.
        mark: the database's quotation mark for names.
    """
    return ".".join(quote_name(part, mark) for part in name.split("."))


def quote_name(name: str, mark: str) -> str:
    """Quote a name as a whole: a dot in it separates nothing."""
    return mark + name.replace(mark, 2 * mark) + mark


def _split_values(text: str) -> list[str]:
    """Return the values of a list, up to its closing parenthesis."""
    values, depth = [""], 0
    for part in PART.findall(text):
        if part == ")" and not depth:
            return values
        depth += (part == "(") - (part == ")")
        if part == "," and not depth:
            values.append("")
        else:
            values[-1] += part
    return []
