"""Rows of Python values: their text, and what cannot be loaded."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from lib.chunks import CHUNK_SIZE, parse_row
from lib.python_rows import make_chunks
from lib.rejects import Reject
from tests.context import bare_context
from tests.tables import for_each

CET = timezone(timedelta(hours=1))


@for_each(
    ("value", "expected"),
    [
        (None, None),
        ("", ""),
        ("NULL", "NULL"),
        (r"\N", r"\N"),
        ("a\tb\nc\rd\\e", "a\tb\nc\rd\\e"),
        ("→ ä", "→ ä"),
        (True, "1"),
        (-7, "-7"),
        (0.1, "0.1"),
        (Decimal("1.10"), "1.10"),
        (date(2026, 1, 5), "2026-01-05"),
        (time(8, 30), "08:30:00"),
        (datetime(2026, 1, 5, 8, 0, 0, 5), "2026-01-05 08:00:00.000005"),
        (datetime(2026, 1, 5, 8, tzinfo=UTC), "2026-01-05 08:00:00"),
        (datetime(2026, 1, 5, 8, tzinfo=CET), "2026-01-05 07:00:00"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_value_becomes_text(value: Any, expected: str | None) -> None:
    [chunk] = make_chunks([(value, "end")], ["a", "b"], 1)
    assert parse_row(chunk.text) == [expected, "end"]


@for_each(
    ("row", "error", "message"),
    [
        ((b"a",), TypeError, "row 1, payload is of type bytes, which cannot be loaded"),
        (({"a": 1},), TypeError, "row 1, payload is of type dict"),
        ((1, 2), ValueError, "row 1 is 2 values: pass 1 values"),
        ("a", ValueError, "row 1 is one text: pass 1 values"),
    ],
)
def test_row_that_cannot_be_loaded_is_named(
    row: Sequence[Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        list(make_chunks([row], ["payload"], 1))


@pytest.mark.parametrize(
    ("text", "reason"), [("a\0b", "a NUL character"), ("\ud800", "not UTF-8")]
)
def test_text_no_database_stores_is_reject(text: str, reason: str) -> None:
    [chunk] = make_chunks([("a",), (text,)], ["name"], 5)
    [reject] = chunk.rejects
    assert (reject.line, reject.reason) == (6, reason)
    assert [line for line, _ in chunk.origins] == [5]


def test_rows_come_in_chunks() -> None:
    text = "x" * (CHUNK_SIZE // 4)
    chunks = list(make_chunks(([text] for _ in range(9)), ["name"], 1))
    assert [len(chunk.origins) for chunk in chunks] == [5, 4]
    assert [chunk.origins[0][0] for chunk in chunks] == [1, 6]


def test_chunks_have_their_own_rejects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib.python_rows.CHUNK_SIZE", 4)
    rows = [["1234"], ["x\0"], ["12"], ["12"], ["1"], ["y\0"]]
    found = [
        (chunk.text, [line for line, _ in chunk.origins], [*chunk.rejects])
        for chunk in make_chunks(rows, ["name"], 1)
    ]
    assert found == [
        (b"1234\n", [1], [Reject(2, r"x\x00", "a NUL character")]),
        (b"12\n12\n1\n", [3, 4, 5], []),
        (b"", [], [Reject(6, r"y\x00", "a NUL character")]),
    ]


ROWS = [(1, "anna", None), (2, "bob", Decimal("3.50"))]


def load_orders(context: Any, rows: Any, key: str = "orders/2026-11-29") -> Any:
    """Load rows under a key; return the report."""
    columns = ["number", "buyer", "price"]
    with context.rds.load(
        table="orders", columns=columns, key=key, function=__name__
    ) as load:
        load.add_rows(rows)
    return load.report


def test_key_is_loaded_once() -> None:
    with bare_context() as context:
        assert load_orders(context, iter(ROWS)) == {
            "key": "orders/2026-11-29",
            "outcome": "loaded",
            "loaded": 2,
            "rejected": 0,
        }
        assert load_orders(context, ROWS)["outcome"] == "loaded before"
        assert load_orders(context, ROWS, "orders/2026-11-30")["outcome"] == "loaded"
        rows = [["1", "anna", None], ["2", "bob", "3.50"]]
        assert context.rds.tables == {"orders": rows * 2}


def test_key_tells_whether_it_is_new() -> None:
    with bare_context() as context:
        for expected in (True, False):
            with context.rds.load(table="orders", columns=["a"], key="k") as load:
                assert load.is_new is expected


def test_refused_row_is_reject() -> None:
    with bare_context() as context:
        rows = [*ROWS, ("refused", "eve", 1)]
        report = load_orders(context, rows)
        assert (report["loaded"], report["rejected"]) == (2, 1)
        assert context.rds.rejects == [
            Reject(3, "refused\teve\t1", "out of range", "OutOfRange")
        ]


def test_failed_load_leaves_nothing() -> None:
    with bare_context() as context:
        with pytest.raises(TypeError):
            load_orders(context, [*ROWS, (3, "eve", b"")])
        assert not context.rds.tables
        assert not context.rds.ledger


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either of an object or of a key"),
        ({"key": "x" * 1025}, "the key has 1025 characters: use up to 1024"),
    ],
)
def test_wrong_key_is_an_error(arguments: dict[str, str], message: str) -> None:
    with bare_context() as context, pytest.raises(ValueError, match=message):
        context.rds.load(table="orders", columns=["a"], **arguments).__enter__()
