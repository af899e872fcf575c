"""JSON Lines: one object in each line."""

import inspect
import io
import sys
from typing import Any

import pytest

from lib import blocks, chunks
from lib.rejects import Reject
from lib.rows import FileFormatError, read_chunks
from tests.lib.formats import Rows, make_format, read
from tests.tables import for_each


def read_json(text: str, **options: Any) -> tuple[Rows, list[Reject]]:
    """Return all rows and rejects of a file with the columns a and b."""
    return read(text.encode("utf-8", "surrogatepass"), kind="jsonl", **options)


@for_each(
    ("text", "expected"),
    [
        ('{"a": 1, "b": "x"}', ["1", "x"]),
        ('{"b": "x", "a": 1}\r\n', ["1", "x"]),
        ('\n {"a": null, "b": ""}\n\n', [None, ""]),
        ('{"a": true, "b": false}', ["1", "0"]),
        (
            '{"a": 12345678901234567890.10, "b": 1E400}',
            ["12345678901234567890.10", "1E400"],
        ),
        (
            '{"a": {"x": [1.10, true, null, "ä\\"😀"]}, "b": []}',
            ['{"x": [1.10, true, null, "ä\\"😀"]}', "[]"],
        ),
        (r'{"a": "t\tn\n\\ \u00e4", "b": "\\N"}', ["t\tn\n\\ ä", r"\N"]),
        ('\ufeff{"a": "NULL", "b": "a,b"}', ["NULL", "a,b"]),
    ],
)
def test_object_becomes_row(text: str, expected: list[str | None]) -> None:
    assert read_json(text) == ([expected], [])


@for_each(
    ("text", "reason"),
    [
        ('{"a": 1, "b": 2', "not JSON: Expecting ',' delimiter at character 16"),
        ('{"a": 1, "b": NaN}', "not JSON: NaN"),
        ("5", "not a JSON object"),
        ('{"a": 1}', "no key b"),
        ('{"a": 1, "b": 2, "c": 3}', "keys that are no columns: c"),
        ('{"a": 1, "a": 2, "b": 3}', "a key that is there twice"),
        (r'{"a": "\u0000", "b": 2}', "a NUL character"),
        (r'{"a": "\ud800", "b": 2}', "not utf-8"),
        ('{"a": "\ud800", "b": 2}', "not utf-8"),
        ('{"a": ' + "[" * 100_000, "not JSON: nested too deeply"),
        ('{"a": "' + "x" * blocks.LINE_LIMIT, "longer than 1048576 bytes"),
    ],
)
def test_bad_line_becomes_reject(text: str, reason: str) -> None:
    good = '{"a": 1, "b": 2}'
    rows, rejects = read_json(f"{good}\n{text}\n{good}")
    assert rows == [["1", "2"]] * 2
    assert [(reject.line, reject.reason) for reject in rejects] == [(2, reason)]


def test_missing_and_other_keys_are_accepted_on_request() -> None:
    text = '{"a": 1}\n{"c": 2}'
    assert read_json(text, fills=True, ignores_extra=True) == (
        [["1", None], [None, None]],
        [],
    )


def test_formats_and_nulls_apply_to_values() -> None:
    text = '{"a": "02/03/2012", "b": "NA"}\n{"a": "03/03/2012", "b": -1}'
    options = {"formats": {"a": "%d/%m/%Y"}, "nulls": ['"NA"', "-1"]}
    assert read_json(text, **options)[0] == [["2012-03-02", None], ["2012-03-03", None]]


def test_array_fails_file() -> None:
    with pytest.raises(FileFormatError, match="looks like a JSON array: write one obj"):
        read_json('[{"a": 1, "b": 2}]')


@for_each(
    ("text", "condition"),
    [
        ('{"a": "s3cret', "not JSON"),
        ('{"a": 1, "b": 2, "s3cret": 3}', "unknown keys"),
        ('{"a": 1}', ""),
    ],
)
def test_condition_of_reject_has_no_values(text: str, condition: str) -> None:
    _, [reject] = read_json(text)
    assert reject.condition == condition


def test_names_of_unknown_keys_are_cut() -> None:
    _, [reject] = read_json(
        '{"a": 1, "b": 2, "' + "x" * 90 + '": 3, "' + "y" * 90 + '": 4}'
    )
    assert reject.reason == f"keys that are no columns: {'x' * 90}, {'y' * 8}"


def test_all_missing_keys_are_named() -> None:
    assert read_json("{}")[1][0].reason == "no key a, b"


@for_each(
    ("text", "options", "rows"),
    [
        ('{"a": 1, "c": 2}', {"ignores_extra": True}, []),
        ('{"a": 1, "b": 2, "c": 3}', {"fills": True}, []),
        ('{"a": 1}', {"fills": True}, [["1", None]]),
        ('{"a": 1, "b": 2, "c": 3}', {"ignores_extra": True}, [["1", "2"]]),
    ],
)
def test_missing_and_other_keys_are_separate(
    text: str, options: dict[str, Any], rows: Rows
) -> None:
    found, rejects = read_json(text, **options)
    assert (found, len(rejects)) == (rows, not rows)


def test_lines_are_counted() -> None:
    text = '\n{"a": 1}\n \t\n[]\n\n5'
    lines = [reject.line for reject in read_json(text)[1]]
    assert lines == [2, 4, 6]
    later = read_json("{\n" + text, skip_lines=1)[1]
    assert [reject.line for reject in later] == [3, 5, 7]


@for_each("text", ["[", ' [{"a": 1}', "\n\n[1]"])
def test_array_may_follow_spaces(text: str) -> None:
    with pytest.raises(FileFormatError, match="looks like a JSON array"):
        read_json(text)


def test_rows_come_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_SIZE", 20)
    line = b'{"a": 1, "b": 2}|'
    file_format = make_format(kind="jsonl", newline="|")
    found = list(read_chunks(io.BytesIO(line * 5), file_format))
    origins = [[line for line, _ in chunk.origins] for chunk in found]
    assert origins == [[1, 2], [3, 4], [5]]


def test_long_line_is_reject(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LINE_LIMIT", 30)
    monkeypatch.setattr(blocks, "CUT_LENGTH", 16)
    text = '{"a": 1, "b": 2}' + " " * 20
    rows, [reject] = read_json(text + '\n{"a": 3, "b": 4}')
    assert rows == [["3", "4"]]
    assert reject == Reject(1, text[:16], "longer than 30 bytes")


@for_each("deep", ["[" * 700 + "]" * 700, '{"x":' * 250 + "1" + "}" * 250])
def test_deep_value_is_reject(deep: str) -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 400)
    try:
        _, [reject] = read_json('{"a": 1, "b": ' + deep + "}")
    finally:
        sys.setrecursionlimit(limit)
    assert reject.reason == "not JSON: nested too deeply"


@for_each(
    ("value", "expected"),
    [
        ('"\\u00e4\\""', 'ä"'),
        ("[true, false, null, -1.0, 1e5]", "[true, false, null, -1.0, 1e5]"),
        ('{"ä": {"b": ["\\\\", {}]}}', '{"ä": {"b": ["\\\\", {}]}}'),
        ("-0.10", "-0.10"),
    ],
)
def test_value_becomes_text(value: str, expected: str) -> None:
    assert read_json('{"a": ' + value + ', "b": 1}') == ([[expected, "1"]], [])
