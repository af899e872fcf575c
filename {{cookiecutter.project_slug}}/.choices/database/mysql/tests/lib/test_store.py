"""Loading into MySQL: batches, refused rows, what is counted."""

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from lib.chunks import Chunk
from lib.events import S3Object
from lib.loads import Claim, OtherVersion
from lib.rejects import Refusal, Reject
from lib.store import MysqlStore
from tests.mock.driver import Driver, Error, OperationalError, Server
from tests.tables import for_each

OBJECT = S3Object("raw", "a.csv", version="v1", etag="e1")
NUMBERED = Refusal(
    "Incorrect integer value: 'bad'", "TRUNCATED_WRONG_VALUE_FOR_FIELD (1366)"
)
INSERT = "INSERT INTO {table} ({columns}) VALUES ({values})"
BULK_AND_NOT = for_each("is_bulk", [True, False])


def make_store(
    server: Server,
    columns: str = "a",
    is_bulk: bool = True,
    table: str = "clicks",
    **settings: Any,
) -> MysqlStore:
    """Return a store for the table `clicks`, without a column for loads."""
    defaults = {
        "db_name": "shop",
        "load_column": None,
        "db_statement_timeout": 60,
        "insert_statement": None,
        "on_duplicate": "reject",
        "key": ["a"],
        "order_by": None,
    }
    var = SimpleNamespace(**{**defaults, **settings})
    return MysqlStore(server, Driver(), table, list(columns), var, is_bulk)


def make_chunk(*rows: str) -> Chunk:
    """Return a chunk of rows."""
    text = "".join(f"{row}\n" for row in rows)
    return Chunk(text.encode(), list(enumerate(rows, 1)))


def loaded(server: Server) -> list[Any]:
    """Return the first value of each row of the table."""
    return [row[0] for row in server.tables.get("`clicks`", [])]


def load(store: MysqlStore, *rows: str) -> bool:
    """Load a batch; return whether it is inserted."""
    store.send(7, make_chunk(*rows))
    return store.flush()


def accept(
    server: Server,
    *rows: str,
    limit: int = 1000,
    check: Callable[[], None] = lambda: None,
    **settings: Any,
) -> tuple[MysqlStore, dict[int, Refusal]]:
    """Load a batch that is refused, and then its acceptable rows."""
    store = make_store(server, **settings)
    before = loaded(server)
    assert not load(store, *rows)
    assert loaded(server) == before
    return store, store.insert_acceptable(7, make_chunk(*rows), limit, check)


def test_new_object_is_claimed() -> None:
    server = Server()
    server.results["INSERT INTO loads"] = [()]
    server.lastrowid = 7
    store = make_store(server)
    assert store.claim(OBJECT, "worker") == Claim(7, is_new=True)
    assert [values for _, values in server.sent] == [
        (OBJECT.id, "shop.clicks", "raw", "a.csv", "v1", "worker")
    ]
    assert server.max_stmt_length == 4_000_000


def test_known_object_is_found() -> None:
    server = Server()
    server.results["SELECT number FROM loads"] = [(7,)]
    known = OBJECT._replace(version="")
    store = make_store(server, table="other.clicks")
    assert store.claim(known, "worker") == Claim(7, is_new=False)
    [(_, claimed), (_, found)] = server.sent
    assert claimed[4] == "e1"
    assert found == (known.id, "other.clicks")


def test_lock_is_waited_for() -> None:
    server = Server()
    server.results["GET_LOCK"] = [(1,)]
    make_store(server).lock(7)
    assert [values for _, values in server.sent] == [(7,)]


@for_each("result", [0, None])
def test_lock_that_is_not_free_is_a_timeout(result: int | None) -> None:
    server = Server()
    server.results["GET_LOCK"] = [(result,)]
    with pytest.raises(OperationalError) as raised:
        make_store(server).lock(7)
    assert raised.value.args[0] == 1205


def test_ledger_is_written() -> None:
    server, modified = Server(), datetime(2026, 11, 29, tzinfo=UTC)
    server.results["JOIN loads AS other"] = [(3, 1), (4, -1)]
    store = make_store(server)
    store.describe(7, 100, modified)
    assert store.other_versions(7) == [OtherVersion(3, 1), OtherVersion(4, -1)]
    store.delete_rejects(7)
    store.record(7, 90, 10)
    assert [(each.split()[0], values) for each, values in server.sent] == [
        ("UPDATE", (100, modified, 7)),
        ("SELECT", (7,)),
        ("DELETE", (7,)),
        ("UPDATE", (90, 10, 7)),
    ]


def test_rows_of_loads_are_deleted_in_pieces() -> None:
    server, checks = Server(), []
    server.results["DELETE"] = [()] * 1000
    store = make_store(server, load_column="load%id")
    store.delete_rows([], lambda: checks.append(1))
    assert (server.sent, checks) == ([], [])
    store.delete_rows([3, 4], lambda: checks.append(1))
    statement = "DELETE FROM `clicks` WHERE `load%%id` IN (3, 4) LIMIT %s"
    assert server.sent == [(statement, (1000,)), (statement, (2000,))]
    assert checks == [1, 1]


def test_rejects_are_written() -> None:
    server = Server()
    make_store(server).reject(7, [Reject(2, "x", "too short", "short")])
    assert server.sent[0][1] == [(7, 2, "x", "too short")]
    assert list(server.tables) == ["rejects"]


def test_batch_is_one_load_data() -> None:
    server = Server()
    store = make_store(server, "ab")
    assert store.chunks_per_batch == 4
    store.send(7, make_chunk("1\tx", "2\t\\N"))
    store.send(7, make_chunk("3\ty"))
    assert store.flush()
    savepoint, load_data = server.statements
    assert savepoint == "SAVEPOINT batch"
    assert load_data.startswith("LOAD DATA LOCAL INFILE '/dev/fd/")
    assert load_data.endswith("' INTO TABLE `clicks` CHARACTER SET utf8mb4 (`a`, `b`)")
    assert server.tables["`clicks`"] == [["1", "x"], ["2", None], ["3", "y"]]
    assert (store.ignored, store.updated) == (0, 0)


def test_batch_is_one_insert_without_load_data() -> None:
    server = Server()
    store = make_store(server, "ab", is_bulk=False)
    store.send(7, make_chunk("1\tx", "2\t\\N"))
    store.send(7, make_chunk("3\ty"))
    assert store.flush()
    rows = [["1", "x"], ["2", None], ["3", "y"]]
    statement = "INSERT INTO `clicks` (`a`, `b`) VALUES (%s, %s)"
    assert server.sent[1:] == [(statement, rows)]
    assert server.tables["`clicks`"] == rows


@BULK_AND_NOT
def test_batches_follow_each_other(is_bulk: bool) -> None:
    server = Server()
    store = make_store(server, is_bulk=is_bulk)
    assert load(store, "1")
    assert not load(store, "2", "bad")
    assert server.statements[-1] == "ROLLBACK TO SAVEPOINT batch"
    assert load(store, "3")
    assert server.statements.count("SAVEPOINT batch") == 3
    assert loaded(server) == ["1", "3"]


@BULK_AND_NOT
def test_number_of_load_is_added(is_bulk: bool) -> None:
    server = Server()
    assert load(make_store(server, is_bulk=is_bulk, load_column="load_id"), "1", "2")
    assert "(`a`, `load_id`)" in server.statements[1]
    assert server.tables["`clicks`"] == [["1", "7"], ["2", "7"]]


@BULK_AND_NOT
def test_batch_of_no_rows_changes_nothing(is_bulk: bool) -> None:
    server = Server()
    assert make_store(server, is_bulk=is_bulk).flush()
    assert server.tables == {}


@BULK_AND_NOT
def test_error_not_due_to_values_is_raised(is_bulk: bool) -> None:
    with pytest.raises(Error, match="Lost connection"):
        load(make_store(Server(), is_bulk=is_bulk), "lost")


def test_unfinished_statement_is_ended() -> None:
    server = Server()
    store = make_store(server)
    store.send(7, make_chunk("lost"))
    store.__exit__(KeyError, KeyError(), None)
    assert "LOAD DATA" in server.statements[-1]
    assert server.loads == 1
    make_store(server, is_bulk=False).__exit__(None, None, None)


def test_values_that_become_null_are_refused() -> None:
    server = Server()
    statement = "INSERT INTO {table} ({columns}) VALUES (f(%s))"
    store = make_store(server, is_bulk=False, insert_statement=statement)
    assert not load(store, "1", "converted")
    assert loaded(server) == []
    assert load(store, "1", "noted")  # by INSERT IGNORE
    refused = store.insert_acceptable(7, make_chunk("converted"), 9, lambda: None)
    refusal = Refusal(
        "Truncated incorrect INTEGER value", "TRUNCATED_WRONG_VALUE (1292)"
    )
    assert refused == {0: refusal}


@for_each(
    ("statement", "inserts", "ignored"),
    [
        (INSERT, 1, 1),
        ("\n insert into {table} ({columns}) values (f(%s))", 3, 1),
        (f"{INSERT}\nON DUPLICATE KEY UPDATE x = x", 1, 0),
        ("REPLACE INTO {table} ({columns}) VALUES ({values})", 1, 0),
    ],
)
def test_own_statement_inserts_rows(statement: str, inserts: int, ignored: int) -> None:
    server = Server()
    store = make_store(server, is_bulk=False, insert_statement=statement)
    assert load(store, "1", "skipped", "2")
    assert loaded(server) == ["1", "2"]
    assert len(server.sent) == 1 + inserts
    assert store.ignored == ignored


def test_long_inserts_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib.store.PIECE", 20)
    server = Server()
    rows = ["aaaaa", "bbbbb", "ccccc", "d", "e", "f" * 30, "g"]
    assert load(make_store(server, is_bulk=False), *rows)
    pieces = [[row[0] for row in values] for _, values in server.sent[1:]]
    # each value takes 4 characters more
    assert pieces == [rows[:3], rows[3:6], rows[6:]]
    server.sent.clear()
    assert load(make_store(server, is_bulk=False), "a" * 16, "b" * 17)
    assert len(server.sent) == 2


@for_each("is_bulk", [True, False])
@for_each(
    "rows",
    [
        ["1", "bad", "2", "bad", "3"],
        ["bad"],
        ["1", "unknown", "2"],
        ["1", "checked", "2"],
        ["checked", "1", "bad", "2"],
        ["failing", "1"],
        ["1", "bad", "failing", "2", "unknown"],
        ["1", "2", "1", "2"],
        ["1", "bad", "1"],
    ],
)
@for_each("fewest", [0, 50])
def test_only_bad_rows_are_refused(rows: list[str], is_bulk: bool, fewest: int) -> None:
    server = Server()
    server.is_unique = True
    server.results["information_schema.statistics"] = [("PRIMARY", "a", "int", None)]
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("lib.store.WORTH_LOAD_DATA", fewest)
        _, refused = accept(server, *rows, is_bulk=is_bulk)
    bad = [at for at, row in enumerate(rows) if row not in "123" or row in rows[:at]]
    assert sorted(refused) == bad
    assert loaded(server) == [row for at, row in enumerate(rows) if at not in bad]


def count_attempts(server: Server) -> tuple[int, int]:
    """Return the numbers of LOAD DATA and of INSERT statements."""
    return (
        sum(each.startswith("LOAD DATA") for each in server.statements),
        sum(each.startswith("INSERT") for each in server.statements),
    )


def test_reported_rows_are_left_out_at_once() -> None:
    server, checks = Server(), []
    _, refused = accept(server, "1", "bad", "2", "bad", check=lambda: checks.append(1))
    assert refused == {1: NUMBERED, 3: NUMBERED}
    assert loaded(server) == ["1", "2"]
    # the batch, all rows, the others
    assert count_attempts(server) == (3, 0)
    assert len(checks) == 2


def test_duplicates_are_left_out_at_once() -> None:
    server = Server()
    server.is_unique = True
    server.results["information_schema.statistics"] = [("PRIMARY", "a", "int", None)]
    _, refused = accept(server, "1", "2", "1", "1")
    message = "Duplicate entry '1' for key 'clicks.PRIMARY'"
    refusal = Refusal(message, "DUP_ENTRY (1062)")
    assert list(refused.items()) == [(2, refusal), (3, refusal)]
    assert loaded(server) == ["1", "2"]
    assert count_attempts(server) == (2, 0)


@for_each("other", ["bad", "orphan", "unknown"])
def test_duplicates_with_other_warnings_are_searched(other: str) -> None:
    server = Server()
    server.is_unique = True
    server.results["information_schema.statistics"] = [("PRIMARY", "a", "int", None)]
    _, refused = accept(server, "1", "2", "1", other)
    assert sorted(refused) == [2, 3]
    assert loaded(server) == ["1", "2"]


def test_duplicates_that_are_not_known_are_searched() -> None:
    server = Server()
    server.is_unique = True
    _, refused = accept(server, "1", "2", "1")
    assert list(refused) == [2]
    assert loaded(server) == ["1", "2"]


def test_row_left_out_without_a_warning_is_searched() -> None:
    """Servers report some 65,535 warnings at most."""

    class SilentServer(Server):
        def _warn(self, warnings: list[tuple[str, int, str]]) -> None:
            super()._warn(warnings[:1])

    server = SilentServer()
    server.is_unique = True
    server.results["information_schema.statistics"] = [("PRIMARY", "a", "int", None)]
    _, refused = accept(server, "1", "1", "2", "2")
    assert list(refused) == [1, 3]
    assert loaded(server) == ["1", "2"]


def test_number_of_no_row_is_not_used() -> None:
    class MiscountingServer(Server):
        def _load_row(self, row: Any, number: int, known: Any) -> Any:
            return super()._load_row(row, number + 1, known)

    server = MiscountingServer()
    _, refused = accept(server, "1", "bad")
    assert list(refused) == [1]
    assert loaded(server) == ["1"]


def test_rows_are_numbered_in_either_form() -> None:
    class OtherServer(Server):
        def _load_row(self, row: Any, number: int, known: Any) -> Any:
            return (1261, f"Row {number} is too short") if row[0] == "bad" else None

    server = OtherServer()
    _, refused = accept(server, "1", "bad", "2")
    assert refused == {1: Refusal("Row 2 is too short", "error (1261)")}
    assert count_attempts(server) == (3, 0)


def test_rows_behind_a_check_are_searched() -> None:
    """MariaDB does not count a row that a CHECK refuses: later numbers are wrong."""
    server = Server()
    _, refused = accept(server, "checked", "bad", "1")
    assert list(refused) == [0, 1]
    assert loaded(server) == ["1"]
    assert count_attempts(server)[0] == 2


def test_numbers_are_right_behind_an_orphan() -> None:
    server = Server()
    _, refused = accept(server, "orphan", "bad", "1")
    assert sorted(refused) == [0, 1]
    assert refused[1] == NUMBERED
    assert loaded(server) == ["1"]
    # the batch, all rows, all but the one that has a number
    assert count_attempts(server)[0] == 3


@for_each("is_bulk", [True, False])
@for_each("kind", ["unknown", "checked", "orphan", "failing"])
def test_search_ends_behind_limit(is_bulk: bool, kind: str) -> None:
    _, refused = accept(Server(), *[kind] * 20, limit=3, is_bulk=is_bulk)
    assert len(refused) == 4


def test_limit_counts_reported_rows() -> None:
    server = Server()
    _, refused = accept(server, *["orphan"] * 5, *["bad"] * 2, limit=3)
    assert sorted(refused) == [0, 1, 5, 6]


def test_limit_holds_for_all_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib.store.SLICE", 2)
    server = Server()
    rows = ["unknown", "1", "bad", "2", "unknown", "unknown", "3", "bad"]
    _, refused = accept(server, *rows)
    assert list(refused) == [0, 2, 4, 5, 7]
    assert loaded(server) == ["1", "2", "3"]
    _, refused = accept(Server(), *rows, limit=1)
    assert list(refused) == [0, 2]
    _, refused = accept(Server(), *rows, limit=2)
    assert list(refused) == [0, 2, 4]


def test_many_rows_are_searched_by_load_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib.store.WORTH_LOAD_DATA", 4)
    server = Server()
    _, refused = accept(server, *"1234567", "unknown")
    assert list(refused) == [7]
    counts = [
        len(values) if values else "LOAD DATA"
        for statement, values in server.sent
        if statement.startswith(("INSERT", "LOAD"))
    ]
    # the batch, all rows, again to search, its halves, and the second's halves
    assert counts == ["LOAD DATA"] * 5 + [2, 2, 1, 1]


def test_refusals_of_a_search_say_why() -> None:
    server = Server()
    _, refused = accept(server, "1", "failing", "checked")
    assert refused == {
        1: Refusal("Data too long", "DATA_TOO_LONG (1406)"),
        2: NUMBERED._replace(reason="Incorrect integer value: 'checked'"),
    }


def test_bits_are_numbers() -> None:
    server = Server()
    server.results["information_schema.columns"] = [
        ("b", "bit", "bit(4)", "YES", ""),
        ("a", "int", "int", "YES", ""),
    ]
    for is_bulk in (True, False):
        store = make_store(server, "ab", is_bulk=is_bulk)
        chunk = store.check(make_chunk("1\t0101", "2\t\\N", "3\t7"))
        assert [each.line for each in chunk.rejects] == [3]
        store.send(7, chunk)
        assert store.flush()
    [load_data] = [each for each in server.statements if "LOAD DATA" in each]
    assert load_data.endswith(
        "(`a`, @bits_1) SET `b` = CAST(CONV(@bits_1, 2, 10) AS UNSIGNED)"
    )
    assert server.sent[-1][1] == [["1", 5], ["2", None]]


def test_values_are_checked_once_prepared() -> None:
    server = Server()
    server.results["information_schema.columns"] = [("a", "date", "date", "YES", "")]
    server.results["information_schema.statistics"] = [("PRIMARY", "a", None)]
    store = make_store(server, "ab", on_duplicate="ignore")
    chunk = make_chunk("2026-11-29\tx", "29.11.2026\tx")
    assert [each.line for each in store.check(chunk).rejects] == [2]
    assert [each.split()[0] for each in server.statements] == [
        *("SELECT", "DROP", "CREATE", "CREATE", "SELECT")
    ]
    store.check(chunk)
    assert len(server.sent) == 5


def test_only_plain_values_are_checked() -> None:
    server = Server()
    server.results["information_schema.columns"] = [
        (name, "date", "date", "YES", "") for name in "ab"
    ]
    statement = "INSERT INTO {table} ({columns}) VALUES (f(%s), %s)"
    store = make_store(server, "ab", is_bulk=False, insert_statement=statement)
    checked = store.check(make_chunk("x\t2026-11-29", "x\tx"))
    assert [each.line for each in checked.rejects] == [2]


@BULK_AND_NOT
def test_merge_counts_rows_by_outcome(is_bulk: bool) -> None:
    server = Server()
    server.results["UPDATE `clicks`"] = [()]
    server.results["INSERT INTO `clicks`"] = [()]
    store = make_store(server, "ab", is_bulk=is_bulk, on_duplicate="update")
    assert load(store, "1\tx", "2\tx", "2\ty")
    assert (store.ignored, store.updated) == (1, 1)
    assert "rows_to_merge" in server.statements[1]
    chunk = make_chunk("3\tx", "bad\tx", "4\tx")
    store.send(7, chunk)
    assert not store.flush()
    assert (store.ignored, store.updated) == (1, 1)
    assert list(store.insert_acceptable(7, chunk, 9, lambda: None)) == [1]
    assert server.tables["rows_to_merge"] == []
    assert (store.ignored, store.updated) == (-1, 3)
