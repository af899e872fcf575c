"""The check of values against types, which PostgreSQL 16 and later can do."""

from typing import Any

import pytest

from lib.type_check import SERVER_VERSION, Invalid, TypeCheck
from tests.mock.driver import Server
from tests.tables import for_each

FOUND = [(0, "22P02", "invalid input syntax", 2), (3, "22003", "out of range", 1)]


class CheckingServer(Server):
    """A server that has found these values."""

    def _check(self, text: str) -> None:
        self._rows = list(FOUND)


def make_server(version: int = SERVER_VERSION) -> Server:
    """Return a server that knows the types of two columns."""
    server = CheckingServer(version)
    # in another order than the columns of the rows
    server.results["FROM pg_attribute"] = [("b", "date"), ("a", "numeric(3,1)")]
    return server


def find(server: Server, rows: bytes) -> list[Invalid]:
    """Check rows of two columns."""
    return TypeCheck(server, '"clicks"', ("a", "b")).find_invalid(rows)


def test_first_bad_value_of_row_is_found() -> None:
    assert find(make_server(), b"1\tx\n2\t\\N\n") == [
        Invalid(0, "22P02", "invalid input syntax", "b"),
        Invalid(3, "22003", "out of range", "a"),
    ]


def test_values_and_types_are_parameters() -> None:
    server = make_server()
    find(server, b"1\tx\n2\t\\N\n")
    [(_, columns), (statement, parameters)] = server.sent
    types = ["numeric(3,1)", "date"]
    assert columns == ('"clicks"', ["a", "b"])
    assert parameters == ("1\tx\n2\t\\N", types, types, types)
    conditions = (
        "CASE WHEN NOT pg_input_is_valid(cells[1], (%s::text[])[1]) THEN 1 "
        "WHEN NOT pg_input_is_valid(cells[2], (%s::text[])[2]) THEN 2 ELSE 0"
    )
    assert conditions in statement
    assert statement.count("%s") == len(parameters)
    assert "SELECT number - 1," in statement  # rows count from 0


def test_types_are_read_once() -> None:
    server = make_server()
    check = TypeCheck(server, '"clicks"', ["a", "b"])
    check.find_invalid(b"1\tx\n")
    check.find_invalid(b"1\tx\n")
    assert sum("FROM pg_attribute" in each for each in server.statements) == 1


@for_each(
    ("version", "rows"),
    [(SERVER_VERSION - 1, b"1\tx\n"), (SERVER_VERSION, b"1\tx\\ty\n")],
)
def test_old_servers_and_escapes_are_not_checked(version: int, rows: bytes) -> None:
    server = make_server(version)
    assert find(server, rows) == []
    assert server.sent == []


def test_versions_from_16_check() -> None:
    assert SERVER_VERSION == 160000


def test_unknown_column_is_an_error() -> None:
    server = make_server()
    check: Any = TypeCheck(server, '"clicks"', ["a", "c"])
    with pytest.raises(KeyError):
        check.find_invalid(b"1\tx\n")
