"""Rows that LOAD DATA leaves out as duplicates are found by MySQL's messages."""

from typing import Any

from lib.duplicates import Duplicates
from tests.mock.driver import Server
from tests.tables import for_each

Key = tuple[str, str, str, int | None]
ID: Key = ("PRIMARY", "id", "bigint", None)
NAME: Key = ("name", "name", "varchar", None)
ROWS = [b"1\tanna\n", b"2\tbob\n", b"1\tcarl\n", b"3\t\\N\n", b"1\tdora\n"]


def find(
    keys: list[Key], messages: list[str], rows: list[bytes] = ROWS
) -> dict[int, str]:
    """Return the rows of a table with these unique keys that the messages name."""
    server = Server()
    server.results["information_schema.statistics"] = list(keys)
    return Duplicates(server, "clicks", ["id", "name"]).find(rows, messages)


def name(entry: str, key: str = "clicks.PRIMARY") -> str:
    """Return the message of MySQL; MariaDB names no table."""
    return f"Duplicate entry '{entry}' for key '{key}'"


@for_each(
    ("messages", "expected"),
    [
        # the first row was inserted
        ([name("1"), name("1")], [2, 4]),
        # a row of the table has the key
        ([name("1")] * 3, [0, 2, 4]),
        ([name("2")], [1]),
        ([name("2", "PRIMARY"), name("3", "PRIMARY")], [1, 3]),
        ([], []),
        # these do not prove which rows were left out
        ([name("1")], []),
        ([name("1")] * 4, []),
        ([name("4")], []),
        ([name("2"), name("4")], []),
        ([name("2", "other")], []),
        (["Duplicate entry"], []),
    ],
)
def test_rows_left_out_are_last_of_key(
    messages: list[str], expected: list[int]
) -> None:
    found = find([ID], messages)
    assert sorted(found) == expected
    assert {found[index] for index in found} == set(messages if found else [])


def test_row_that_two_keys_name_proves_nothing() -> None:
    messages = [name("2"), name("bob", "clicks.name")]
    assert find([ID, NAME], messages) == {}


def test_null_has_no_duplicates() -> None:
    rows = [b"1\t\\N\n", b"2\t\\N\n", b"3\tanna\n"]
    assert find([NAME], [name("anna", "name")], rows) == {2: name("anna", "name")}


def test_columns_of_key_are_joined() -> None:
    keys: list[Key] = [("both", "name", "char", None), ("both", "id", "int", None)]
    message = name("anna-1", "clicks.both")
    assert find(keys, [message], [b"1\tanna\n", b"1\tbob\n"]) == {0: message}


@for_each(
    ("keys", "is_found"),
    [
        ([("k", "name", "varchar", None)], True),
        ([("k", "id", "tinyint", None), ("k", "name", "char", None)], False),
        # the entry is only the start of the value
        ([("k", "name", "varchar", 3)], False),
        ([("k", "name", "datetime", None)], False),
        ([("k", "other", "varchar", None)], False),
        ([("k", "name", "varchar", None), ("k", "other", "int", None)], False),
    ],
)
def test_key_is_used_if_entries_are_values(keys: list[Key], is_found: bool) -> None:
    message = name("anna", "k")
    assert find(keys, [message], [b"1\tanna\n"]) == ({0: message} if is_found else {})


@for_each(("data_type", "is_found"), [("int", True), ("varchar", False)])
def test_two_texts_could_be_joined_to_the_same_entry(
    data_type: str, is_found: bool
) -> None:
    keys: list[Key] = [("k", "name", "char", None), ("k", "id", data_type, None)]
    assert bool(find(keys, [name("anna-1", "k")], [b"1\tanna\n"])) is is_found


def test_keys_behind_a_null_are_read() -> None:
    message = name("1")
    assert find([NAME, ID], [message], [b"1\t\\N\n"]) == {0: message}


@for_each(
    ("key", "value", "is_found"),
    [
        (ID, "0", True),
        (ID, "-12", True),
        (ID, "+1", False),
        (ID, "01", False),
        (ID, "1.0", False),
        (NAME, "a b", True),
        (NAME, "a ", False),
        (NAME, "é", False),
    ],
)
def test_value_that_is_written_otherwise_proves_nothing(
    key: Key, value: str, is_found: bool
) -> None:
    at = 0 if key is ID else 1
    row = "\t".join([value, "x"] if at == 0 else ["1", value])
    message = name(value, key[0])
    rows = [f"{row}\n".encode()]
    assert bool(find([key], [message], rows)) is is_found


def test_keys_are_read_once() -> None:
    server = Server()
    server.results["information_schema.statistics"] = [ID]
    duplicates = Duplicates(server, "shop.clicks", ["id", "name"])
    for _ in range(2):
        assert duplicates.find(ROWS, [name("2")])
    assert [values for _, values in server.sent] == [("clicks", "shop")]


def test_schema_is_the_connections_by_default() -> None:
    server: Any = Server()
    Duplicates(server, "clicks", ["id"]).find([], [])
    assert [values for _, values in server.sent] == [("clicks", None)]
