"""What becomes of bad files and values, on real servers."""

from pathlib import Path

from baking import Project, skip
from playground import (
    clicks,
    count_from,
    dead_letters,
    drain,
    drop,
    fault,
    rejects_of,
    rows_from,
    rows_of,
    worker,
)


def click(number: int, visitor: str) -> str:
    """Return the line of a click."""
    return f"{number},{visitor},/,,2026-01-05 08:00:00\n"


def visitors(project: Project, first: int) -> list[str]:
    """Return who clicked, of the clicks from a number on."""
    return [visitor for _, visitor, _, _ in rows_from(project, first)]


@fault("1 % of the lines are bad", "they are rejects; the others are loaded")
def test_one_bad_line_in_a_hundred_is_set_aside(shimmed: Project) -> None:
    lines = clicks(1000, first=700_001).splitlines()
    lines[99::100] = ["oops"] * 10
    key = drop(shimmed, "percent.csv", "\n".join(lines))
    drain(shimmed)
    reason = "fields: 1 instead of 5"
    assert rejects_of(shimmed, key) == [
        [each, reason] for each in range(100, 1001, 100)
    ]
    assert rows_of(shimmed, key) == count_from(shimmed, 700_001, 1000) == 990


@fault("values that the database refuses", "rejects with reasons; the others stay")
def test_value_that_the_database_refuses_is_set_aside_and_the_others_stay(
    shimmed: Project,
) -> None:
    lines = clicks(2000, first=50_001).splitlines()
    lines[9] = f"50010,{'x' * 65},/,,2026-01-05 08:00:00"
    lines[999] = "fifty-one thousand,anna,/,,2026-01-05 08:00:00"
    lines[1000] = "51001,\\N,/,,2026-01-05 08:00:00"
    lines[1999] = "52000,anna,/,,2026-02-31 08:00:00"
    key = drop(shimmed, "refused.csv", "\n".join(lines))
    said = drain(shimmed)
    assert '"loaded": 1996' in said
    assert [line for line, _ in rejects_of(shimmed, key)] == [10, 1000, 1001, 2000]
    assert all(reason for _, reason in rejects_of(shimmed, key))
    assert count_from(shimmed, 50_001, 2000) == 1996


@fault(
    "more bad lines than `max_reject_share`, or nothing but bad lines",
    "nothing is loaded; the message ends in the dead-letter queue",
)
def test_file_with_too_many_bad_lines_fails_whole_and_ends_in_the_dead_letters(
    shimmed: Project,
) -> None:
    mixed = drop(shimmed, "mixed.csv", clicks(3, first=60_001) + "bad\n" * 4)
    bad = drop(shimmed, "hopeless.csv", "bad\n" * 4)
    said = drain(shimmed, "--retry_delay=0")
    assert "4 of 7 lines are bad" in said
    assert "4 of 4 lines are bad" in said
    assert said.count('"outcome": "failed"') == 6  # the receives that the queue allows
    assert count_from(shimmed, 60_001, 3) == 0
    assert rejects_of(shimmed, mixed) == rejects_of(shimmed, bad) == []
    assert len(dead_letters(shimmed)) == 2


@fault(
    "a file in another encoding than the setting's",
    "its lines that do not fit are rejects, else it fails whole; once the setting is "
    "right, all is loaded",
)
def test_encoding_that_is_wrong_is_told_and_that_is_right_is_read(
    shimmed: Project,
) -> None:
    names = ["zoë", "anna", "øyvind", "bert", "carl"]
    text = "".join(click(110_000 + each, name) for each, name in enumerate(names))
    latin = drop(shimmed, "latin-1.csv", text.encode("latin-1"))
    wide = drop(shimmed, "utf-16.csv", text.encode("utf-16"))
    said = drain(shimmed, "--retry_delay=0")
    assert rejects_of(shimmed, latin) == [[1, "not utf-8"], [3, "not utf-8"]]
    assert visitors(shimmed, 110_000) == ["anna", "bert", "carl"]
    assert "lines are bad" in said
    assert rows_of(shimmed, wide) == 0
    assert len(dead_letters(shimmed)) == 1
    for first, encoding in ((120_000, "latin-1"), (130_000, "utf-16")):
        text = "".join(click(first + each, name) for each, name in enumerate(names))
        drop(shimmed, f"right-{encoding}.csv", text.encode(encoding))
        drain(shimmed, f"--encoding={encoding}")
        assert visitors(shimmed, first) == names


@fault(
    "values that are SQL, or formulas of a spreadsheet", "they are text, to the letter"
)
def test_value_that_looks_like_code_is_a_value(shimmed: Project) -> None:
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
        click(140_000 + each, f'"{value}"') for each, value in enumerate(values)
    )
    for number, words in enumerate(["", "--insert_statement='{}'"]):
        statement = "INSERT INTO {table} ({columns}) VALUES ({values})"
        key = drop(shimmed, f"code-{number}.csv", text)
        drain(shimmed, words.format(statement))
        assert rows_of(shimmed, key) == len(values)
        assert visitors(shimmed, 140_000) == sorted(
            values * (number + 1), key=values.index
        )


@fault(
    "CR LF, a byte order mark, quotes, empty lines, no newline at the end, no line",
    "read as usual",
)
def test_forms_of_a_file_that_mean_the_same_give_the_same_rows(
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
    for place, (name, form) in enumerate(forms.items()):
        first = 150_000 + 100 * place
        drop(shimmed, f"form-{name}.csv", form.format(first, first + 1))
    empty = drop(shimmed, "empty.csv", "")
    said = drain(shimmed)
    assert said.count('"outcome": "loaded"') == len(forms) + 1
    assert rows_of(shimmed, empty) == 0
    for place, name in enumerate(forms):
        first = 150_000 + 100 * place
        assert rows_from(shimmed, first) == [
            [first, "anna", "/a", ""],
            [first + 1, "bert", "/b", "x"],
        ], name


@fault("a NUL byte, a quote that is not closed", "one reject; the others are loaded")
def test_line_that_no_database_takes_is_set_aside(shimmed: Project) -> None:
    nul = drop(
        shimmed,
        "nul.csv",
        click(160_000, "anna") + click(160_001, "be\0rt") + click(160_002, "carl"),
    )
    text = click(160_100, "anna") + click(160_101, "bert") + click(160_102, '"carl')
    quote = drop(shimmed, "quote.csv", text)
    drain(shimmed)
    assert visitors(shimmed, 160_000) == ["anna", "carl"]
    assert rejects_of(shimmed, nul) == [[2, "a NUL character"]]
    assert visitors(shimmed, 160_100) == ["anna", "bert"]
    assert [line for line, _ in rejects_of(shimmed, quote)] == [3]


@fault("a header", "left out where the setting says so; else a reject, mostly")
def test_header_is_left_out_where_the_setting_says_so(shimmed: Project) -> None:
    header = "click_id,visitor,page,referrer,clicked_at\n"
    for first, words, rejects in ((170_000, "--header", 0), (170_100, "", 1)):
        key = drop(shimmed, f"header-{rejects}.csv", header + clicks(3, first=first))
        drain(shimmed, words)
        assert count_from(shimmed, first, 100) == 3
        assert len(rejects_of(shimmed, key)) == rejects


@fault("a line of 100 MB", "one reject; the worker never holds as much as the line")
def test_line_that_is_very_long_costs_no_more_memory_than_others(
    shimmed: Project,
) -> None:
    rest = clicks(3, first=180_001)
    key = drop(shimmed, "long.csv", click(180_000, "x" * 100_000_000) + rest)
    with worker(shimmed) as polling:
        polling.wait_until(lambda: '"outcome": "loaded"' in polling.said)
        status = Path(f"/proc/{polling.process.pid}/status")
        if not status.exists():
            skip("this machine has no /proc that tells the peak of a process's memory")
        lines = status.read_text().splitlines()
    [peak] = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    assert peak < 100_000  # kB
    assert rejects_of(shimmed, key) == [[1, "longer than 1048576 bytes"]]
    assert count_from(shimmed, 180_000, 10) == 3


@fault(
    "a new version of an object, `on_new_version: replace`",
    "its rows alone are in the table",
)
def test_new_version_replaces_the_rows_of_the_former_where_it_shall(
    shimmed: Project,
) -> None:
    words = "--on_new_version=replace --load_column=load_number"
    for first in (80_001, 80_101):
        drop(shimmed, "versions.csv", clicks(10, first=first))
        drain(shimmed, words)
    where = "click_id BETWEEN 80001 AND 80200"
    found = shimmed.query(f"SELECT min(click_id), count(*) FROM clicks WHERE {where}")
    assert found == [[80_101, 10]]
