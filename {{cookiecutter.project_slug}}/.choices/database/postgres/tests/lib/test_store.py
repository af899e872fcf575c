"""Loading into PostgreSQL: batches, refused rows, what is counted."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from lib.chunks import Chunk
from lib.events import S3Object
from lib.loads import Claim, OtherVersion
from lib.rejects import Refusal, Reject
from lib.store import PostgresStore
from tests.mock.driver import Driver, Error, Server
from tests.tables import for_each

OBJECT = S3Object("raw", "a.csv", version="v1", etag="e1")
REFUSAL = Refusal("['bad'] is bad", "NumericValueOutOfRange (22003)")
INVALID = Refusal("invalid input", "InvalidTextRepresentation (22P02) at a")
INSERT = "INSERT INTO {table} ({columns}) VALUES ({values})"


def make_store(server: Server, columns: str = "a", **settings: Any) -> PostgresStore:
    """Return a store for the table `clicks`, without a column for loads."""
    defaults = {
        "load_column": None,
        "db_statement_timeout": 60,
        "insert_statement": None,
        "on_duplicate": "reject",
        "key": ["a"],
        "order_by": None,
    }
    var = SimpleNamespace(**{**defaults, **settings})
    server.results["WITH NO DATA"] = []
    return PostgresStore(server, Driver(), "clicks", list(columns), var)


def make_chunk(*rows: str, csv: bytes = b"") -> Chunk:
    """Return a chunk of rows."""
    text = "".join(f"{row}\n" for row in rows)
    return Chunk(text.encode(), list(enumerate(rows, 1)), csv=csv)


def loaded(server: Server, table: str = '"clicks"') -> list[str | None]:
    """Return the first value of each row of a table."""
    return [row[0] for row in server.tables.get(table, [])]


def accept(
    server: Server,
    *rows: str,
    limit: int = 1000,
    check: Callable[[], None] = lambda: None,
    **settings: Any,
) -> tuple[PostgresStore, dict[int, Refusal]]:
    """Load a batch that is refused, and then its acceptable rows."""
    store = make_store(server, **settings)
    chunk = make_chunk(*rows)
    store.send(7, chunk)
    assert not store.flush()
    assert server.tables.get('"clicks"', []) == []
    return store, store.insert_acceptable(7, chunk, limit, check)


def test_new_object_is_claimed() -> None:
    server = Server()
    server.results["RETURNING number"] = [(7,)]
    assert make_store(server).claim(OBJECT, "worker") == Claim(7, is_new=True)
    assert [values for _, values in server.sent] == [
        (OBJECT.id, "raw", "a.csv", "v1", "worker", '"clicks"')
    ]


def test_known_object_is_found() -> None:
    server = Server()
    server.results["SELECT number FROM loads"] = [(7,)]
    known = OBJECT._replace(version="")
    assert make_store(server).claim(known, "worker") == Claim(7, is_new=False)
    [(_, claimed), (_, found)] = server.sent
    assert claimed[3] == "e1"
    assert found == ('"clicks"', known.id)


def test_ledger_is_written() -> None:
    server, modified = Server(), datetime(2026, 11, 29, tzinfo=UTC)
    server.results["JOIN loads AS other"] = [(3, 1), (4, -1)]
    store = make_store(server)
    store.lock(7)
    store.describe(7, 100, modified)
    assert store.other_versions(7) == [OtherVersion(3, 1), OtherVersion(4, -1)]
    store.delete_rejects(7)
    store.record(7, 90, 10)
    assert [(each.split()[0], values) for each, values in server.sent] == [
        ("SELECT", (7,)),
        ("UPDATE", (100, modified, 7)),
        ("SELECT", (7,)),
        ("DELETE", (7,)),
        ("UPDATE", (90, 10, 7)),
    ]
    assert "pg_advisory_xact_lock" in server.statements[0]


def test_rows_of_loads_are_deleted_in_pieces() -> None:
    server, checks = Server(), []
    store = make_store(server, load_column="load%id")
    store.delete_rows([], lambda: checks.append(1))
    assert (server.sent, checks) == ([], [])
    store.delete_rows([3, 4], lambda: checks.append(1))
    [(statement, values)] = server.sent
    assert 'DELETE FROM "clicks" WHERE "load%%id" = ANY(%s)' in statement
    assert values == ([3, 4], [3, 4], 1000)
    assert checks == [1]


def test_full_piece_is_followed_by_another() -> None:
    server = Server()
    server.results["DELETE"] = [()] * 1000
    store = make_store(server, load_column="load_id")
    store.delete_rows([3], lambda: None)
    assert [values[2] for _, values in server.sent] == [1000, 2000]


def test_rejects_are_copied() -> None:
    server = Server()
    make_store(server).reject(7, [Reject(2, "x", "too short", "short")])
    assert server.tables == {"rejects": [[7, 2, "x", "too short"]]}


def test_batch_is_one_copy() -> None:
    server = Server()
    store = make_store(server)
    assert store.chunks_per_batch == 8
    store.send(7, make_chunk("1", "2"))
    store.send(7, make_chunk("skipped"))
    assert store.flush()
    assert server.statements == ["SAVEPOINT batch", 'COPY "clicks" ("a") FROM STDIN']
    assert loaded(server) == ["1", "2"]
    assert (store.ignored, store.updated) == (1, 0)


def test_next_batch_releases_savepoint() -> None:
    server = Server()
    store = make_store(server)
    for row in "12":
        store.send(7, make_chunk(row))
        assert store.flush()
    assert server.statements[2] == "RELEASE SAVEPOINT batch; SAVEPOINT batch"
    assert loaded(server) == ["1", "2"]
    assert store.ignored == 0


def test_empty_batch_sends_nothing() -> None:
    server = Server()
    assert make_store(server).flush()
    assert server.sent == []


def test_number_of_load_is_added() -> None:
    server = Server()
    store = make_store(server, load_column="load_id")
    store.send(7, make_chunk("1", "2", csv=b"1\n2\n"))
    store.flush()
    assert server.statements[1] == 'COPY "clicks" ("a", "load_id") FROM STDIN'
    assert server.tables['"clicks"'] == [["1", "7"], ["2", "7"]]


def test_csv_is_sent_as_it_is() -> None:
    server = Server()
    store = make_store(server, "ab")
    store.send(7, make_chunk("1\t\\N", csv=b'"1",\\N\n'))
    store.flush()
    statement = 'COPY "clicks" ("a", "b") FROM STDIN (FORMAT csv, NULL \'\\N\')'
    assert server.statements[1] == statement
    assert server.copies == [b'"1",\\N\n']


def test_own_statement_inserts_rows() -> None:
    server = Server()
    store = make_store(server, insert_statement=INSERT)
    store.send(7, make_chunk("1", "2", csv=b"1\n2\n"))
    store.send(7, make_chunk("skipped", "skipped"))
    assert store.flush()
    assert server.statements[1] == 'INSERT INTO "clicks" ("a") VALUES (%s)'
    assert loaded(server) == ["1", "2"]
    assert store.ignored == 2


def test_only_inserts_count_what_they_leave_out() -> None:
    store = make_store(Server(), insert_statement="REPLACE {table} ({values})")
    store.send(7, make_chunk("1", "skipped"))
    assert store.flush()
    assert store.ignored == 0


def test_statement_that_writes_more_rows_ignores_none() -> None:
    server = Server()
    store = make_store(server)
    store.send(7, make_chunk("1"))
    server.extra = 5
    assert store.flush()
    assert store.ignored == 0


def test_batch_with_bad_row_is_rolled_back() -> None:
    server = Server()
    store = make_store(server)
    store.send(7, make_chunk("1"))
    assert store.flush()
    store.send(7, make_chunk("2", "bad"))
    assert not store.flush()
    assert server.statements[-1] == "ROLLBACK TO SAVEPOINT batch"
    assert loaded(server) == ["1"]
    store.send(7, make_chunk("3"))
    assert store.flush()
    assert loaded(server) == ["1", "3"]


def test_error_not_due_to_values_is_raised() -> None:
    server = Server()
    store = make_store(server)
    store.send(7, make_chunk("lost"))
    with pytest.raises(Error, match="shuts down"):
        store.flush()
    assert server.statements[-1] != "ROLLBACK TO SAVEPOINT batch"


def test_unfinished_copy_is_ended() -> None:
    server = Server()
    with suppress(KeyError), make_store(server) as store:
        store.send(7, make_chunk("1"))
        raise KeyError
    assert (loaded(server), server.unfinished) == ([], 0)
    with pytest.raises(KeyError), make_store(server):
        raise KeyError


@for_each("version", [150000, 160000])
@for_each("rows", [["1", "bad", "2", "invalid", "skipped", "bad"], ["bad"]])
def test_only_bad_rows_are_refused(version: int, rows: list[str]) -> None:
    server = Server(version)
    server.results["FROM pg_attribute"] = [("a", "integer")]
    store, refused = accept(server, *rows)
    bad = [at for at, row in enumerate(rows) if row in ("bad", "invalid")]
    assert list(refused) == bad
    assert loaded(server) == [row for row in rows if row in "12"]
    assert store.ignored == rows.count("skipped")
    assert refused[bad[0]] == REFUSAL
    if "invalid" in rows and version == 160000:
        assert refused[3] == INVALID


def test_blocks_find_many_bad_rows_at_once() -> None:
    server = Server()
    accept(server, *["bad", "1"] * 20)
    assert sum("DO $block$" in each for each in server.statements) == 1
    assert len(server.copies) == 2


def test_blocks_and_copies_are_bounded() -> None:
    server = Server()
    good = [str(number) for number in range(5001)]
    _, refused = accept(server, *["bad"] * 1001, *good, limit=2000)
    assert len(refused) == 1001
    blocks = [
        values[0].count("[") - 1
        for statement, values in server.sent
        if "set_config('block.rows'" in statement
    ]
    assert blocks == [1000, 1000]
    # the batch, before both blocks, and the others
    sizes = [text.count(b"\n") for text in server.copies]
    assert sizes == [6002, 4000, 4000, 4000, 2]


@for_each(("first_bad", "blocks"), [(99, 1), (100, 0)])
def test_blocks_are_for_many_bad_rows(first_bad: int, blocks: int) -> None:
    server = Server()
    accept(server, *["1"] * first_bad, "bad", "2")
    assert sum("DO $block$" in each for each in server.statements) == blocks


def count_attempts(server: Server) -> int:
    """Return how many times rows were tried."""
    return sum(
        each.startswith('COPY "clicks"') or "DO $block$" in each
        for each in server.statements
    )


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pieces have few rows."""
    monkeypatch.setattr("lib.store.PIECE", 40)
    monkeypatch.setattr("lib.store.SLICE", 10)
    monkeypatch.setattr("lib.store.SPARSE", 5)


@for_each(
    ("bad", "attempts", "checks"),
    [
        # the batch; its first 40 rows, the 30 ahead, the bad one, 40 and 29 others
        ([30], 6, 6),
        ([39], 6, 6),
        # the batch; 40 rows, 40 rows, a block for 10 of them, 40 and 10 others
        ([40], 6, 5),
    ],
)
@pytest.mark.usefixtures("small_pieces")
def test_few_bad_rows_are_found_by_their_line(
    bad: list[int], attempts: int, checks: int
) -> None:
    server, calls = Server(), []
    rows = ["bad" if at in bad else str(at) for at in range(100)]
    _, refused = accept(server, *rows, check=lambda: calls.append(1))
    assert list(refused) == bad
    assert loaded(server) == [row for row in rows if row != "bad"]
    assert (count_attempts(server), len(calls)) == (attempts, checks)


@for_each("has_lines", [True, False])
@for_each("bad", [[0], [4], [5], [6], [5, 6], [9, 10], [99], [20, 50, 80]])
@pytest.mark.usefixtures("small_pieces")
def test_bad_rows_are_found_wherever_they_are(bad: list[int], has_lines: bool) -> None:
    server = Server()
    server.has_lines = has_lines
    rows = ["bad" if at in bad else str(at) for at in range(100)]
    _, refused = accept(server, *rows)
    assert refused == dict.fromkeys(bad, REFUSAL)
    assert loaded(server) == [row for row in rows if row != "bad"]


@for_each("shift", [-7, -1, 1, 7, 60])
@pytest.mark.usefixtures("small_pieces")
def test_wrong_lines_mislead_only_the_search(shift: int) -> None:
    """A value may look like the number of a line."""
    server = Server()
    server.shift = shift
    rows = ["bad" if at in (20, 50, 51, 95) else str(at) for at in range(100)]
    _, refused = accept(server, *rows)
    assert list(refused) == [20, 50, 51, 95]
    assert loaded(server) == [row for row in rows if row != "bad"]


@for_each("version", [150000, 160000])
@for_each("kind", ["bad", "invalid"])
@pytest.mark.usefixtures("small_pieces")
def test_search_ends_behind_limit(version: int, kind: str) -> None:
    server = Server(version)
    server.results["FROM pg_attribute"] = [("a", "integer")]
    _, refused = accept(server, *[kind] * 100, limit=3)
    found = 100 if (version, kind) == (160000, "invalid") else 4
    assert len(refused) == found


@pytest.mark.usefixtures("small_pieces")
def test_limit_holds_for_all_slices() -> None:
    server = Server()
    _, refused = accept(server, *[*["bad"] * 2, *"12345678"] * 5, limit=4)
    assert len(refused) == 5


def test_limit_counts_invalid_rows() -> None:
    server = Server(160000)
    server.results["FROM pg_attribute"] = [("a", "integer")]
    _, refused = accept(server, *["invalid"] * 2, *["bad"] * 5, limit=3)
    assert list(refused) == [0, 1, 2, 3]


def test_block_that_fails_is_replaced() -> None:
    server = Server()
    server.bad_block = Error("23514", "a domain refuses NULL")
    _, refused = accept(server, "1", "bad", "2")
    assert list(refused) == [1]
    assert loaded(server) == ["1", "2"]


def test_check_that_fails_is_left_out() -> None:
    server = Server(160000)
    server.results["FROM pg_attribute"] = [("a", "geometry")]
    server.bad_check = Error("22023", "parse error")
    _, refused = accept(server, "1", "bad", "invalid")
    assert list(refused) == [1, 2]
    assert loaded(server) == ["1"]


def test_check_that_fails_keeps_rows_before() -> None:
    server = Server(160000)
    server.results["FROM pg_attribute"] = [("a", "geometry")]
    server.bad_check = Error("22023", "parse error")
    store, _ = accept(server, "1", "bad")
    store.insert_acceptable(7, make_chunk("2", "bad", "3"), 10, lambda: None)
    assert loaded(server) == ["1", "2", "3"]


def test_block_that_fails_keeps_rows_before() -> None:
    server = Server()
    server.bad_block = Error("23514", "a domain refuses NULL")
    store, _ = accept(server, "1", "bad")
    store.insert_acceptable(7, make_chunk("2", "bad", "3"), 10, lambda: None)
    assert loaded(server) == ["1", "2", "3"]


def test_own_statement_is_retried_without_bad_rows() -> None:
    server = Server()
    store, refused = accept(server, "1", "bad", "2", "skipped", insert_statement=INSERT)
    assert refused == {1: REFUSAL}
    assert loaded(server) == ["1", "2"]
    assert server.copies == []
    assert store.ignored == 1


@for_each("version", [150000, 160000])
def test_merge_counts_rows_by_outcome(version: int) -> None:
    server = Server(version)
    server.results["FROM pg_attribute"] = [("a", "integer"), ("b", "text")]
    server.results["FROM written"] = [(2, 1)]
    store = make_store(server, "ab", on_duplicate="update")
    store.send(7, make_chunk("1\tx", "2\tx", "2\ty", csv=b"1,x\n2,x\n2,y\n"))
    assert store.flush()
    assert (store.ignored, store.updated) == (1, 1)
    assert 'COPY rows_to_merge ("a", "b")' in server.statements[1]
    chunk = make_chunk("3\tx", "invalid\tx", "4\tx")
    store.send(7, chunk)
    assert not store.flush()
    assert list(store.insert_acceptable(7, chunk, 9, lambda: None)) == [1]
    assert server.tables == {"rows_to_merge": []}
    assert not any("DO $block$" in each for each in server.statements)


def test_values_are_checked_once_prepared() -> None:
    server = Server()
    server.results["WITH RECURSIVE types"] = [("a", False, "date")]
    server.results["pg_index"] = [(1,)]
    store = make_store(server, "ab", on_duplicate="ignore")
    chunk = make_chunk("2026-11-29\tx", "29.11.2026\tx")
    checked = store.check(chunk)
    assert [each.line for each in checked.rejects] == [2]
    assert checked.text == b"2026-11-29\tx\n"
    assert [each.split()[0] for each in server.statements] == [
        *("WITH", "SELECT", "CREATE", "ALTER")
    ]
    assert server.sent[0][1] == ('"clicks"', ["a", "b"])
    store.check(chunk)
    assert len(server.sent) == 4


@for_each(
    ("settings", "is_read"),
    [
        ({}, True),
        ({"load_column": "load_id"}, False),
        ({"insert_statement": INSERT}, False),
    ],
)
def test_csv_is_checked_if_it_is_sent(settings: dict[str, Any], is_read: bool) -> None:
    server = Server()
    server.results["WITH RECURSIVE types"] = [("a", False, "date")]

    def refuse() -> bytes:
        raise AssertionError("the text is not needed")

    chunk = Chunk(refuse, [(1, "2026-11-29")], csv=b"2026-11-29\n")
    store = make_store(server, **settings)
    if is_read:
        assert store.check(chunk) is chunk
    else:
        with pytest.raises(AssertionError):
            store.check(chunk)


def test_only_plain_values_are_checked() -> None:
    server = Server()
    statement = "INSERT INTO {table} ({columns}) VALUES (to_date(%s), %s)"
    make_store(server, "ab", insert_statement=statement).check(make_chunk())
    assert server.sent[0][1] == ('"clicks"', ["b"])
