"""The block of PL/pgSQL: which rows it gets, and which it returns as refused."""

import json
import re

from lib.insert_block import InsertBlock
from tests.mock.driver import Server

COLUMNS = ['"a"', '"it\'s"']


def insert(
    rows: list[bytes], limit: int = 10
) -> tuple[Server, tuple[list[tuple[int, str, str, str]], int]]:
    """Insert rows into a table of two columns; return the server and the result."""
    server = Server()
    return server, InsertBlock(server, '"clicks"', COLUMNS).insert(rows, limit)


def test_block_returns_refused_rows() -> None:
    rows = [b"1\t\\N\n", b"bad\tx\n", b"skipped\tx\n", b"2\tx\\ty\n"]
    server, (refused, ignored) = insert(rows)
    assert server.tables == {'"clicks"': [["1", None], ["2", "x\ty"]]}
    assert refused == [(1, "22003", "['bad', 'x'] is bad", "")]
    assert ignored == 1


def test_place_of_refusal_is_returned() -> None:
    server = Server()
    server.place = "clicks_pkey"
    refused, _ = InsertBlock(server, '"clicks"', COLUMNS).insert([b"bad\tx\n"], 1)
    assert refused == [(0, "22003", "['bad', 'x'] is bad", "clicks_pkey")]


def test_rows_are_parameters() -> None:
    server, _ = insert([b"'; DROP TABLE x\t\\N\n"])
    statement, values = server.sent[0]
    assert statement == "SELECT set_config('block.rows', %s, true)"
    assert json.loads(values[0]) == [["'; DROP TABLE x", None]]
    assert "DROP" not in server.statements[1]


def test_values_are_converted_as_by_copy() -> None:
    server, _ = insert([b"1\t2\n", b"3\t4\n", b"5\t6\n"], 7)
    block = server.statements[1]
    assert 'cell_1 "clicks"."a"%TYPE;' in block
    assert 'cell_2 "clicks"."it\'s"%TYPE;' in block
    assert "place := 'a'; cell_1 := cells[at][1];" in block
    assert "place := 'it''s'; cell_2 := cells[at][2];" in block
    assert 'INSERT INTO "clicks" ("a", "it\'s") OVERRIDING' in block
    assert "VALUES (cell_1, cell_2);" in block
    assert block.count("last := 3;") == 2
    assert "last int := 3;" in block
    assert "WHILE first <= 3 AND cardinality(refused) <= 7 LOOP" in block
    assert not re.search("[{}]", block)
