"""Records of fixed width, with lines and without, in EBCDIC and others."""

import io
from typing import Any

import pytest

from lib import blocks, chunks
from lib.rejects import Reject
from lib.rows import FileFormatError, read_chunks
from tests.lib.formats import Rows, make_format, read
from tests.tables import for_each


def read_fixed(text: bytes, **options: Any) -> tuple[Rows, list[Reject]]:
    """Return all rows and rejects of a file with two fields of three and five."""
    return read(text, kind="fixed", widths=(3, 5), **options)


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        pytest.param(b"a  b    \n", {}, [["a", "b"]], id="padding"),
        pytest.param(b"  1   22\r\n\n", {}, [["1", "22"]], id="numbers, CR LF"),
        pytest.param(
            b'"a,b\\\t c\n', {}, [['"a,', "b\\\t c"]], id="special characters"
        ),
        pytest.param("ä€ ß  😀 \n".encode(), {}, [["ä€", "ß  😀"]], id="utf-8"),
        pytest.param(b"a       \n", {"nulls": [""]}, [["a", None]], id="NULL"),
        pytest.param(b"a  \n", {"fills": True}, [["a", None]], id="short line"),
        pytest.param(b"#\na  b    \n", {"comment": "#"}, [["a", "b"]], id="comment"),
        pytest.param(
            b"head\na  b    \nTRAILER\n",
            {"skip_lines": 1, "trailer_lines": 1},
            [["a", "b"]],
            id="first and last line",
        ),
    ],
)
def test_lines_become_rows(
    text: bytes, options: dict[str, Any], expected: Rows
) -> None:
    assert read_fixed(text, **options) == (expected, [])


@for_each("encoding", ["cp037", "cp500", "cp1047", "cp273", "cp1140"])
def test_ebcdic_records_become_rows(encoding: str) -> None:
    text = "001Ärger002[a^b]003      ".encode(encoding)
    rows = [["001", "Ärger"], ["002", "[a^b]"], ["003", ""]]
    assert read_fixed(text, encoding=encoding, newline="") == (rows, [])


def test_packed_numbers_are_rejects() -> None:
    text = "001anna ".encode("cp037") + b"\xf0\xf0\xf2\x12\x34\x5c\x40\x40"
    rows, [reject] = read_fixed(text, encoding="cp037", newline="")
    assert rows == [["001", "anna"]]
    assert reject.reason.startswith("a control character: packed and binary numbers")


def test_records_of_variable_length_fail_file() -> None:
    text = (b"\0\x0c\0\0" + "001anna ".encode("cp037")) * 3
    with pytest.raises(FileFormatError, match="records of variable length"):
        read_fixed(text, encoding="cp037", newline="")


def test_ebcdic_lines_become_rows() -> None:
    text = "001anna \x85002bert \x85".encode("cp1047")
    assert text[8] == 0x15
    rows = [["001", "anna"], ["002", "bert"]]
    assert read_fixed(text, encoding="cp1047", newline="\x85") == (rows, [])


def test_records_at_start_and_end_are_skipped() -> None:
    text = b"HEADER  " + b"a  b    " * 3 + b"TRAILER " + b"\0" * 5
    options = {"newline": "", "skip_lines": 1, "trailer_lines": 1}
    assert read_fixed(text, **options) == ([["a", "b"]] * 3, [])


@for_each(
    ("text", "options", "reason"),
    [
        (b"a  b\n", {}, "characters: 4 instead of 8"),
        (b"a  b     \n", {}, "characters: 9 instead of 8"),
        (b"a  b\0   \n", {}, "a NUL character"),
        (b"a  b\xff   \n", {}, "not utf-8"),
        (b"a  b\n   ", {"newline": ""}, "a newline in a record"),
        (b"a  b", {"newline": ""}, "characters: 4 instead of 8"),
    ],
)
def test_bad_record_becomes_reject(
    text: bytes, options: dict[str, Any], reason: str
) -> None:
    rows, rejects = read_fixed(text, **options)
    assert not rows
    assert [reject.reason for reject in rejects] == [reason]


@for_each(
    ("text", "options", "lines"),
    [
        (b"\nx\n#\n\ny\n", {"comment": "#"}, [2, 5]),
        (b"h\nx\ny\n", {"skip_lines": 1}, [2, 3]),
        (b"x|#\r|y\r|", {"newline": "|", "comment": "#"}, [1, 3]),
        (b"a  b    x\n     c  d    ", {"newline": ""}, [2, 3]),
        (b"a  b    x", {"newline": ""}, [2]),
        (b"a  b    " * 3 + b"x", {"newline": "", "trailer_lines": 1}, [4]),
        (b"a  b    " * 3 + b"\n       x", {"newline": "", "skip_lines": 2}, [4, 5]),
    ],
)
def test_rejects_have_their_lines(
    text: bytes, options: dict[str, Any], lines: list[int]
) -> None:
    assert [reject.line for reject in read_fixed(text, **options)[1]] == lines


@for_each("newline", ["\n", ""])
def test_records_come_in_chunks(newline: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_SIZE", 20)
    text = (b"a  b    " + newline.encode()) * 7
    file_format = make_format(kind="fixed", widths=(3, 5), newline=newline)
    found = list(read_chunks(io.BytesIO(text), file_format))
    origins = [[line for line, _ in chunk.origins] for chunk in found]
    assert origins == [[1, 2, 3], [4, 5, 6], [7]]


def test_long_line_is_reject(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LINE_LIMIT", 20)
    monkeypatch.setattr(blocks, "CUT_LENGTH", 8)  # as long as a record
    rows, rejects = read_fixed(b"a" * 30 + b"\na  b    \n")
    assert rows == [["a", "b"]]
    assert rejects == [Reject(1, "a" * 8, "longer than 20 bytes")]


@for_each(
    ("text", "options", "expected"),
    [
        (b"a\n", {}, ["a", None]),
        (b"a  \n", {}, ["a", None]),
        (b"a  b\n", {}, ["a", "b"]),
        (b"a  \\\n", {}, ["a", "\\"]),
        (b"a  b", {"newline": ""}, ["a", "b"]),
        (b"   b\n", {"nulls": [""]}, [None, "b"]),
    ],
)
def test_missing_fields_are_null_on_request(
    text: bytes, options: dict[str, Any], expected: list[str | None]
) -> None:
    assert read_fixed(text, fills=True, **options) == ([expected], [])


def test_other_control_characters_are_read_outside_of_ebcdic() -> None:
    assert read_fixed(b"a  b\x01   \n") == ([["a", "b\x01"]], [])


@for_each("end", [b"\r\n", b"\0\0\0", b"\x1a", b"   "])
def test_padding_at_end_is_no_record(end: bytes) -> None:
    assert read_fixed(b"a  b    " + end, newline="") == ([["a", "b"]], [])


def test_value_in_other_format_is_reject() -> None:
    options = {"formats": {"b": "boolean"}}
    _, [reject] = read_fixed(b"a  maybe\n", **options)
    assert (reject.line, reject.condition) == (1, "b is not in the format boolean")
