"""Which columns an own `insert_statement` gives values as they are."""

import pytest

from lib.statements import fill_in, find_plain_columns, quote_name, quote_table

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


@pytest.mark.parametrize(
    ("name", "mark", "expected"),
    [
        ("clicks", '"', '"clicks"'),
        ("shop.clicks", "`", "`shop`.`clicks`"),
        ('a"b.c', '"', '"a""b"."c"'),
    ],
)
def test_parts_of_table_are_quoted(name: str, mark: str, expected: str) -> None:
    assert quote_table(name, mark) == expected


def test_name_is_quoted_as_a_whole() -> None:
    assert quote_name("a.b`c", "`") == "`a.b``c`"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("%s, f((%s), g(%s, 1)), %s", "ac"),
        ("%s, 'it''s, \\', (', %s", "ac"),
        ('%s, "a,b", %s', "ac"),
        ("%s, `a,b`, %s", "ac"),
    ],
)
def test_values_end_at_their_own_commas(values: str, expected: str) -> None:
    assert find_plain_columns(f"{INTO} ({values})", list("abc")) == list(expected)
