"""Errors of PostgreSQL that are due to values, and their names."""

from typing import Any

from lib.error_codes import find_place, is_due_to_value, name_condition
from tests.mock.driver import Driver, Error
from tests.tables import for_each


@for_each(
    ("state", "expected"),
    [
        ("22003", True),
        ("23505", True),
        ("P0001", True),  # RAISE EXCEPTION
        ("54000", True),
        ("42P01", False),
        ("57014", False),
        ("ZZ999", True),  # a trigger's own
        ("", False),  # the driver's own
    ],
)
def test_state_says_whether_values_are_bad(state: str, expected: bool) -> None:
    assert is_due_to_value(Driver(), state) is expected


@for_each(
    ("state", "place", "expected"),
    [
        ("23505", "", "UniqueViolation (23505)"),
        ("23505", "clicks_pkey", "UniqueViolation (23505) at clicks_pkey"),
        ("ZZ999", "", "error (ZZ999)"),
    ],
)
def test_condition_has_name_state_and_place(
    state: str, place: str, expected: str
) -> None:
    assert name_condition(Driver(), state, place) == expected


@for_each(
    ("diag", "expected"),
    [
        ({}, ""),
        ({"table_name": "clicks"}, "clicks"),
        ({"table_name": "clicks", "column_name": "age"}, "age"),
        ({"column_name": "age", "constraint_name": "clicks_pkey"}, "clicks_pkey"),
        ({"context": 'COPY clicks, line 7, column age: "abc"'}, "age"),
        ({"context": "COPY clicks, line 7", "table_name": "clicks"}, "clicks"),
        # a trigger may have put values there
        ({"context": "PL/pgSQL function f()", "table_name": "john.doe"}, ""),
    ],
)
def test_place_is_most_precise(diag: dict[str, Any], expected: str) -> None:
    assert find_place(Error("22003", **diag).diag) == expected
