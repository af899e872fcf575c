"""Faults of files: bad lines, values, encodings, formats and sizes."""

import gzip
import io
import zipfile
from pathlib import Path

from baking import Project, skip
from shim_helpers import (
    clicks,
    count_clicks,
    count_loaded,
    drain,
    drop,
    fault,
    fetch_clicks,
    fetch_rejects,
    start_worker,
    take_dead_letters,
)


def click(number: int, visitor: str) -> str:
    """Return the line of a click."""
    return f"{number},{visitor},/,,2026-01-05 08:00:00\n"


def visitors(project: Project, first: int) -> list[str]:
    """Return the visitors of the clicks from number `first` on."""
    return [visitor for _, visitor, _, _ in fetch_clicks(project, first)]


@fault("1 % of the lines are bad", "they become rejects; the others are loaded")
def test_few_bad_lines_are_rejected(shimmed: Project) -> None:
    lines = clicks(1000, first=700_001).splitlines()
    lines[99::100] = ["oops"] * 10
    key = drop(shimmed, "percent.csv", "\n".join(lines))
    drain(shimmed)
    reason = "fields: 1 instead of 5"
    assert fetch_rejects(shimmed, key) == [
        [each, reason] for each in range(100, 1001, 100)
    ]
    assert count_loaded(shimmed, key) == count_clicks(shimmed, 700_001, 1000) == 990


@fault(
    "values that the database refuses",
    "they become rejects with a reason; the others are loaded",
)
def test_value_refused_by_database_is_rejected(
    shimmed: Project,
) -> None:
    lines = clicks(2000, first=50_001).splitlines()
    lines[9] = f"50010,{'x' * 65},/,,2026-01-05 08:00:00"
    lines[999] = "fifty-one thousand,anna,/,,2026-01-05 08:00:00"
    lines[1000] = "51001,\\N,/,,2026-01-05 08:00:00"
    lines[1999] = "52000,anna,/,,2026-02-31 08:00:00"
    key = drop(shimmed, "refused.csv", "\n".join(lines))
    output = drain(shimmed)
    assert '"loaded": 1996' in output
    assert [line for line, _ in fetch_rejects(shimmed, key)] == [10, 1000, 1001, 2000]
    assert all(reason for _, reason in fetch_rejects(shimmed, key))
    assert count_clicks(shimmed, 50_001, 2000) == 1996


@fault(
    "more bad lines than `max_reject_share`, or only bad lines",
    "nothing is loaded; the message goes to the dead-letter queue",
)
def test_too_many_bad_lines_fail_the_file(
    shimmed: Project,
) -> None:
    mixed = drop(shimmed, "mixed.csv", clicks(3, first=60_001) + "bad\n" * 4)
    bad = drop(shimmed, "hopeless.csv", "bad\n" * 4)
    output = drain(shimmed, "--retry_delay=0")
    assert "4 of 7 lines are bad" in output
    assert "4 of 4 lines are bad" in output
    assert (
        output.count('"outcome": "failed"') == 6
    )  # each message is received three times
    assert count_clicks(shimmed, 60_001, 3) == 0
    assert fetch_rejects(shimmed, mixed) == fetch_rejects(shimmed, bad) == []
    assert len(take_dead_letters(shimmed)) == 2


@fault(
    "a file in another encoding than `encoding` says",
    "lines that cannot be decoded become rejects; UTF-16 is recognized, and fails with "
    "the setting to use; with the right setting everything is loaded",
)
def test_wrong_encoding_is_reported(
    shimmed: Project,
) -> None:
    names = ["zoë", "anna", "øyvind", "bert", "carl"]
    text = "".join(click(110_000 + number, name) for number, name in enumerate(names))
    latin = drop(shimmed, "latin-1.csv", text.encode("latin-1"))
    wide = drop(shimmed, "utf-16.csv", text.encode("utf-16"))
    output = drain(shimmed, "--retry_delay=0")
    assert fetch_rejects(shimmed, latin) == [[1, "not utf-8"], [3, "not utf-8"]]
    assert visitors(shimmed, 110_000) == ["anna", "bert", "carl"]
    assert "looks like UTF-16, not utf-8: set encoding: utf-16" in output
    assert count_loaded(shimmed, wide) == 0
    assert len(take_dead_letters(shimmed)) == 1
    for first, encoding in ((120_000, "latin-1"), (130_000, "utf-16")):
        text = "".join(click(first + number, name) for number, name in enumerate(names))
        drop(shimmed, f"right-{encoding}.csv", text.encode(encoding))
        drain(shimmed, f"--encoding={encoding}")
        assert visitors(shimmed, first) == names


@fault("values that look like SQL or spreadsheet formulas", "they are loaded as text")
def test_code_in_values_is_data(shimmed: Project) -> None:
    values = [
        """x'); DROP TABLE clicks; -- %s %(a)s {table} \\""",
        "1 OR 1=1; DELETE FROM loads",
        "$(reboot) `reboot` ${HOME}",
        "=cmd|' /C calc'!A0",
        "@SUM(1+1)*cmd",
        "+1-1",
        "-2+3",
    ]
    text = "".join(
        click(140_000 + number, f'"{value}"') for number, value in enumerate(values)
    )
    for number, words in enumerate(["", "--insert_statement='{}'"]):
        statement = "INSERT INTO {table} ({columns}) VALUES ({values})"
        key = drop(shimmed, f"code-{number}.csv", text)
        drain(shimmed, words.format(statement))
        assert count_loaded(shimmed, key) == len(values)
        assert visitors(shimmed, 140_000) == sorted(
            values * (number + 1), key=values.index
        )


@fault(
    "CR LF, a byte order mark, quotes, empty lines, no final newline, an empty file",
    "the same rows are loaded",
)
def test_equivalent_files_give_equal_rows(
    shimmed: Project,
) -> None:
    one, two = "{0},anna,/a,,2026-01-05 08:00:00", "{1},bert,/b,x,2026-01-05 08:00:00"
    forms = {
        "crlf": f"{one}\r\n{two}\n",
        "bom": f"\ufeff{one}\n{two}\n",
        "quotes": f"{one}\n{two}\n".replace("anna", '"anna"').replace("{1}", '"{1}"'),
        "lines": f"\n{one}\n\n{two}\n\n",
        "end": f"{one}\n{two}",
    }
    for number, (name, form) in enumerate(forms.items()):
        first = 150_000 + 100 * number
        drop(shimmed, f"form-{name}.csv", form.format(first, first + 1))
    empty = drop(shimmed, "empty.csv", "")
    output = drain(shimmed)
    assert output.count('"outcome": "loaded"') == len(forms) + 1
    assert count_loaded(shimmed, empty) == 0
    for number, name in enumerate(forms):
        first = 150_000 + 100 * number
        assert fetch_clicks(shimmed, first) == [
            [first, "anna", "/a", ""],
            [first + 1, "bert", "/b", "x"],
        ], name


@fault("a NUL byte, an unclosed quote", "one reject; the other lines are loaded")
def test_nul_and_unclosed_quote_are_rejected(shimmed: Project) -> None:
    nul = drop(
        shimmed,
        "nul.csv",
        click(160_000, "anna") + click(160_001, "be\0rt") + click(160_002, "carl"),
    )
    text = click(160_100, "anna") + click(160_101, "bert") + click(160_102, '"carl')
    quote = drop(shimmed, "quote.csv", text)
    drain(shimmed)
    assert visitors(shimmed, 160_000) == ["anna", "carl"]
    assert fetch_rejects(shimmed, nul) == [[2, "a NUL character"]]
    assert visitors(shimmed, 160_100) == ["anna", "bert"]
    assert [line for line, _ in fetch_rejects(shimmed, quote)] == [3]


@fault(
    "a header line",
    "`header: true` finds columns by name and `header: skip` skips it; otherwise it is "
    "usually a reject",
)
def test_header_is_used_on_request(shimmed: Project) -> None:
    header = "click_id,visitor,page,referrer,clicked_at\n"
    for first, words, rejects in (
        (170_000, "--header", 0),
        (170_100, "--header=skip", 0),
        (170_200, "", 1),
    ):
        key = drop(shimmed, f"header-{first}.csv", header + clicks(3, first=first))
        drain(shimmed, words)
        assert count_clicks(shimmed, first, 100) == 3
        assert len(fetch_rejects(shimmed, key)) == rejects
    other_order = "visitor,click_id,referrer,page,clicked_at\n"
    line = "anna,170300,,/a,2026-01-05 08:00:00\n"
    drop(shimmed, "other-order.csv", other_order + line)
    drain(shimmed, "--header")
    assert fetch_clicks(shimmed, 170_300) == [[170_300, "anna", "/a", ""]]


@fault(
    "a header without one of the columns, or with others",
    "nothing is loaded; the log names the columns that are missing",
)
def test_wrong_header_fails_the_file(shimmed: Project) -> None:
    line = "170400,anna,/,,2026-01-05 08:00:00\n"
    drop(shimmed, "missing.csv", "click_id,name,page,referrer,clicked_at\n" + line)
    extra = "click_id,visitor,page,referrer,clicked_at,x\n"
    drop(shimmed, "extra.csv", extra + line.replace("\n", ",y\n"))
    output = drain(shimmed, "--header --retry_delay=0")
    assert "the header has no column visitor" in output
    assert "the header has 1 more columns than the setting columns" in output
    assert len(take_dead_letters(shimmed)) == 2
    assert count_clicks(shimmed, 170_400, 100) == 0


@fault(
    "a file that is no text: a workbook, a Parquet file, a PDF, an HTML page",
    "nothing is loaded; the log says what it looks like and what to do",
)
def test_other_file_is_refused(shimmed: Project) -> None:
    workbook = io.BytesIO()
    with zipfile.ZipFile(workbook, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
    files = {
        "an Excel or OpenDocument file": workbook.getvalue(),
        "a Parquet file": b"PAR1\x15\x04\x15",
        "a PDF": b"%PDF-1.7\n%\xe2\xe3",
        "an HTML page": b"<!DOCTYPE html>\n<html><body>502 Bad Gateway</body></html>",
    }
    for number, content in enumerate(files.values()):
        drop(shimmed, f"other-{number}.csv", content)
    output = drain(shimmed, "--retry_delay=0")
    for name in files:
        assert f"the file looks like {name}: " in output
    assert len(take_dead_letters(shimmed)) == len(files)


@fault(
    "a compressed file that is incomplete, or that expands to more than "
    "`max_uncompressed_mb`",
    "nothing is loaded; the log says why; a complete one is loaded",
)
def test_broken_compression_fails_the_file(shimmed: Project) -> None:
    text = gzip.compress(clicks(20_000, first=800_001).encode())
    cut = drop(shimmed, "cut.csv.gz", text[:-1000])
    bomb = drop(shimmed, "bomb.csv.gz", gzip.compress(bytes(3_000_000)))
    output = drain(shimmed, "--retry_delay=0 --max_uncompressed_mb=2")
    assert "the gzip file is incomplete: send it again" in output
    assert "expands to more than 2,000,000 bytes" in output
    assert len(take_dead_letters(shimmed)) == 2
    assert count_loaded(shimmed, cut) == count_loaded(shimmed, bomb) == 0
    drop(shimmed, "whole.csv.gz", text)
    drain(shimmed)
    assert count_clicks(shimmed, 800_001, 20_000) == 20_000


@fault("a line of 100 MB", "one reject; the worker needs less memory than the line")
def test_huge_line_is_rejected_in_little_memory(
    shimmed: Project,
) -> None:
    rest = clicks(3, first=180_001)
    key = drop(shimmed, "long.csv", click(180_000, "x" * 100_000_000) + rest)
    with start_worker(shimmed) as polling:
        polling.wait_until(lambda: '"outcome": "loaded"' in polling.output)
        status = Path(f"/proc/{polling.process.pid}/status")
        if not status.exists():
            skip("this machine has no /proc, which has a process's peak memory")
        lines = status.read_text().splitlines()
    [peak] = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    assert peak < 100_000  # kB
    assert fetch_rejects(shimmed, key) == [[1, "longer than 1048576 bytes"]]
    assert count_clicks(shimmed, 180_000, 10) == 3


@fault(
    "a new version of an object with `on_new_version: replace`",
    "its rows replace those of the old version",
)
def test_new_version_replaces_old_rows(
    shimmed: Project,
) -> None:
    words = "--on_new_version=replace --load_column=load_number"
    for first in (80_001, 80_101):
        drop(shimmed, "versions.csv", clicks(10, first=first))
        drain(shimmed, words)
    where = "click_id BETWEEN 80001 AND 80200"
    found = shimmed.query(f"SELECT min(click_id), count(*) FROM clicks WHERE {where}")
    assert found == [[80_101, 10]]
