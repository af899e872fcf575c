"""Values are taken as they are, converted to UTC, or refused."""

from lib import values
from lib.chunks import Chunk
from lib.rejects import Reject
from lib.values import Rule, ValueCheck
from tests.tables import for_each

NUMBER = Rule("whole number", "[+-]?+[0-9]++")
COLUMNS = ("n", "name", "day")


def check(text: str, csv: str = "", **rules: Rule) -> Chunk:
    """Check the rows of a text by the rules of their columns."""
    lines = text.splitlines()
    origins = [(number, line) for number, line in enumerate(lines, 1)]
    return ValueCheck(rules, COLUMNS, reads_csv=bool(csv)).check(
        Chunk(text.encode(), origins, csv=csv.encode())
    )


def test_good_rows_stay_as_they_are() -> None:
    text = "1\ta\\tb\t2026-01-05\n\\N\t\\N\t\\N\n"
    chunk = check(text, n=NUMBER, day=values.DATE)
    assert chunk.text == text.encode()
    assert len(chunk.origins) == 2
    assert chunk.rejects == ()


def test_bad_value_becomes_reject_of_its_line() -> None:
    chunk = check("1\ta\t\\N\n1.5\tb\t\\N\n3\tc\t\\N\n", n=NUMBER)
    assert chunk.text == b"1\ta\t\\N\n3\tc\t\\N\n"
    assert [line for line, _ in chunk.origins] == [1, 3]
    [reject] = chunk.rejects
    assert (reject.line, reject.reason) == (2, "no whole number at n: 1.5")
    assert reject.condition == "no whole number at n"


def test_null_is_refused_where_it_means_default() -> None:
    chunk = check("\\N\ta\tb\n", n=NUMBER._replace(is_nullable=False))
    assert [reject.reason for reject in chunk.rejects] == ["NULL is not allowed at n"]


def test_spaces_around_value_are_dropped() -> None:
    assert check(" 7 \t x \td\n", n=NUMBER).text == b"7\t x \td\n"


@for_each(
    ("value", "expected"),
    [
        ("2025-07-03T10:30:10Z", "2025-07-03 10:30:10"),
        ("2025-07-03T10:30:10.25+02:00", "2025-07-03 08:30:10.25"),
        ("2025-07-03 23:30-0130", "2025-07-04 01:00:00"),
        ("20250703T103010+02", "2025-07-03 08:30:10"),
    ],
)
def test_time_with_offset_is_converted(value: str, expected: str) -> None:
    assert values.convert_to_utc(value) == expected
    text = f"1\ta\t{value}\n"
    assert check(text, day=values.TIMESTAMP).text == f"1\ta\t{expected}\n".encode()


@for_each(
    "value",
    ["2025-02-30T10:30:10Z", "0001-01-01T00:30:00+02:00", "2025-07-03+02:00", "now"],
)
def test_impossible_time_is_refused(value: str) -> None:
    assert values.convert_to_utc(value) is None


def test_csv_is_kept_only_if_all_values_are_good() -> None:
    good = '"1","a ""b"", c","2026-01-05"\r\n2,"x\ny",\\N\r\n'
    text = '1\ta "b", c\t2026-01-05\n2\tx\\ny\t\\N\n'
    assert check(text, good, n=NUMBER, day=values.DATE).csv == good.encode()
    bad = check(text.replace("2026", "26"), good.replace("2026", "26"), day=values.DATE)
    assert (bad.csv, bad.text) == (b"", b"2\tx\\ny\t\\N\n")


def test_rows_without_rules_are_not_checked() -> None:
    chunk = Chunk(b"x\ty\tz\n", [(1, "x")])
    assert ValueCheck({}, COLUMNS).check(chunk) is chunk
    empty = Chunk(b"", csv=b"x")
    assert ValueCheck({"n": NUMBER}, COLUMNS).check(empty) is empty


def test_checked_text_is_not_computed_again() -> None:
    texts = iter([b"1\ta\tb\n"])
    chunk = Chunk(lambda: next(texts), [(1, "1,a,b")])
    assert ValueCheck({"n": NUMBER}, COLUMNS).check(chunk).text == b"1\ta\tb\n"


def test_csv_counts_only_for_databases_that_read_it() -> None:
    chunk = Chunk(b"x\ta\tb\n", [(1, "x,a,b")], csv=b'"1",a,b\n')
    checks = [
        ValueCheck({"n": NUMBER}, COLUMNS, reads_csv=each) for each in (True, False)
    ]
    assert [len(each.check(chunk).rejects) for each in checks] == [0, 1]
    assert len(ValueCheck({"n": NUMBER}, COLUMNS).check(chunk).rejects) == 1


def test_rejects_of_file_remain() -> None:
    known = Reject(1, "x", "bad")
    chunk = Chunk(b"y\ta\tb\n", [(2, "y,a,b")], [known])
    found = ValueCheck({"n": NUMBER}, COLUMNS).check(chunk)
    assert [reject.line for reject in found.rejects] == [1, 2]
    assert found.text == b""
    assert found.origins == []


@for_each(
    ("column", "text", "expected"),
    [
        ("n", "x\ta\tb", "n"),
        ("name", "1\tx\tb", "name"),
        ("day", "1\ta\tx", "day"),
    ],
)
def test_rule_is_for_its_column(column: str, text: str, expected: str) -> None:
    [reject] = check(f"{text}\n", "", **{column: Rule("y", "[^x]+")}).rejects
    assert reject.condition == f"no y at {expected}"


def test_spaces_that_mean_something_remain() -> None:
    rule = NUMBER._replace(has_spaces=True)
    assert len(check(" 7\ta\tb\n", n=rule).rejects) == 1
    spaced = Rule("x", " x", convert=lambda value: None, has_spaces=True)
    assert check(" x\ta\tb\n", n=spaced).rejects == ()


def test_converted_value_is_escaped() -> None:
    rule = Rule("x", "x", convert=lambda value: f"{value}\t\\")
    assert check("a\\\\\tb\tc\n", n=rule).text == b"a\\\\\\t\\\\\tb\tc\n"


@for_each(
    ("rule", "good", "bad"),
    [
        (
            values.DATE,
            ["2026-01-05", "20260105", "2026-01-05T00:00", "2026-01-05 00:00:00.0"],
            ["2026-1-5", "2026-01-05 08:00", "05/01/2026"],
        ),
        (
            values.TIMESTAMP,
            [
                "2026-01-05",
                "2026-01-05 08:00",
                "20260105T0800",
                "2026-01-05T08:00:00.123456",
            ],
            ["2026-01-05 24:00", "2026-01-05 08:00Z", "08:00"],
        ),
        (
            values.UTC_TIMESTAMP,
            ["2026-01-05 08:00Z", "20260105T0800+00:00"],
            ["2026-01-05 08:00+01"],
        ),
        (
            values.TIMESTAMP_WITH_OFFSET,
            ["2026-01-05 08:00+01", "2026-01-05 08:00"],
            ["2026-01-05 08:00+16"],
        ),
        (values.TIME, ["08:00", "23:59:59.5"], ["8:00", "08:00Z"]),
        (values.TIME_WITH_OFFSET, ["08:00", "08:00Z", "08:00-01:30"], ["08:00 CET"]),
    ],
)
def test_texts_that_mean_the_same_everywhere_are_good(
    rule: Rule, good: list[str], bad: list[str]
) -> None:
    rule = rule._replace(convert=lambda value: None)
    for number, text in enumerate([*good, *bad]):
        found = check(f"1\ta\t{text}\n", day=rule)
        assert len(found.rejects) == (number >= len(good)), text


@for_each("column", COLUMNS)
def test_good_chunk_is_returned_itself(column: str) -> None:
    rule = Rule("y", "[^x]")
    for text in ("1\ta\tb\n" * 3, "\\N\t\\N\t\\N\n"):
        chunk = Chunk(text.encode(), [(1, text)] * text.count("\n"))
        assert ValueCheck({column: rule}, COLUMNS).check(chunk) is chunk
