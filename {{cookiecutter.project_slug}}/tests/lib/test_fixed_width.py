"""Records of fixed width, with lines and without, in EBCDIC and others."""

from typing import Any

import pytest

from lib.rejects import Reject
from lib.rows import FileFormatError
from tests.lib.formats import Rows, read
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
