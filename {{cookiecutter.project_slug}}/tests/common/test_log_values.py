"""Values of any type, in a log line of limited size."""

import json
from datetime import date
from typing import Any

from log_values import LogValues, shorten
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


@for_each(
    "value", ["x" * 10**6, ["x" * 100] * 10**5, dict.fromkeys(range(10**5), "x" * 100)]
)
def test_large_value_is_cut(value: Any) -> None:
    values = LogValues(str, 5000)
    assert len(json.dumps(values.convert(value))) < 6000
    assert values.is_truncated


def test_shortened_text_keeps_both_ends() -> None:
    assert shorten("short", 10) == "short"
    assert (
        shorten("begin" + "x" * 100 + "end..", 10) == "begin… 100 characters cut …end.."
    )
