"""Values of files and their results, for tests and for docs/values.md of projects."""

import json
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "{{cookiecutter.project_slug}}" / "docs" / "values.md"
REJECT = "reject"


class Kind(NamedTuple):
    """A type of columns.

    Attributes:
        name: what it holds, for the docs.
        types: its name in PostgreSQL and in MySQL, or an empty string.
        cases: values, each with its results in the two, or with one for both.
        shown: SQL that shows a column `%s` as text, in the two.
    """

    name: str
    types: tuple[str, str]
    cases: list[tuple[str, ...]]
    shown: tuple[str, str] = ("%s::text", "CAST(%s AS CHAR)")


KINDS = [
    Kind(
        "whole number",
        ("INT", "INT"),
        [
            ("7", "7"),
            (" +7 ", "7"),
            ("1.5", REJECT),
            ("1e2", REJECT),
            ("7x", REJECT),
            ("", REJECT),
            ("true", REJECT),
            ("99999999999", REJECT),
            ("0x1A", "26", REJECT),
        ],
    ),
    Kind("unsigned number", ("", "INT UNSIGNED"), [("-1", "", REJECT)]),
    Kind(
        "decimal number",
        ("NUMERIC(5,2)", "DECIMAL(5,2)"),
        [
            ("1.235", "1.24"),
            (" .5 ", "0.50"),
            ("1e2", "100.00"),
            ("999.999", REJECT),
            ("1,5", REJECT),
            ("1.5x", REJECT),
            ("1 2", REJECT),
            ("NaN", "NaN", REJECT),
        ],
    ),
    Kind(
        "floating-point number",
        ("REAL", "FLOAT"),
        [
            ("0.5", "0.5"),
            (" 5e-1 ", "0.5"),
            ("1e39", REJECT),
            ("1e-50", REJECT),
            ("0.1x", REJECT),
            ("Infinity", "Infinity", REJECT),
        ],
    ),
    Kind("double precision", ("DOUBLE PRECISION", "DOUBLE"), [("1e-400", REJECT)]),
    Kind(
        "date",
        ("DATE", "DATE"),
        [
            ("2012-03-02", "2012-03-02"),
            ("20120302", "2012-03-02"),
            ("2012-03-02T00:00:00", "2012-03-02"),
            ("2012-03-02 10:30:10", REJECT),
            ("02/03/2012", REJECT),
            ("13/03/2012", REJECT),
            ("2012/03/02", REJECT),
            ("12-03-02", REJECT),
            ("2012-3-2", REJECT),
            ("2026-02-30", REJECT),
            ("2026-00-10", REJECT),
            ("0000-00-00", REJECT),
            ("today", REJECT),
            ("", REJECT),
        ],
    ),
    Kind(
        "time without time zone",
        ("TIMESTAMP(0)", "DATETIME"),
        [
            ("2025-07-03 10:30:10", "2025-07-03 10:30:10"),
            ("2025-07-03T10:30:10", "2025-07-03 10:30:10"),
            ("2025-07-03T10:30", "2025-07-03 10:30:00"),
            ("20250703T103010", "2025-07-03 10:30:10"),
            ("2025-07-03", "2025-07-03 00:00:00"),
            ("2025-07-03T10:30:10Z", "2025-07-03 10:30:10"),
            ("2025-07-03T10:30:10+02:00", "2025-07-03 08:30:10"),
            ("2025-07-03T23:30:10.25-0330", "2025-07-04 03:00:10"),
            ("2025-07-03T10:30:10.987", "2025-07-03 10:30:11"),
            ("2025-07-03 24:00:00", REJECT),
            ("2025-07-03 10:30:60", REJECT),
            ("2025-07-03 10:30:10 PM", REJECT),
            ("2025-07-03 10:30:10 Europe/Vienna", REJECT),
            ("20250703103010", REJECT),
            ("03.07.2025 10:30", REJECT),
            ("1751538610", REJECT),
            ("infinity", REJECT),
            ("now", REJECT),
        ],
    ),
    Kind(
        "timestamp of microseconds",
        ("TIMESTAMP(6)", "DATETIME(6)"),
        [
            ("2025-07-03T10:30:10.1234567", "2025-07-03 10:30:10.123457"),
            ("2025-07-03T10:30:10.1234567Z", "2025-07-03 10:30:10.123457"),
        ],
    ),
    Kind(
        "time with time zone",
        ("TIMESTAMPTZ(0)", "TIMESTAMP NULL"),
        [
            ("2025-07-03T10:30:10Z", "2025-07-03 10:30:10"),
            ("2025-07-03T10:30:10+02:00", "2025-07-03 08:30:10"),
            ("2025-07-03 10:30:10", "2025-07-03 10:30:10"),
            ("2025-03-30 02:30:00", "2025-03-30 02:30:00"),
            ("02/03/2012", REJECT),
            ("1969-12-31 23:59:59", "1969-12-31 23:59:59", REJECT),
        ],
        ("(%s AT TIME ZONE 'UTC')::text", "CONVERT_TZ(%s, @@time_zone, '+00:00')"),
    ),
    Kind(
        "time of day",
        ("TIME(0)", "TIME"),
        [
            ("10:30", "10:30:00"),
            ("10:30:10.6", "10:30:11"),
            ("10", REJECT),
            ("103010", REJECT),
            ("10:30:10+02:00", REJECT),
            ("25:00:00", REJECT, "25:00:00"),
            ("900:00:00", REJECT),
        ],
    ),
    Kind(
        "year",
        ("", "YEAR"),
        [
            ("2026", "", "2026"),
            ("26", "", REJECT),
            ("0", "", REJECT),
            ("1850", "", REJECT),
        ],
    ),
    Kind(
        "text",
        ("VARCHAR(3)", "VARCHAR(3)"),
        [
            ("abc", "abc"),
            ("a ", "a "),
            ("abc  ", "abc"),
            ("abcd", REJECT),
            ("", ""),
        ],
    ),
    Kind("padded text", ("CHAR(3)", "CHAR(3)"), [("a ", "a")]),
    Kind(
        "text of an encoding",
        ("", "VARCHAR(3) CHARACTER SET latin1"),
        [("é", "", "é"), ("😀", "", REJECT)],
    ),
    Kind(
        "one of some texts",
        ("", "ENUM('a', 'b, b', '7', 'it''s', 'c\\\\d')"),
        [
            ("a", "", "a"),
            ("b, b", "", "b, b"),
            ("it's", "", "it's"),
            ("c\\d", "", "c\\d"),
            ("7", "", "7"),
            ("1", "", REJECT),
            ("A", "", REJECT),
            (" 7", "", REJECT),
            ("", "", REJECT),
            ("c", "", REJECT),
        ],
    ),
    Kind(
        "several of some texts",
        ("", "SET('a', 'b')"),
        [("b,a", "", "a,b"), ("", "", ""), ("3", "", REJECT), ("c", "", REJECT)],
    ),
    Kind(
        "bit",
        ("BIT(1)", "BIT(1)"),
        [("1", "1"), ("0", "0"), ("2", REJECT), ("true", REJECT)],
        ("%s::text", "BIN(%s)"),
    ),
    Kind(
        "bit string",
        ("BIT(8)", "BIT(8)"),
        [("10100001", "10100001"), ("1", REJECT), ("x", REJECT)],
        ("%s::text", "BIN(%s)"),
    ),
    Kind(
        "bytes of fixed length",
        ("", "BINARY(3)"),
        [("abc", "", "abc"), ("a", "", REJECT), ("ab ", "", "ab ")],
    ),
    Kind(
        "JSON",
        ("JSON", "JSON"),
        [('{"a": [1]}', '{"a": [1]}'), ("{a: 1}", REJECT), ("", REJECT)],
    ),
    Kind("UUID", ("UUID", ""), [("x", REJECT, "")]),
    Kind(
        "geometry",
        ("", "POINT"),
        [("x", "", REJECT)],
        ("", "ST_AsText(%s)"),
    ),
]
HEAD = """\
# Values

A row whose value would be stored as something else becomes a reject, and the table
`rejects` has the reason. This page is generated from a test, which loads each of these
values into PostgreSQL and into MySQL or MariaDB.

- **Dates and times** are those of ISO 8601. Servers read others by the order of day and
  month in their own settings: for those, set
  [formats](loading-files.md#formats-of-values). A time with an offset is converted to
  UTC. Without an offset it is stored as it is.
- **Digits that a type has no place for** are rounded on both databases, those of
  `NUMERIC` as well as those of seconds. A whole number is never rounded.
- **Spaces** around numbers, dates and times are dropped, and those at the end of a text
  that exceed its length.
- **MySQL** would take numbers and other cases of letters for members of
  `ENUM` and `SET`, fill `BINARY` with NUL bytes,
  store the current time for NULL in `TIMESTAMP NOT NULL` and the next number for NULL
  in `AUTO_INCREMENT`: such rows are rejected, too. `TIME` may be an interval of up to
  838 hours.
- **A generated column** in `columns` fails the file, and so does `insert_statement` if
  its SQL is wrong. If a function in it cannot convert a value, the row is rejected.
- **Types that can hold dates inside**, such as arrays and ranges in PostgreSQL, are
  left to the server, which reads them as year, month and day.

If you write `insert_statement` without `{values}`, the columns with a plain `%s` in
`({columns}) VALUES (%s, upper(%s))` are checked in the same way. Functions decide on
their own what a value may look like, and a row of whose values they warn is rejected.
Some do not warn before they return NULL, such as `FROM_BASE64` on MySQL, `INET_ATON` on
MariaDB and `CONVERT_TZ` on both: make such a column `NOT NULL`.

| column | value | PostgreSQL | MySQL, MariaDB |
|---|---|---|---|
"""

# Loads each case in a file of its own: a server may treat a value otherwise if another
# one in the same file has an error.
ALONE = r"""
import csv, io, json, os, sys
sys.path[:0] = ["src/common", "src"]
from context import CustomContext
from lib.rows import Format, read_chunks

owner = f"--db_user={os.environ['DB_ADMIN']}"
words = [owner, "--max_reject_share=1", "--table=alone", "--columns", "k", "v"]
with CustomContext(args=words) as context:
    rds = context.rds
    for number, (type_, shown, value, expected) in enumerate(json.load(sys.stdin)):
        with rds.transaction() as cursor:
            cursor.execute("DROP TABLE IF EXISTS alone")
            cursor.execute(f"CREATE TABLE alone (k INT, v {type_})")
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(["1", value])
        file = io.BytesIO(text.getvalue().encode())
        with rds.load(table="alone", columns=["k", "v"], key=f"alone/{number}") as load:
            for chunk in read_chunks(file, Format(["k", "v"])):
                load.add(chunk)
        found = rds.query(f"SELECT {shown} FROM alone")[:1]
        result = found[0][0] if found else "reject"
        result = result.decode() if isinstance(result, bytes) else str(result)
        if result.rstrip() != expected.rstrip() or load.report["outcome"] != "loaded":
            print(f"{value!r} for {type_} is {result!r} instead of {expected!r}")
print("compared")
"""


def list_alone(database: str) -> str:
    """Return the cases of a database as the program `ALONE` reads them."""
    at = 0 if database == "postgres" else 1
    return json.dumps(
        [
            (kind.types[at], kind.shown[at] % "v", case[0], results(case)[at])
            for kind in KINDS
            for case in kind.cases
            if kind.types[at]
        ]
    )


def results(case: tuple[str, ...]) -> tuple[str, str]:
    """Return the results of a case in PostgreSQL and in MySQL."""
    return case[1], case[-1]


def page() -> str:
    """Return the page as Markdown."""
    lines = []
    for kind in KINDS:
        name = " or ".join(f"`{each}`" for each in dict.fromkeys(kind.types) if each)
        for case in kind.cases:
            shown = [
                _show(result) if type_ else ""
                for result, type_ in zip(results(case), kind.types, strict=True)
            ]
            lines.append(f"| {name} | {_quote(case[0])} | {shown[0]} | {shown[1]} |\n")
    return HEAD + "".join(lines)


def _show(result: str) -> str:
    return result if result == REJECT else _quote(result)


def _quote(value: str) -> str:
    if not value:
        return "an empty text"
    return f"`{value}`" if value.strip() == value else f"`'{value}'`"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))
    PAGE.write_text(page(), encoding="utf-8")
