"""Values of any type, in a log line of limited size."""

import json
from datetime import date
from typing import Any

import pytest

from log_values import LogValues, is_number, shorten
from tests.tables import for_each


class Mute:
    """An object that cannot be printed."""

    def __repr__(self) -> str:
        raise RuntimeError("no text")


class Broken(dict[str, int]):
    """A dictionary that cannot be read."""

    def items(self) -> Any:
        raise RuntimeError("no items")


DAY = date(2026, 1, 5)


def convert(value: Any, limit: int = 10_000) -> Any:
    """Return a value as it is in the log, proving that JSON can hold it."""
    values = LogValues(lambda text: text.replace("s3cret", "***"), limit)
    result = values.convert(value)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    return result


@for_each(
    ("value", "expected"),
    [
        ({DAY: 1, None: 2, (1, 2): 3}, {"2026-01-05": 1, "None": 2, "(1, 2)": 3}),
        (
            {"at": DAY, "in": {7}, "of": (1, 2)},
            {"at": "2026-01-05", "in": [7], "of": [1, 2]},
        ),
        ([float("nan"), float("inf"), 1.5, True], ["nan", "inf", 1.5, True]),
        ([Mute(), Broken(a=1)], ["<Mute>", "<Broken>"]),
        ([10**5000, 7], ["<int>", 7]),
        ({"s3cret": ["a s3cret"]}, {"***": ["a ***"]}),
        ("a \ud800", "a \ud800"),
    ],
)
def test_any_value_is_converted(value: Any, expected: Any) -> None:
    assert convert(value) == expected


def test_circular_value_ends() -> None:
    circle: list[Any] = []
    circle += [circle, circle, {"self": circle}]
    assert len(json.dumps(convert(circle))) < 20_000


def test_deep_value_ends() -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    assert "…" in json.dumps(convert(deep), ensure_ascii=False)


@pytest.mark.parametrize("wrap", [lambda value: [value], lambda value: {"in": value}])
def test_value_has_up_to_twenty_levels(wrap: Any) -> None:
    value: Any = "core"
    for _ in range(20):
        value = wrap(value)
    assert convert(value) == value
    text = json.dumps(convert(wrap(value)), ensure_ascii=False)
    assert "core" not in text
    assert "…" in text


@for_each(
    ("value", "expected"),
    [
        (7, True),
        (-1.5, True),
        (2**360 - 1, True),
        (2**360, False),
        (-(2**360), False),
        (float("nan"), False),
        (True, False),
        ("7", False),
    ],
)
def test_number_is_one_of_cloudwatch(value: Any, expected: bool) -> None:
    assert is_number(value) is expected


def test_values_share_the_limit() -> None:
    values = LogValues(str, 1000)
    assert "characters cut" in values.text("x" * 2000, share=0.5)
    assert values.text("y" * 400) == "y" * 400
    assert "characters cut" in values.text("z" * 400)


def test_values_within_the_limit_are_complete() -> None:
    values = LogValues(str, 100)
    assert values.convert({"a": ["x" * 30, 7]}) == {"a": ["x" * 30, 7]}
    assert not values.is_truncated


@for_each(
    "value",
    [
        [7] * 10**5,
        [None] * 10**5,
        dict.fromkeys(range(10**5), 1),
        "x" * 10**6,
        ["x" * 100] * 10**5,
        dict.fromkeys(range(10**5), "x" * 100),
    ],
)
def test_large_value_is_cut(value: Any) -> None:
    values = LogValues(str, 5000)
    assert len(json.dumps(values.convert(value))) < 6000
    assert values.is_truncated


def test_shortened_text_keeps_both_ends() -> None:
    assert shorten("short", 10) == "short"
    text = "begin" + "x" * 100 + "end.."
    for limit in (10, 11):
        assert shorten(text, limit) == "begin… 100 characters cut …end.."
    assert shorten(text, 0) == "… 110 characters cut …"
    assert shorten("ten digits", 10) == "ten digits"
