"""Rows are recognized in whole blocks, or left to the parser."""

from typing import Any

import pytest

from lib.row_pattern import RowPattern, is_utf8
from tests.tables import for_each

Q = b'"'


def match(
    text: bytes,
    width: int = 2,
    delimiter: str = ",",
    quote: str = '"',
    nulls: tuple[str, ...] = (r"\N",),
) -> Any:
    """Return the number, the text and the CSV of rows, or None."""
    rows = RowPattern(width, delimiter, quote, frozenset(nulls)).match(text)
    return rows and (rows.number, rows.convert(), rows.csv)


@for_each(
    ("delimiter", "quote", "nulls", "fits"),
    [
        (",", '"', [r"\N"], True),
        ("\t", "", [], True),
        (",", "'", ["", "NA", "-"], True),
        ("||", '"', [], False),
        ("§", '"', [], False),
        (",", "«", [], False),
        (",", '"', ["a,b"], False),
        (",", '"', ['""'], False),
        (",", "'", ["''"], False),
        (",", "", ['""'], False),
        (",", '"', [r"\n"], False),
        (",", '"', ["a\tb"], False),
        (",", '"', ["NA", "\0"], False),
    ],
)
def test_pattern_fits_simple_formats(
    delimiter: str, quote: str, nulls: list[str], fits: bool
) -> None:
    assert RowPattern.fits(delimiter, quote, frozenset(nulls)) is fits


@for_each(
    ("text", "options", "expected"),
    [
        (b"a,b\n", {}, (1, b"a\tb\n")),
        (b"a,b\nc,\n", {}, (2, b"a\tb\nc\t\n")),
        (b"a,b\r\nc,d\r\n", {}, (2, b"a\tb\nc\td\n")),
        (b"a,b\nc,d\r\n", {}, (2, b"a\tb\nc\td\n")),
        (b"a\tb\n", {"delimiter": "\t"}, (1, b"a\tb\n")),
        (b'a",b\n', {"quote": ""}, (1, b'a"\tb\n')),
        (b"a,b\r\n", {"quote": ""}, (1, b"a\tb\n")),
        (b"a\nb\n", {"width": 1}, (2, b"a\nb\n")),
        ("ä,€\n".encode(), {}, (1, "ä\t€\n".encode())),
        (b"NA,b\nc,NA\n", {"nulls": ("NA",)}, (2, b"\\N\tb\nc\t\\N\n")),
        (b",\n,\n", {"nulls": ("",)}, (2, b"\\N\t\\N\n\\N\t\\N\n")),
        (
            b",,,\n",
            {"width": 4, "nulls": ("", "-")},
            (1, b"\\N\t\\N\t\\N\t\\N\n"),
        ),
        (b"NAN,-\n", {"nulls": ("NA", "-")}, (1, b"NAN\t\\N\n")),
    ],
)
def test_plain_rows_are_converted(
    text: bytes, options: dict[str, Any], expected: tuple[int, bytes]
) -> None:
    assert match(text, **options) == (*expected, b"")


@for_each(
    ("text", "options", "expected"),
    [
        (b'"a",b\n', {}, (1, b"a\tb\n", True)),
        (b'"a",b\r\n"c","d"\r\n', {}, (2, b"a\tb\nc\td\n", True)),
        (b'"a",b\r\nc,d\n', {}, (2, b"a\tb\nc\td\n", False)),
        (b'"a,b","c\nd"\n', {}, (1, b"a,b\tc\\nd\n", True)),
        (b'"a\tb\\","\r\n"\n', {}, (1, b"a\\tb\\\\\t\\r\\n\n", False)),
        (b'"say ""a""",""""\n', {}, (1, b'say "a"\t"\n', True)),
        (b'"""""",""\n', {}, (1, b'""\t\n', True)),
        (b'"""""""",""""""""""\n', {}, (1, b'"""\t""""\n', True)),
        (b'"a",\\N\n', {}, (1, b"a\t\\N\n", False)),
        (b'"a"\n""\n', {"width": 1}, (2, b"a\n\n", True)),
        (b"'a';b\n", {"quote": "'", "delimiter": ";"}, (1, b"a\tb\n", False)),
        (b"'a,''',b\n", {"quote": "'"}, (1, b"a,'\tb\n", False)),
        (b'"a";b\n', {"delimiter": ";"}, (1, b"a\tb\n", False)),
        (b'"NA",NA\n', {"nulls": ("NA",)}, (1, b"NA\t\\N\n", False)),
        (b'"",\n', {"nulls": ("",)}, (1, b"\t\\N\n", False)),
        (b'"a",b\n', {"nulls": ()}, (1, b"a\tb\n", True)),
    ],
)
def test_quoted_rows_are_converted(
    text: bytes, options: dict[str, Any], expected: tuple[int, bytes, bool]
) -> None:
    *rows, is_csv = expected
    assert match(text, **options) == (*rows, text if is_csv else b"")


@for_each(
    ("text", "options"),
    [
        (b"", {}),
        (b"a\n", {}),
        (b"a,b,c\n", {}),
        (b"a,b\n\n", {}),
        (b"\n", {"width": 1}),
        (b"a\n\nb\n", {"width": 1}),
        (b'"a"\n\n', {"width": 1}),
        (b"a,\\N\n", {"quote": ""}),
        (b"a\t,b\n", {"quote": ""}),
        (b"a\\,b\n", {}),
        (b"a\t,b\n", {}),
        (b"a\r,b\n", {}),
        (b"a\r,b\n", {"quote": ""}),
        (b"a\0,b\n", {}),
        (b'"a\0",b\n', {}),
        (b"a,\xff\n", {}),
        (b'"a"b,c\n', {}),
        (b'a,b"c"\n', {}),
        (b'"a",b\n"c"\n', {}),
        (b'"a",b\n"c",d', {}),
        (b'"a",b\\\n', {}),
        (b'"\\N",b\n', {}),
        (b"'\\N',b\n", {"quote": "'"}),
        (b'"a",\\N\n', {"nulls": ("NA",)}),
    ],
)
def test_other_text_needs_closer_look(text: bytes, options: dict[str, Any]) -> None:
    assert match(text, **options) is None


@for_each(
    ("text", "rest"),
    [
        (b"a,b\n", b""),
        (b"", b""),
        (b'"a",b\n', b""),
        (b'"a\nb",c\n', b""),
        (b'a,b\n"c', b'"c'),
        (b'a,b\n"c\nd\n', b'"c\nd\n'),
        (b'"c\nd\n', b'"c\nd\n'),
        (b'\n"c\nd\n', b'"c\nd\n'),
        (b'"a",b\nc,"d\n', b'c,"d\n'),
        (b'"a",b\nc,"d\n"e\n', b""),
        (b'a,"b\nc"\nd,"e ""f\ng\n', b'd,"e ""f\ng\n'),
        (b'a,"b\nc"",\nd\n', b'a,"b\nc"",\nd\n'),
        (b'x,y\na,"b\nc"",\nd\n', b'a,"b\nc"",\nd\n'),
    ],
)
def test_open_record_is_split_off(text: bytes, rest: bytes) -> None:
    whole = text.removesuffix(rest)
    assert RowPattern(2, ",").split_records(text) == (whole, rest)
    other = text.replace(Q, b"'")
    assert RowPattern(2, ",", "").split_records(text) == (text, b"")
    assert RowPattern(2, ",", "'").split_records(other) == (
        whole.replace(Q, b"'"),
        rest.replace(Q, b"'"),
    )


@for_each(
    ("text", "is_sound"),
    [
        (b"", True),
        (b"a,b\nc\n", True),
        (b"a,b\r\n", True),
        (b"a\rb,c\n", False),
        (b'"a",b\n', True),
        (b'"a\nb",c\r\n,""\n', True),
        (b'"a ""b""",c\n', True),
        (b'"a","b"\n"c"\n', True),
        (b'"a"b,c\n', False),
        (b'a"b",c\n', False),
        (b'"a",b\rc\n', False),
        (b'"a\0",b\n', False),
        (b'"a",\0\n', False),
        (b'"a",b', False),
    ],
)
def test_quotes_are_where_they_may_be(text: bytes, is_sound: bool) -> None:
    assert RowPattern(2, ",").is_sound(text) is is_sound


def test_without_quotes_only_carriage_returns_are_unsound() -> None:
    pattern = RowPattern(2, ",", "")
    assert pattern.is_sound(b'a"b,c\r\n')
    assert not pattern.is_sound(b'a"b\r,c\n')


@pytest.mark.parametrize(
    ("text", "expected"),
    [(b"a", True), ("ä".encode(), True), (b"\xff", False), (b"\xed\xa0\x80", False)],
)
def test_utf8_is_recognized(text: bytes, expected: bool) -> None:
    assert is_utf8(text) is expected
