"""Values are taken as they are, converted to UTC, or refused."""

from lib import values
from lib.chunks import Chunk
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
