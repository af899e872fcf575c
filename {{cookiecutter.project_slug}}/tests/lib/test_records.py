"""Delimited text is split into records and fields, and errors are where they start."""

from typing import Any

import pytest

from lib import blocks, records
from lib.blocks import Block, read_blocks
from lib.file_types import FileFormatError
from lib.records import (
    Dialect,
    Lookahead,
    Record,
    RecordParser,
    Split,
    Splitter,
    find_fault,
)
from tests.tables import for_each

ESCAPES = {"escape": "\\"}
BARE = {"escape": "\\", "quote": "", "delimiter": "\t"}


def parse(text: str, line: int = 1, **dialect: Any) -> list[Record]:
    """Return all records of a file."""
    own = Dialect(**dialect)
    parser = RecordParser(own, "utf-8", line)
    found: list[Record] = []
    pieces = [text.encode("utf-8", "surrogateescape")]
    for block in read_blocks(pieces, own.marks):
        found += parser.feed(block)
    found += parser.finish()
    assert not parser.is_open
    return found


@for_each(
    ("text", "dialect", "fields", "raw"),
    [
        ("a", {}, ["a"], ["a"]),
        ("", {}, [""], [""]),
        (",", {}, ["", ""], ["", ""]),
        ("a,b,", {}, ["a", "b", ""], ["a", "b", ""]),
        ('"a,b",c', {}, ["a,b", "c"], ['"a,b"', "c"]),
        ('a,"b"', {}, ["a", "b"], ["a", '"b"']),
        ('"a",', {}, ["a", ""], ['"a"', ""]),
        ('a,"b"\r', {}, ["a", "b"], ["a", '"b"']),
        ('a,"",\r', {}, ["a", "", ""], ["a", '""', ""]),
        ('"a\rb"\r', {}, ["a\rb"], ['"a\rb"']),
        ('""""', {}, ['"'], ['""""']),
        ('"a""b",c', {}, ['a"b', "c"], ['"a""b"', "c"]),
        ('a""b,"c"', {}, ['a""b', "c"], ['a""b', '"c"']),
        ('a"b,c', {}, ['a"b', "c"], ['a"b', "c"]),
        ('"a"||b', {"delimiter": "||"}, ["a", "b"], ['"a"', "b"]),
        ("a|b||c", {"delimiter": "||"}, ["a|b", "c"], ["a|b", "c"]),
        ('"a"\r', {"newline": "|", "delimiter": "\r"}, ["a", ""], ['"a"', ""]),
        ("'a,b',c", {"quote": "'"}, ["a,b", "c"], ["'a,b'", "c"]),
        (r'"a\"b",c', ESCAPES, ['a"b', "c"], [r'"a\"b"', "c"]),
        (r"a\,b,c", ESCAPES, ["a,b", "c"], [r"a\,b", "c"]),
        (r"a\\,c\n", ESCAPES, ["a\\", r"c\n"], [r"a\\", r"c\n"]),
        ('"a\\\nb"', ESCAPES, ["a\nb"], ['"a\\\nb"']),
        ("a\\\tb\tc", BARE, ["a\tb", "c"], ["a\\\tb", "c"]),
        (r"\t\n\r\b\f\v\Z\x\\", BARE, ["\t\n\r\b\f\v\x1ax\\"], [r"\t\n\r\b\f\v\Z\x\\"]),
        (
            r"a\||b|\|c||d",
            {"escape": "\\", "delimiter": "||"},
            [r"a||b|\|c", "d"],
            [r"a\||b|\|c", "d"],
        ),
    ],
)
def test_text_is_split_into_fields(
    text: str, dialect: dict[str, Any], fields: list[str], raw: list[str]
) -> None:
    assert Splitter(Dialect(**dialect)).split(text) == Split(fields, raw)


@for_each(
    ("text", "dialect", "expected"),
    [
        ('a,"b', {}, Split(["a"], ["a"], open_field='"')),
        ('"a","b""', {}, Split(["a"], ['"a"'], open_field='"')),
        ('"', {}, Split([], [], open_field='"')),
        ("a\\", ESCAPES, Split([], [], open_field="x")),
        ("a,b\\", ESCAPES, Split(["a"], ["a"], open_field="x")),
        ('a,"b\\"', ESCAPES, Split(["a"], ["a"], open_field='"')),
        ("a\tb\\", BARE, Split(["a"], ["a"], open_field="x")),
        ('"a"b,c', {}, Split(["a"], ['"a"'], "',' expected after '\"'")),
        ('x,"a"b,c', {}, Split(["x", "a"], ["x", '"a"'], "',' expected after '\"'")),
        (
            "'a'b",
            {"quote": "'", "delimiter": ";"},
            Split(["a"], ["'a'"], "';' expected after \"'\""),
        ),
        ("a\r,b\r", {}, Split(["a\r", "b"], ["a\r", "b"])),
    ],
)
def test_open_field_or_error_is_found(
    text: str, dialect: dict[str, Any], expected: Split
) -> None:
    assert Splitter(Dialect(**dialect)).split(text) == expected


@for_each(
    ("line", "open_field", "expected"),
    [
        ("b", '"', ('"', "")),
        ('b"', '"', ("", "")),
        ('b",c', '"', ("", "")),
        ('b"\r', '"', ("", "")),
        ('b""c', '"', ('"', "")),
        ('b","c', '"', ('"', "")),
        ('b"c', '"', ("", "',' expected after '\"'")),
        ("b", "x", ("", "")),
        ("b\\", "x", ("x", "")),
        ('b","c', "x", ('"', "")),
    ],
)
def test_open_field_goes_on(
    line: str, open_field: str, expected: tuple[str, str]
) -> None:
    assert Splitter(Dialect(escape="\\")).go_on(line, open_field) == expected


@for_each(
    ("line", "expected"),
    [
        ("a", False),
        ('a"', False),
        ('a"\r', False),
        ('a",b', False),
        ('a""b', False),
        ('a"b', True),
        ('a" ,b', True),
    ],
)
def test_stray_quote_is_recognized(line: str, expected: bool) -> None:
    assert Splitter(Dialect()).is_stray(line) is expected


def test_lines_to_read_again_are_kept_in_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_SIZE", 4)
    ahead = Lookahead()
    cut = Block(b"cut\n", is_cut=True, is_odd=True)
    for line in (b"ab\n", b"c\n", b"d\n"):
        ahead.add(Block(line))
    ahead.add(cut)
    ahead.add(Block(b"e\n"))
    assert (ahead.size, ahead.lines) == (13, 5)
    assert ahead.take() == [Block(b"ab\nc\n"), Block(b"d\n"), cut, Block(b"e\n")]


def test_nothing_to_read_again_is_no_block() -> None:
    ahead = Lookahead()
    assert (ahead.size, ahead.lines, ahead.take()) == (0, 0, [])


def plain(line: int, text: str, *fields: str) -> Record:
    """Return a record without quotes and special characters."""
    return Record(line, text, [*fields], [*fields], "", False)


@for_each(
    ("text", "dialect", "expected"),
    [
        ("a,b\n\nc\n", {}, [plain(1, "a,b", "a", "b"), plain(3, "c", "c")]),
        ("a\r\n\r\nb\r\n", {}, [plain(1, "a\r", "a"), plain(3, "b\r", "b")]),
        ("a|\r|b|", {"newline": "|"}, None),
        (
            '"a",b\n"c"\r\n',
            {},
            [
                Record(1, '"a",b', ["a", "b"], ['"a"', "b"], "", False),
                Record(2, '"c"\r', ["c"], ['"c"'], "", False),
            ],
        ),
        (
            '"a\nb",c\nd\n',
            {},
            [
                Record(1, '"a\nb",c', ["a\nb", "c"], ['"a\nb"', "c"]),
                plain(3, "d", "d"),
            ],
        ),
        ("#a\nb\n#\n", {"comment": "#"}, [plain(2, "b", "b")]),
        ('#"a\nb\n', {"comment": "#"}, [plain(2, "b", "b")]),
        (
            '"\n#",a\n',
            {"comment": "#"},
            [Record(1, '"\n#",a', ["\n#", "a"], ['"\n#"', "a"])],
        ),
        (
            "a\\\nb\n",
            {"escape": "\\"},
            [Record(1, "a\\\nb", ["a\nb"], ["a\\\nb"])],
        ),
        ("a\tb\n", {}, [Record(1, "a\tb", ["a\tb"], ["a\tb"])]),
        ("a\tb\n", {"delimiter": "\t"}, [plain(1, "a\tb", "a", "b")]),
        ('"a"\tb\n', {"delimiter": "\t"}, None),
        (
            '"a",b\t\n',
            {},
            [Record(1, '"a",b\t', ["a", "b\t"], ['"a"', "b\t"])],
        ),
        ("a\\\n", {}, [Record(1, "a\\", ["a\\"], ["a\\"])]),
        ("a\nb|", {"newline": "|"}, [Record(1, "a\nb", ["a\nb"], ["a\nb"])]),
        ("a\r|", {"newline": "|"}, [Record(1, "a\r", ["a\r"], ["a\r"])]),
    ],
)
def test_records_are_found(
    text: str, dialect: dict[str, Any], expected: list[Record] | None
) -> None:
    found = parse(text, **dialect)
    if expected is None:
        assert not any(record.error for record in found)
    else:
        assert found == expected


CR = "a carriage return outside of quotes"


@for_each(
    ("text", "dialect", "errors"),
    [
        ('a,"b\n', {}, [(1, "unexpected end of data")]),
        ('a,"b\nc\n', {}, [(1, "unexpected end of data, in 2 lines from here on")]),
        ('"a"b\nc\n', {}, [(1, "',' expected after '\"'"), (2, "")]),
        (
            '"a\n"b\nc\n',
            {},
            [(1, "',' expected after '\"', in 2 lines from here on"), (3, "")],
        ),
        ("a\0\nb\n", {}, [(1, "a NUL character"), (2, "")]),
        ('"a\0"\n', {}, [(1, "a NUL character")]),
        ("a\udcff\n", {}, [(1, "not utf-8")]),
        ('"a\udcff"b\n', {}, [(1, "not utf-8")]),
        ("a\rb\n", {}, [(1, CR)]),
        ('"a",b\rc\n', {}, [(1, CR)]),
        ('"a\rb"\n', {}, [(1, "")]),
        ('"a\rb",c\r\n', {}, [(1, "")]),
        ("'a\rb'\n", {"quote": "'"}, [(1, "")]),
        ("'a\rb'\n", {"quote": ""}, [(1, CR)]),
        ("a\rb|", {"newline": "|"}, [(1, "")]),
        ('"a"\rb|', {"newline": "|", "delimiter": "\r"}, [(1, "")]),
        (r"a\0b" + "\n", BARE, [(1, "a NUL character")]),
        (r"a\\0b" + "\n", BARE, [(1, "")]),
        ("a\\", BARE, [(1, "unexpected end of data")]),
    ],
)
def test_errors_are_of_their_lines(
    text: str, dialect: dict[str, Any], errors: list[tuple[int, str]]
) -> None:
    found = parse(text, **dialect)
    assert [(record.line, record.error) for record in found] == errors
    later = [record.line for record in parse(text, 7, **dialect)]
    assert later == [line + 6 for line, _ in errors]


TOO_LONG = "longer than 20 bytes"


@pytest.fixture
def _small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_SIZE", 8)
    monkeypatch.setattr(blocks, "LINE_LIMIT", 20)
    monkeypatch.setattr(blocks, "CUT_LENGTH", 10)
    monkeypatch.setattr(records, "LOOKAHEAD", 60)


@for_each(
    ("text", "dialect", "expected"),
    [
        ('"345678\n012345678"\n', {}, [(1, "")]),
        ('"345678\n0123456789"\n', {}, [(1, "")]),
        ('"345678\n01234567890"\n', {}, [(1, TOO_LONG)]),
        ('"345678\n01234567890\n"\na\n', {}, [(1, TOO_LONG), (4, "")]),
        ('"345678\n01234567890\nx\ny",\na\n', {}, [(1, TOO_LONG), (5, "")]),
        ('"345678\n01234567890\nx\ny"z\na\n', {}, [(1, TOO_LONG), (4, ""), (5, "")]),
        ('"345678\n01234567890\nx\ny\n', {}, [(1, TOO_LONG), (4, "")]),
        ('"345678\n01234567890\n' + "x" * 30 + '"\na\n', {}, [(1, TOO_LONG), (4, "")]),
        ("a\\\n" * 9 + "b\nc\n", {"escape": "\\"}, [(1, TOO_LONG), (11, "")]),
        ("a\\\n" * 9, {"escape": "\\"}, [(1, TOO_LONG)]),
        ("a\nb" + "x" * 30 + "\nc\n", {}, [(1, ""), (2, TOO_LONG), (3, "")]),
        ('a,"' + "x" * 30 + '"\nc\n', {}, [(1, TOO_LONG), (2, "")]),
        ('a,"' + "x" * 30 + '\nb"\nc\n', {}, [(1, TOO_LONG), (3, "")]),
        ('"a\n' + "x" * 30 + '",\nc\n', {}, [(1, TOO_LONG), (3, "")]),
        ("a" * 30 + "\\\nb\nc\n", {"escape": "\\"}, [(1, TOO_LONG), (3, "")]),
    ],
)
@pytest.mark.usefixtures("_small_limits")
def test_long_record_is_one_reject(
    text: str, dialect: dict[str, Any], expected: list[tuple[int, str]]
) -> None:
    found = parse(text, **dialect)
    assert [(record.line, record.error) for record in found] == expected
    assert all(record.text in text for record in found)


@for_each(
    ("text", "dialect", "message"),
    [
        ('a\n"' + "b\n" * 60, {}, "the field in line 2 does not end within 60 bytes: "),
        ('"' + "b\n" * 60, {}, "correct the line, or set quote: none"),
        ("b\\\n" * 60, {"escape": "\\"}, "or set escape: none"),
    ],
)
@pytest.mark.usefixtures("_small_limits")
def test_endless_field_fails_file(
    text: str, dialect: dict[str, Any], message: str
) -> None:
    with pytest.raises(FileFormatError, match=message):
        parse(text, **dialect)


@pytest.mark.usefixtures("_small_limits")
def test_field_may_end_within_lookahead() -> None:
    head = '"' + "b\n" * 11  # above the limit
    ahead = "c\n" * 29
    assert [each.line for each in parse(head + ahead + '",\nd\n')] == [1, 42]


@for_each(
    ("text", "encoding", "expected"),
    [
        ("ä€😀", "utf-8", ""),
        ("", "utf-8", ""),
        ("a\0", "utf-8", "a NUL character"),
        ("a\udc80", "cp1252", "not cp1252"),
        ("\0\udc80", "cp1252", "a NUL character"),
    ],
)
def test_text_no_database_stores_has_a_fault(
    text: str, encoding: str, expected: str
) -> None:
    assert find_fault(text, encoding) == expected
