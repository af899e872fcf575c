"""JSON Lines: one object in each line."""

from typing import Any

import pytest

from lib import blocks
from lib.rejects import Reject
from lib.rows import FileFormatError
from tests.lib.formats import Rows, read
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
