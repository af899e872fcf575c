"""Lines become rows or rejects."""

import io
import random
from types import SimpleNamespace
from typing import Any

import pytest

from lib import blocks, chunks, records, row_pattern
from lib.chunks import parse_row
from lib.records import Dialect
from lib.rejects import Refusal, Reject
from lib.rows import FileFormatError, Format, read_chunks
from tests.lib.formats import make_format, read
from tests.tables import for_each


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(b"a,b\nc,d\n", [["a", "b"], ["c", "d"]], id="plain"),
        pytest.param(b"a,b\nc,d", [["a", "b"], ["c", "d"]], id="no newline at the end"),
        pytest.param(b"a,b\r\nc,d\r\n", [["a", "b"], ["c", "d"]], id="CR LF"),
        pytest.param(b'"a,1","say ""b"""\n', [["a,1", 'say "b"']], id="quotes"),
        pytest.param(
            b'"a\nb",c\nd,e\n', [["a\nb", "c"], ["d", "e"]], id="LF in quotes"
        ),
        pytest.param(b"\n\na,b\n\n", [["a", "b"]], id="empty lines"),
        pytest.param(b"", [], id="empty file"),
        pytest.param("ä,😀\n".encode(), [["ä", "😀"]], id="more than ASCII"),
        pytest.param("\ufeffa,b\n".encode(), [["a", "b"]], id="BOM"),
        pytest.param(b"a,b\nc,d\r\n", [["a", "b"], ["c", "d"]], id="CR LF later"),
        pytest.param(b"a\\nb,c\td\n", [["a\\nb", "c\td"]], id="backslash, tab"),
        pytest.param(b'"a\rb\tc\\","\n"\n', [["a\rb\tc\\", "\n"]], id="all in quotes"),
        pytest.param(b"\\N,b\n", [[None, "b"]], id="NULL"),
    ],
)
def test_rows_are_parsed(text: bytes, expected: list[list[str]]) -> None:
    assert read(text) == (expected, [])


def test_delimiter_and_newline_are_configurable() -> None:
    assert read(b"a;b|c;d|", delimiter=";", newline="|")[0] == [["a", "b"], ["c", "d"]]


@for_each(
    ("text", "expected"),
    [
        (b"a\n", Reject(1, "a", "fields: 1 instead of 2")),
        (b"a,b\n\na,b,c\n", Reject(3, "a,b,c", "fields: 3 instead of 2")),
        (b'"a\nb",c\nd\n', Reject(3, "d", "fields: 1 instead of 2")),
        (b"a,\xff\n", Reject(1, r"a,\xff", "not utf-8")),
        (b"a,\0\n", Reject(1, r"a,\x00", "a NUL character")),
        (b'a,"b"c\n', Reject(1, 'a,"b"c', "',' expected after '\"'")),
        (b'a,"b', Reject(1, 'a,"b', "unexpected end of data")),
    ],
)
def test_bad_line_becomes_reject(text: bytes, expected: Reject) -> None:
    assert read(text)[1] == [expected]


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        pytest.param(b"x,y\na,b\n", {"header": "skip"}, [["a", "b"]], id="header"),
        pytest.param(
            b'"x\n1",y\na,b\n',
            {"header": "skip"},
            [["a", "b"]],
            id="header of two lines",
        ),
        pytest.param(b"h\n", {"header": "skip"}, [], id="nothing but a header"),
        pytest.param(b"a||b\n", {"delimiter": "||"}, [["a", "b"]], id="two characters"),
        pytest.param(
            b"'a,''b',c\n", {"quote": "'"}, [["a,'b", "c"]], id="single quotes"
        ),
        pytest.param(
            b'5" pipe\t"\n',
            {"quote": "", "delimiter": "\t"},
            [['5" pipe', '"']],
            id="no",
        ),
        pytest.param(
            b'"say \\"b\\"",C:\\dir\n',
            {"escape": "\\"},
            [['say "b"', "C:\\dir"]],
            id="escaped quotes",
        ),
        pytest.param(
            b"a\\\tb\\nc\t\\\\d\n\\N\t\\\nx\n",
            {"escape": "\\", "quote": "", "delimiter": "\t"},
            [["a\tb\nc", "\\d"], [None, "\nx"]],
            id="escapes without quotes",
        ),
        pytest.param(
            b'#c,"\na,b\n"#x\n",#\n',
            {"comment": "#"},
            [["a", "b"], ["#x\n", "#"]],
            id="#",
        ),
        pytest.param(
            b'x"\n\na,b\n', {"skip_lines": 2}, [["a", "b"]], id="lines at the start"
        ),
        pytest.param(
            b"a,b\n\nT|2\nend\n\n", {"trailer_lines": 2}, [["a", "b"]], id="trailer"
        ),
        pytest.param(b"T\n", {"trailer_lines": 2}, [], id="nothing but a trailer"),
        pytest.param(b"a\n", {"fills": True}, [["a", None]], id="short line"),
        pytest.param(
            b'"a;b",c;', {"newline": ";"}, [["a;b", "c"]], id="newline in quotes"
        ),
        pytest.param(b"a\tb\n", {"delimiter": "\t"}, [["a", "b"]], id="tabs"),
        pytest.param(
            "a§b\n".encode(), {"delimiter": "§"}, [["a", "b"]], id="delimiter not ASCII"
        ),
        pytest.param(
            b"a,b\r\nc,d\r\n", {"newline": "\r\n"}, [["a", "b"], ["c", "d"]], id="CR LF"
        ),
        pytest.param(
            b"a,b||c,d||",
            {"newline": "||"},
            [["a", "b"], ["c", "d"]],
            id="two",
        ),
        pytest.param(
            "ä,ß\n".encode("cp1252"), {"encoding": "cp1252"}, [["ä", "ß"]], id="cp1252"
        ),
        pytest.param(
            "ä,😀\n".encode("utf-16"),
            {"encoding": "utf-16"},
            [["ä", "😀"]],
            id="utf-16",
        ),
    ],
)
def test_format_is_applied(
    text: bytes, options: dict[str, Any], expected: list[list[str]]
) -> None:
    assert read(text, **options) == (expected, [])


def test_undecodable_byte_becomes_reject() -> None:
    assert read(b"a,b\na,\x81\n", encoding="cp1252") == (
        [["a", "b"]],
        [Reject(2, r"a,\x80", "not cp1252")],
    )


@pytest.fixture
def _small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_SIZE", 5_000)
    monkeypatch.setattr(blocks, "LINE_LIMIT", 10_000)
    monkeypatch.setattr(chunks, "CHUNK_SIZE", 5_000)
    monkeypatch.setattr(records, "LOOKAHEAD", 50_000)


@pytest.mark.parametrize("start", [b"", b'"q",r\n'], ids=["plain", "by csv"])
@pytest.mark.parametrize("newline", ["\n", "||"])
@pytest.mark.usefixtures("_small_limits")
def test_long_line_becomes_one_reject(start: bytes, newline: str) -> None:
    end = newline.encode()
    start = start.replace(b"\n", end)
    long = b"x" * (5 * blocks.LINE_LIMIT)
    text = start + b"a,b" + end + long + end + b"c,d" + end + long
    values, rejects = read(text, newline=newline)
    first = len(start) > 0
    assert values[first:] == [["a", "b"], ["c", "d"]]
    assert [reject.line for reject in rejects] == [first + 2, first + 4]
    for reject in rejects:
        assert reject.text == "x" * chunks.TEXT_LIMIT
        assert reject.reason == "longer than 10000 bytes"


@pytest.mark.usefixtures("_small_limits")
def test_long_line_in_quotes_is_not_loaded() -> None:
    text = b'"a\n' + b"x" * (5 * blocks.LINE_LIMIT) + b'\nb",c\nd,e\n'
    values, rejects = read(text)
    assert values == [["d", "e"]]
    assert [reject.reason for reject in rejects] == ["longer than 10000 bytes"]


LINES = 2_000
QUOTED = b'"' + b"p,q\n" * LINES + b'"'  # lines that would be rows outside of quotes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(b'1,"' + b"x" * 30_000 + b'"\n2,b\n', [1], id="in one line"),
        pytest.param(b'1,"' + b"x" * 30_000 + b"\n2,b\n", [1], id="never closed"),
        pytest.param(b"1," + QUOTED * 2 + b"\n2,b\n", [1], id="many lines"),
        pytest.param(b'7"a\n1,' + QUOTED * 2 + b"\n2,b\n", [1, 2], id="after odd line"),
        pytest.param(
            b'1,"' + b"x" * 30_000 + b"\np,q\n" * 9 + b'",\n2,b\n',
            [1],
            id="closed late",
        ),
    ],
)
@pytest.mark.usefixtures("_small_limits")
def test_record_above_limit_is_one_reject(text: bytes, expected: list[int]) -> None:
    values, rejects = read(text)
    assert values == [["2", "b"]]
    assert [reject.line for reject in rejects] == expected


@pytest.mark.usefixtures("_small_limits")
def test_stray_quote_takes_lines_up_to_limit() -> None:
    lines = [f"{number:04},b" for number in range(4_000)]
    lines[10] = '0010,"b'
    values, rejects = read("\n".join(lines).encode())
    assert [(reject.line, reject.reason) for reject in rejects] == [
        (11, "longer than 10000 bytes")
    ]
    assert values[:10] == [line.split(",") for line in lines[:10]]
    assert values[10:] == [line.split(",") for line in lines[-len(values) + 10 :]]
    assert len(values) > 2_500


@pytest.mark.parametrize("quote", ['"', ""])
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"p,q\\\n" * 4_000, id="lines"),
        pytest.param(b"x" * 30_000 + b",\\\n", id="long line"),
        pytest.param(b"p,q\\\n" * 4_000 + b"x" * 20_000 + b"\\\n", id="both"),
    ],
)
@pytest.mark.usefixtures("_small_limits")
def test_escaped_newline_above_limit_starts_no_row(text: bytes, quote: str) -> None:
    for rest, expected in ((b"", []), (b"p,q\n2,b\n", [["2", "b"]])):
        values, rejects = read(text + rest, quote=quote, escape="\\")
        assert values == expected
        assert [reject.line for reject in rejects] == [1]


@pytest.mark.usefixtures("_small_limits")
def test_quote_open_too_long_fails_file() -> None:
    text = b'a,b\n"' + b"c,d\n" * 20_000
    with pytest.raises(FileFormatError, match="the field in line 2 does not end"):
        read(text)


@pytest.mark.usefixtures("_small_limits")
def test_long_header_is_skipped() -> None:
    text = b'"' + b"x" * 30_000 + b'"\na,b\n'
    assert read(text, header="skip") == ([["a", "b"]], [])
    with pytest.raises(FileFormatError, match=r"line 1 cannot be read: longer than"):
        read(text, header="true")


def test_refused_row_becomes_reject() -> None:
    for text in (b"a,b\nc,d\n", b'"a",b\r\nc,d\r\n'):
        [chunk] = read_chunks(io.BytesIO(text), make_format(2))
        reject = chunk.reject(1, Refusal("too long", "TooLong"))
        assert reject == Reject(2, reject.text, "too long", "TooLong")
        assert reject.text.strip() == "c,d"


def test_pattern_and_parser_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(7)
    good = [b"a", b"", b"\\N", "é".encode(), b'"b"', b'"c,""d"', b'"e\nf\\"', b'""""']
    bad = [b'"', b"\0", b"\xff", b"\t", b"\\", b"\r", b'"\\N"', b"a,b", b'a"b"', b"\n"]
    files = []
    for number in range(60):
        fields = good * (1 + number % 40) + bad
        ends = [b"\n", b"\r\n"]
        files.append(
            b"".join(
                b"%b,%b%b" % (*chance.choices(fields, k=2), chance.choice(ends))
                for _ in range(number % 25)
            )
        )
    monkeypatch.setattr(blocks, "BLOCK_SIZE", 100)
    monkeypatch.setattr(chunks, "CHUNK_SIZE", 100)
    by_pattern = [read_all(text) for text in files]
    monkeypatch.setattr(row_pattern.RowPattern, "fits", lambda *_: False)
    for text, expected in zip(files, by_pattern, strict=True):
        assert expected == read_all(text), text


def read_all(text: bytes) -> list[Any]:
    """Return the rows and rejects of a file with their origins, sorted."""
    lines: list[Any] = []
    for chunk in read_chunks(io.BytesIO(text), make_format(2)):
        values = map(parse_row, chunk.text.splitlines(keepends=True))
        lines += zip(chunk.origins, values, strict=True)
        lines += [
            ((reject.line, reject.text), reject.reason) for reject in chunk.rejects
        ]
    return sorted(lines, key=str)


@for_each(
    ("text", "is_csv"),
    [
        (b'"a","b ""c"""\r\n"d\n",e\r\n', True),
        (b'a,""\n,"\r"\n', True),
        (b'"a",b\r\nc,d\n', False),
        (b'"a",b\\\n', False),
        (b'"a",\\N\n', False),
        (b'"a",b,c\n', False),
        (b"a,b\n", False),
    ],
)
def test_quoted_rows_are_kept_as_csv(text: bytes, is_csv: bool) -> None:
    [chunk] = read_chunks(io.BytesIO(text), make_format(2))
    assert chunk.csv == (text if is_csv else b"")


def test_rows_after_reject_are_read() -> None:
    assert read(b'a,"b"c\nd,e\n')[0] == [["d", "e"]]


def test_reject_text_is_bounded() -> None:
    assert len(read(b"\xff" * 5000)[1][0].text) == chunks.TEXT_LIMIT


def test_rows_keep_order_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [[str(number), "ä😀"] for number in range(250)]
    text = "".join(f"{a},{b}\n" for a, b in expected).encode()
    monkeypatch.setattr(blocks, "BLOCK_SIZE", 7)
    monkeypatch.setattr(chunks, "CHUNK_SIZE", 7)
    assert read(text) == (expected, [])


def test_file_is_read_in_blocks() -> None:
    stream = io.BytesIO(b"a,b\n" * 200_000)
    next(read_chunks(stream, make_format(2)))
    assert stream.tell() == blocks.BLOCK_SIZE


SETTINGS = {
    "columns": ["a", "-", "b"],
    "format": "csv",
    "delimiter": ";",
    "newline": "|",
    "quote": "'",
    "escape": "\\",
    "comment": "#",
    "encoding": "cp1252",
    "header": "skip",
    "null_field": ["", "NA"],
    "column_nulls": [("a", "x"), ("b", "y"), ("a", "z")],
    "formats": [("b", "iso")],
    "widths": [1, 2],
    "missing_fields": "null",
    "extra_columns": "ignore",
    "skip_lines": 3,
    "trailer_lines": 4,
    "max_uncompressed_mb": 5,
}


def from_settings(**changes: Any) -> Format:
    """Return the format of changed settings."""
    return Format.from_settings(SimpleNamespace(**SETTINGS | changes))


def test_settings_describe_format() -> None:
    assert from_settings() == Format(
        columns=["a", "-", "b"],
        kind="csv",
        dialect=Dialect(";", "|", "'", "\\", "#"),
        encoding="cp1252",
        header="skip",
        nulls=["", "NA"],
        column_nulls={"a": ["x", "z"], "b": ["y"]},
        formats={"b": "iso"},
        widths=[1, 2],
        fills=True,
        ignores_extra=True,
        skip_lines=3,
        trailer_lines=4,
        max_uncompressed=5_000_000,
    )
    assert from_settings().names == ["a", "b"]


def test_settings_of_same_meaning_give_same_format() -> None:
    assert from_settings(newline="\r\n").dialect.newline == "\n"
    assert from_settings(quote="'", escape="'").dialect.escape == ""
    strict = from_settings(missing_fields="reject", extra_columns="reject")
    assert not strict.fills
    assert not strict.ignores_extra


@for_each(
    ("text", "options", "lines"),
    [
        (b"a,b\n\nx\n", {}, [3]),
        (b"a,b\n" * 3 + b"x\n" + b"a,b\n" * 3 + b"y\n", {}, [4, 8]),
        (b'"a\n",b\n' * 3 + b"x\n", {}, [7]),
        (b"h\nh\na,b\nx\n", {"skip_lines": 2}, [4]),
        (b"h\nh\na,b\nx\n", {"skip_lines": 1, "header": "skip"}, [4]),
        (b'"h\n"\na,b\nx\n', {"header": "skip"}, [4]),
        (b"#\na,b\n#\nx\n", {"comment": "#"}, [4]),
        (b"a,b|\n|a|", {"newline": "|"}, [2, 3]),
    ],
)
def test_rejects_have_their_lines(
    text: bytes,
    options: dict[str, Any],
    lines: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for size in (3, 8, 20, 1000):
        monkeypatch.setattr(blocks, "BLOCK_SIZE", size)
        assert [each.line for each in read(text, **options)[1]] == lines, size


@for_each(
    ("text", "options", "expected"),
    [
        (b"a,b\n#,c\nd,#\n", {}, [["a", "b"], ["#", "c"], ["d", "#"]]),
        (b"a,b\n#,c\nd,#\n", {"comment": "#"}, [["a", "b"], ["d", "#"]]),
        (b"#,c\nd,#\n", {"comment": "#"}, [["d", "#"]]),
        (b"c#,c\nd,#\n", {"comment": "#"}, [["c#", "c"], ["d", "#"]]),
    ],
)
def test_comments_start_lines(
    text: bytes, options: dict[str, Any], expected: Any
) -> None:
    assert read(text, **options) == (expected, [])


def test_blocks_of_rows_are_chunks_with_origins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_SIZE", 8)
    text = b'a,b\nc,d\n"e",f\ng,h\nbad\ni,j\n'
    origins: list[tuple[int, str]] = []
    rejects: list[Reject] = []
    for chunk in read_chunks(io.BytesIO(text), make_format(2)):
        origins += list(chunk.origins)
        rejects += chunk.rejects
    lines = [(1, "a,b"), (2, "c,d"), (3, '"e",f'), (4, "g,h"), (6, "i,j")]
    assert origins == lines
    assert rejects == [Reject(5, "bad", "fields: 1 instead of 2")]


def test_open_record_goes_on_in_next_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_SIZE", 6)
    text = b'"a\nb","c\n\nd"\n' * 5 + b"e,f\n"
    assert read(text) == ([["a\nb", "c\n\nd"]] * 5 + [["e", "f"]], [])


@for_each(
    ("options", "expected"),
    [
        ({"kind": "jsonl", "newline": "|"}, [["1", "x"]]),
        ({"kind": "jsonl", "newline": "|", "quote": "'", "escape": "1"}, [["1", "x"]]),
    ],
)
def test_only_newline_counts_for_json(options: dict[str, Any], expected: Any) -> None:
    assert read(b'{"a": 1, "b": "x"}|', **options) == (expected, [])


def test_header_may_have_many_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_SIZE", 4)
    text = b'\n#x\n"b\n\n",a\n1,2\n'
    options = {"header": "true", "comment": "#"}
    assert read(text, ["a", "b"], **options) == ([["2", "1"]], [])
