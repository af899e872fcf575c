"""Fields become the values of columns: headers, NULL, skipped and missing fields."""

from typing import Any

import pytest

from lib.rejects import Reject
from lib.rows import FileFormatError
from tests.lib.formats import read
from tests.tables import for_each

CLICKS = ["id", "page"]


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        pytest.param(b"id,page\n1,/a\n", {}, [["1", "/a"]], id="same order"),
        pytest.param(b"page,id\n/a,1\n", {}, [["1", "/a"]], id="other order"),
        pytest.param(b"\npage , ID\n/a,1\n", {}, [["1", "/a"]], id="case, spaces"),
        pytest.param(
            b"x,page,id\r\ny,/a,1\r\n",
            {"ignores_extra": True},
            [["1", "/a"]],
            id="extra",
        ),
        pytest.param(
            b"page,id\n/a\n", {"fills": True}, [[None, "/a"]], id="short line"
        ),
        pytest.param(b"page,id\n,\n", {"nulls": [""]}, [[None, None]], id="NULL"),
        pytest.param(b"", {}, [], id="empty file"),
        pytest.param(b"id,page", {}, [], id="only a header"),
        pytest.param(
            b"# x\n\npage;id\n/a;1\n",
            {"comment": "#", "delimiter": ";"},
            [["1", "/a"]],
            id="behind comments",
        ),
    ],
)
def test_header_names_columns(
    text: bytes, options: dict[str, Any], expected: list[list[str | None]]
) -> None:
    assert read(text, CLICKS, header="true", **options) == (expected, [])


@for_each(
    ("text", "message"),
    [
        (b"id,pages\n1,/a\n", "the header has no column page: correct it, or columns"),
        (b"1,/a\n", "the header has no column id, page: .* set header: false"),
        (b"id,page,x\n1,/a,y\n", "1 more columns than .* extra_columns: ignore"),
        (b"id,page,page\n1,/a,/b\n", "has the column page more than once"),
        (b"ID,Id,page\n1,2,/b\n", "has the column id more than once"),
        (b'id,"page\n1,/a\n', "the header in line 1 cannot be read: unexpected end"),
        (b"id,page\xff\n1,/a\n", "the header in line 1 cannot be read: not utf-8"),
    ],
)
def test_wrong_header_fails_file(text: bytes, message: str) -> None:
    with pytest.raises(FileFormatError, match=message) as raised:
        read(text, CLICKS, header="true")
    assert "/a" not in str(raised.value)


def test_exact_name_comes_first() -> None:
    assert read(b"ID,id\n1,2\n", ["id", "ID"], header="true")[0] == [["2", "1"]]


@pytest.mark.parametrize("quoted", [b"", b'"x",y,z\n'], ids=["plain", "quoted"])
@for_each(
    ("text", "options", "expected"),
    [
        (b'1,"NA",NA', {"nulls": ["NA"]}, ["1", "NA", None]),
        (b"NA,NA,-", {"nulls": ["NA", "-"]}, [None, None, None]),
        (b'1,"",', {"nulls": [""]}, ["1", "", None]),
        (b",,", {"nulls": [""]}, [None, None, None]),
        (b'1,"",', {"nulls": ["", '""']}, ["1", None, None]),
        (b'\\N,"\\N",NA', {}, [None, "\\N", "NA"]),
        (b"\\N,NA,", {"nulls": ["NA"]}, ["\\N", None, ""]),
        (b"NA,NA,NA", {"column_nulls": {"b": ["NA"]}}, ["NA", None, "NA"]),
        (b",,x", {"nulls": [""], "column_nulls": {"a": ["-"]}}, ["", None, "x"]),
        (b"NAN,xNA,NA ", {"nulls": ["NA"]}, ["NAN", "xNA", "NA "]),
    ],
)
def test_null_fields(
    text: bytes, options: dict[str, Any], expected: list[str | None], quoted: bytes
) -> None:
    rows, rejects = read(quoted + text + b"\n" + text, 3, **options)
    assert rows[-2:] == [expected, expected]
    assert not rejects


def test_fields_are_skipped() -> None:
    text = b'1,x,/a,\n2,"x,y",/b,\n'
    expected = [["1", "/a"], ["2", "/b"]]
    assert read(text, ["id", "-", "page", "-"]) == (expected, [])


def test_long_line_is_rejected_alone() -> None:
    rows, rejects = read(b"1\n1,2,3\n", fills=True)
    assert rows == [["1", None]]
    assert rejects == [Reject(2, "1,2,3", "fields: 3 instead of 2")]


def test_values_are_converted() -> None:
    text = b'1,05/01/2026,ja\n2,"31/12/2025",NEIN\n3,\\N,ja\n'
    text += b"4,2026-01-05,ja\n5,,vielleicht\n"
    rows, rejects = read(text, 3, formats={"b": "%d/%m/%Y", "c": "ja/nein"})
    assert rows == [
        ["1", "2026-01-05", "1"],
        ["2", "2025-12-31", "0"],
        ["3", None, "1"],
    ]
    assert rejects == [
        Reject(
            4,
            "4,2026-01-05,ja",
            "b is not in the format %d/%m/%Y: '2026-01-05'",
            "b is not in the format %d/%m/%Y",
        ),
        Reject(
            5,
            "5,,vielleicht",
            "b is not in the format %d/%m/%Y: ''",
            "b is not in the format %d/%m/%Y",
        ),
    ]
