"""Which columns an own `insert_statement` gives values as they are."""

import pytest

from lib.statements import fill_in, find_plain_columns

INTO = "INSERT INTO {table} ({columns}) VALUES"


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (INTO + " ({values})", "abc"),
        ("insert into x ( {columns} )\nvalues (%s, %s ,%s) AS new (a)", "abc"),
        (f"{INTO} (upper(%s), f(1, g(%s)), %s)", "c"),
        (f"{INTO} (%s, concat(%s, '),('), %s::int)", "a"),
        (f"{INTO} (%s, %s)", ""),
        (f"{INTO} (%s, %s, %s", ""),
        ("INSERT INTO {table} (b, a, c) VALUES (%s, %s, %s)", ""),
        ("CALL add_click(%s, %s, %s)", ""),
    ],
)
def test_plain_columns_are_found(statement: str, expected: str) -> None:
    assert find_plain_columns(statement, list("abc")) == list(expected)


def test_placeholders_are_filled_in() -> None:
    statement = INTO + " ({values})"
    found = fill_in(statement, '"a%"', ['"x"', '"50%"'])
    assert found == 'INSERT INTO "a%%" ("x", "50%%") VALUES (%s, %s)'
