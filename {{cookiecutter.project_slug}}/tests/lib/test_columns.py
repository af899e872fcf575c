"""Fields become the values of columns: headers, NULL, skipped and missing fields."""

from typing import Any

import pytest

from lib.columns import BadRowError, RowMaker, make_columns
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


def test_reason_has_start_of_long_value() -> None:
    _, [reject] = read(b"1," + b"9" * 200, formats={"b": "%d"})
    assert reject.reason == f"b is not in the format %d: '{'9' * 100}'"


def make_maker(
    nulls: tuple[str, ...] = (r"\N",),
    order: tuple[int, ...] = (0, 1),
    fills: bool = False,
    **columns: Any,
) -> RowMaker:
    """Return a maker of rows of three fields, unless all are in their order."""
    own = make_columns(
        ["a", "b"], nulls, columns.get("nulls_of", {}), columns.get("formats", {})
    )
    return RowMaker(own, order, 2 if order == (0, 1) else 3, fills)


@for_each(
    ("options", "expected"),
    [
        ({}, {r"\N"}),
        ({"nulls": ("", "NA")}, {"", "NA"}),
        ({"nulls": ()}, set()),
        ({"nulls_of": {"b": [r"\N"]}}, {r"\N"}),
        ({"nulls_of": {"b": ["x"]}}, None),
        ({"formats": {"b": "boolean"}}, None),
        ({"order": (1, 0)}, None),
        ({"order": (0, 2)}, None),
    ],
)
def test_plain_values_are_in_order_and_uniform(
    options: dict[str, Any], expected: set[str] | None
) -> None:
    assert make_maker(**options).plain_nulls == expected


def test_no_columns_have_no_nulls() -> None:
    assert RowMaker([], [], 0, fills=False).plain_nulls == frozenset()


@for_each(
    ("options", "fields", "is_special", "expected"),
    [
        ({}, ["x", "y"], False, "x\ty"),
        ({}, ["x", r"\N"], False, "x\t\\N"),
        ({}, ["x\t", r"\N"], True, "x\\t\t\\N"),
        ({}, ["x\\", "y\n"], True, "x\\\\\ty\\n"),
        ({"nulls": ("y",)}, ["x", "y"], False, "x\t\\N"),
        ({"order": (2, 0)}, ["x", "y", "z"], False, "z\tx"),
        ({"order": (2, 0), "nulls": ("x",)}, ["x", "x", "z"], True, "z\t\\N"),
        ({"nulls_of": {"b": ["y"]}}, ["y", "y"], False, "y\t\\N"),
        ({"formats": {"b": "boolean"}}, ["x\t", "yes"], True, "x\\t\t1"),
        ({"fills": True}, ["x"], False, "x\t\\N"),
        ({"fills": True}, ["x\t"], True, "x\\t\t\\N"),
        ({"fills": True, "order": (2, 0)}, ["x"], False, "\\N\tx"),
    ],
)
def test_row_is_made_of_fields(
    options: dict[str, Any], fields: list[str], is_special: bool, expected: str
) -> None:
    assert make_maker(**options).make(fields, fields, is_special) == expected


@for_each(
    ("fills", "fields", "message"),
    [
        (False, ["x"], "fields: 1 instead of 2"),
        (False, ["x", "y", "z"], "fields: 3 instead of 2"),
        (True, ["x", "y", "z"], "fields: 3 instead of 2"),
    ],
)
def test_row_of_other_width_is_bad(
    fills: bool, fields: list[str], message: str
) -> None:
    with pytest.raises(BadRowError, match=message) as raised:
        make_maker(fills=fills).make(fields, fields, is_special=False)
    assert raised.value.condition == ""


def test_special_characters_are_escaped_by_default() -> None:
    assert make_maker().make_from(["a\t", None], ["a\t", None]) == "a\\t\t\\N"


def test_exact_names_may_differ_in_case_only() -> None:
    assert read(b"id,ID,x\n1,2,3\n", ["ID"], header="true", ignores_extra=True) == (
        [["2"]],
        [],
    )
