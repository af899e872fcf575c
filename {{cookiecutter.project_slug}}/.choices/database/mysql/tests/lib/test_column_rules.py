"""Rules for the columns of a table in MySQL."""

import re

import pytest

from lib.column_rules import Column, read_columns
from lib.database_errors import DatabaseError
from lib.values import Rule
from tests.mock.driver import Server
from tests.tables import for_each


def make_rule(
    definition: str, is_nullable: bool = True, extra: str = ""
) -> Rule | None:
    """Return the rule of a column that is defined so."""
    data_type = re.split("[( ]", definition)[0]
    return Column("a", data_type, definition, is_nullable, extra).rule


def is_kept(rule: Rule | None, text: str) -> bool:
    """Return whether a text of a chunk goes to the server as it is."""
    assert rule
    if re.fullmatch(rule.pattern, text):
        return True
    return rule.convert(text) == text


@for_each(
    ("definition", "good", "bad"),
    [
        ("tinyint(4)", ["1", "-1", "+01"], ["1.5", "", "x", "1e3"]),
        ("smallint", ["1"], ["1.5"]),
        ("mediumint", ["1"], ["1.5"]),
        ("int", ["1"], ["1.5"]),
        ("bigint unsigned", ["1"], ["1.5"]),
        ("decimal(9,2)", ["1", "-1.5", ".5", "1.", "1e-3"], ["1.5x", "", "."]),
        ("date", ["2026-11-29"], ["26-11-29"]),
        ("datetime(6)", ["2026-11-29 10:30:00.5"], ["20261129103000"]),
        ("timestamp", ["2026-11-29T10:30"], ["1"]),
        ("time", ["10:30", "-120:00:00.5"], ["1 10:30", "10", "10:60"]),
        ("year", ["2026"], ["26", "0"]),
        ("bit(3)", ["101"], ["10", "1011", "7"]),
        ("binary(2)", ["ab", r"a\t"], ["a", "abc", r"a\N"]),
        ("enum('a','it''s')", ["a", "it's"], ["A", "1", "a,it's", ""]),
        ("enum('a.c','x\\\\y')", ["a.c", r"x\\y"], ["abc", r"x\y"]),
        ("set('a','b')", ["", "a", "a,b", "b,a"], ["c", "a,", "3"]),
        (
            "float",
            ["1.5", "0.000", "0e10", "x", "1ex", "1e99", "-0"],
            ["1e-50", "0.1e-60"],
        ),
        ("double", ["1e-50", "0"], ["1e-400"]),
    ],
)
def test_values_that_are_stored_otherwise_are_rejects(
    definition: str, good: list[str], bad: list[str]
) -> None:
    rule = make_rule(definition)
    assert [text for text in good + bad if is_kept(rule, text)] == good
    assert rule
    assert rule.is_nullable


def test_number_of_many_digits_is_checked() -> None:
    rule = make_rule("double")
    assert is_kept(rule, "1" * 50)
    assert not is_kept(rule, f"0.{'0' * 400}1")


@for_each(
    ("definition", "meaning", "has_spaces"),
    [
        ("bit(8)", "bit string of length 8", False),
        ("binary(16)", "value of 16 bytes", True),
        ("enum('a')", "member of ENUM", True),
        ("set('a')", "member of SET", True),
        ("int", "whole number", False),
        ("float", "number large enough for its type", False),
    ],
)
def test_rule_says_what_is_expected(
    definition: str, meaning: str, has_spaces: bool
) -> None:
    rule = make_rule(definition)
    assert rule
    assert (rule.meaning, rule.has_spaces) == (meaning, has_spaces)


def test_texts_need_no_rule() -> None:
    assert make_rule("varchar(10)", is_nullable=False) is None


@for_each(
    ("definition", "is_nullable", "extra", "expected"),
    [
        ("timestamp", False, "", False),
        ("timestamp", True, "", True),
        ("bigint", False, "auto_increment", False),
        ("bigint", False, "", True),
    ],
)
def test_null_that_becomes_a_default_is_a_reject(
    definition: str, is_nullable: bool, extra: str, expected: bool
) -> None:
    rule = make_rule(definition, is_nullable, extra)
    assert rule
    assert rule.is_nullable is expected


def test_any_value_but_null_is_kept() -> None:
    rule = make_rule("varchar(9)", False, "auto_increment")
    assert [
        text for text in ("", "a", r"\\N", r"\N", r"\n") if is_kept(rule, text)
    ] == [*("", "a", r"\\N", r"\n")]
    assert rule
    assert not rule.is_nullable


def read(
    rows: list[tuple[str, str, str, str, str]], table: str = "clicks"
) -> tuple[Server, list[Column]]:
    """Read the columns `Id` and `name` of a table."""
    server = Server()
    server.results["information_schema.columns"] = list(rows)
    return server, read_columns(server, table, ["Id", "name"])


def test_columns_have_the_names_of_the_rows() -> None:
    rows = [
        ("id", "int", "int(11)", "NO", "auto_increment"),
        ("NAME", "varchar", "varchar(9)", "YES", ""),
        ("other", "int", "int(11)", "NO", "virtual generated"),
    ]
    server, columns = read(rows)
    assert columns == [
        Column("Id", "int", "int(11)", False, "auto_increment"),
        Column("name", "varchar", "varchar(9)", True, ""),
    ]
    assert server.sent[0][1] == ("clicks", None)


def test_schema_of_table_is_used() -> None:
    server, _ = read([], "shop.clicks")
    assert server.sent[0][1] == ("clicks", "shop")


@for_each("kind", ["virtual", "stored", "persistent"])
def test_generated_column_is_refused(kind: str) -> None:
    message = "^name is a generated column of shop.c: remove it from columns$"
    with pytest.raises(DatabaseError, match=message):
        read([("name", "int", "int", "NO", f"{kind} generated")], "shop.c")


def test_default_that_is_generated_is_fine() -> None:
    _, columns = read([("name", "int", "int", "NO", "default_generated")])
    assert len(columns) == 1
