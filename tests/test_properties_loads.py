"""A bulk load stores and refuses exactly the rows that single INSERTs do."""

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baking import Project, clean_environment
from properties import examples
from shim_helpers import is_postgres, on_each_database

Row = list[str | None]
Compare = Callable[[dict[str, Any]], dict[str, Any]]

COLUMNS = (
    "id INT PRIMARY KEY, n INT CHECK (n <> 13), name VARCHAR(5) NOT NULL UNIQUE, "
    "day DATE, amount DECIMAL(5,2) CHECK (amount >= 0), note VARCHAR(40), "
    "code CHAR(4) UNIQUE"
)
ODD = "\\\t\n\r ,|\"'Nné😀\x85\u2028\x1a"
TEXTS = st.text(st.sampled_from(ODD) | st.characters(codec="utf-8", min_codepoint=1))
NOTES = ("x" * 41, ", line 2", "a\nCOPY fuzzed, line 3", "Row 1 at row 2", r"\N", "")
# What may be in a column instead of a value that is good in every row.
ODD_VALUES = [
    st.sampled_from(["x", "", None, "99999999999", "5"]) | st.integers().map(str),
    st.sampled_from(["13", "y", "", None]) | st.integers().map(str),
    st.sampled_from([None, "toolong", "n0001", "N0001", "n0001 ", ""]) | TEXTS,
    st.sampled_from(["2026-02-30", None, "2026-13-01", ""]) | st.dates().map(str),
    st.sampled_from(["-1", "1000", "abc", None, "999.999", "-0", "0.005"]),
    st.sampled_from([*NOTES, None]) | TEXTS,
    st.sampled_from(["", "a", "a ", " a", "A", "é", "abcde", r"\N"]),
]
LIMITS = st.fixed_dictionaries(
    {
        "BLOCK_SIZE": st.sampled_from([100, 10_000]),
        "CHUNK_SIZE": st.sampled_from([1, 300, 500_000]),
    }
)

# Loads each file, and inserts its rows with the driver, each in a savepoint of its own.
COMPARE = r"""
import io, json, sys
sys.path[:0] = ["src/common", "src"]
from context import CustomContext
from lib import blocks, chunks
from lib.rows import Format, read_chunks

names = "id n name day amount note code".split()
statement = "INSERT INTO compared VALUES (" + ", ".join(["%s"] * len(names)) + ")"
rejects = "SELECT line FROM rejects JOIN loads USING (number) WHERE object_key = %s"
select = "SELECT * FROM compared ORDER BY id"
words = ["--max_reject_share=1", "--table=compared", "--columns", *names]
own = "--insert_statement=INSERT INTO {table} ({columns}) VALUES ({values})"


def insert(rds, rows):
    refused = []
    with rds.transaction() as cursor:
        cursor.execute("DELETE FROM compared")
        for at, row in enumerate(rows):
            cursor.execute("SAVEPOINT one")
            try:
                cursor.execute(statement, row)
            except rds.driver.Error:
                cursor.execute("ROLLBACK TO SAVEPOINT one")
                refused.append(at)
    return refused


def load(rds, text, key):
    with rds.transaction() as cursor:
        cursor.execute("DELETE FROM compared")
    with rds.load(table="compared", columns=names, key=key, function="f") as load:
        for chunk in read_chunks(io.BytesIO(text.encode()), Format(names)):
            load.add(chunk)
    lines = sorted(line for line, in rds.query(rejects, [key]))
    return load.report["loaded"], load.report["rejected"], lines


with CustomContext(args=words) as bulk, CustomContext(args=[*words, own]) as single:
    for line in sys.stdin:
        file = json.loads(line)
        blocks.BLOCK_SIZE = file["limits"]["BLOCK_SIZE"]
        chunks.CHUNK_SIZE = file["limits"]["CHUNK_SIZE"]
        refused = insert(bulk.rds, file["rows"])
        expected = bulk.rds.query(select)
        rds = single.rds if file["is_single"] else bulk.rds
        loaded, rejected, lines = load(rds, file["text"], file["key"])
        found = rds.query(select)
        print(json.dumps({
            "refused": refused, "expected": [repr(row) for row in expected],
            "found": [repr(row) for row in found], "loaded": loaded,
            "rejected": rejected, "lines": lines,
        }), flush=True)
"""


@pytest.fixture(scope="module")
def compare(shimmed: Project) -> Iterator[Compare]:
    """A function that loads a file in both ways, and returns the outcome of each."""
    collation = "" if is_postgres(shimmed) else "COLLATE utf8mb4_bin"
    shimmed.query("DROP TABLE IF EXISTS compared")
    shimmed.query(f"CREATE TABLE compared ({COLUMNS}) {collation}")
    with subprocess.Popen(
        [".venv/bin/python", "-c", COMPARE],
        cwd=shimmed.path,
        env=clean_environment(shimmed.shim_environment()),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        requests, answers = process.stdin, process.stdout
        assert requests
        assert answers
        number = 0

        def ask(file: dict[str, Any]) -> dict[str, Any]:
            nonlocal number
            number += 1
            key = f"compared/{process.pid}/{number}"
            print(json.dumps(file | {"key": key}), file=requests, flush=True)
            answer: dict[str, Any] = json.loads(answers.readline())
            return answer

        yield ask
        requests.close()


@st.composite
def files(draw: st.DrawFn) -> list[Row]:
    """Return rows, some of which a database refuses."""
    count = draw(st.sampled_from([1, 3, 10, 50, 300]))
    rows: list[Row] = [
        [str(number), "5", f"n{number:04x}", "2026-01-02", "1.25", "ok", None]
        for number in range(count)
    ]
    for _ in range(draw(st.integers(0, min(count, 20)))):
        at = draw(st.integers(0, len(ODD_VALUES) - 1))
        rows[draw(st.integers(0, count - 1))][at] = draw(ODD_VALUES[at])
    return rows


def write_field(value: str | None, quotes_all: bool) -> str:
    """Return a field of a CSV file."""
    if value is None:
        return r"\N"
    if quotes_all or value == r"\N" or {*',"\r\n'} & {*value}:
        return '"' + value.replace('"', '""') + '"'
    return value


@on_each_database
@examples(40)
@given(rows=files(), quotes_all=st.booleans(), is_single=st.booleans(), limits=LIMITS)
def test_load_equals_single_inserts(
    compare: Compare,
    rows: list[Row],
    quotes_all: bool,
    is_single: bool,
    limits: dict[str, int],
) -> None:
    lines = [",".join(write_field(x, quotes_all) for x in row) + "\n" for row in rows]
    file = {"rows": rows, "text": "".join(lines), "is_single": is_single}
    found = compare(file | {"limits": limits})
    starts = [1 + "".join(lines[:at]).count("\n") for at in found["refused"]]
    assert found["lines"] == starts
    assert found["found"] == found["expected"]
    assert found["rejected"] == len(starts)
    assert found["loaded"] == len(found["found"]) == len(rows) - len(starts)
