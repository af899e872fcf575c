"""A file is put into the bucket, its rows arrive in the table, on real servers."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from baking import DEADLINE, Project, wait_until
from shim_helpers import (
    OwnDatabase,
    clicks,
    count_clicks,
    count_loaded,
    drop,
    fetch_clicks,
    fetch_rejects,
    lambda_on_queue,
    on_each_database,
    start_worker,
)


@on_each_database
def test_sanity_check_counts_all_rows(shimmed: Project) -> None:
    assert "10 rows in, 10 rows out" in shimmed.make("sanity_check").stdout


@on_each_database
def test_run_loads_files_until_ctrl_c(shimmed: Project) -> None:
    words = ("run", "FUNC=worker", "RUN_ARGS=--poll_interval=1")
    with shimmed.start(*words) as worker:
        shimmed.make("event", "FILE=tests/data/large.csv")
        worker.wait_until(lambda: count_loaded(shimmed, "worker/large.csv") == 1000)
    assert '"loaded": 1000' in worker.output
    assert "Traceback" not in worker.output


@on_each_database
def test_sigterm_ends_idle_worker_with_0(shimmed: Project) -> None:
    with start_worker(shimmed) as worker:
        worker.wait_for("polling")
        assert "polling" in worker.output.splitlines()[0]
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(DEADLINE) == 0


@on_each_database
def test_same_event_twice_loads_once(shimmed: Project) -> None:
    key = drop(shimmed, "twice.csv", clicks(10, first=9700))
    event = shimmed.path / ".build" / "event-twice.json"
    event.write_text(json.dumps({"bucket": "raw", "key": key}), encoding="utf-8")
    outcomes = []
    for _ in range(2):
        output = shimmed.make("invoke", "FUNC=worker", f"EVENT={event}").stdout
        outcomes += [
            each["outcome"] for each in json.loads(output[output.index("[\n") :])
        ]
    assert outcomes == ["loaded", "loaded before"]
    assert count_loaded(shimmed, key) == 10


@on_each_database
def test_bad_lines_become_rejects(shimmed: Project) -> None:
    key = drop(
        shimmed, "bad.csv", clicks(3, first=9001) + "oops\n" + clicks(2, first=9004)
    )
    shimmed.make("run", "FUNC=worker", "RUN_ARGS=--drain")
    assert count_loaded(shimmed, key) == 5
    assert shimmed.query(
        "SELECT line, content, reason FROM rejects JOIN loads"
        f" USING (number) WHERE object_key = '{key}'"
    ) == [[4, "oops", "fields: 1 instead of 5"]]


ODD = r"""9400,anna,/,,2026-01-05 08:00:00
9401,"ä, ""😀"" ",/a\b,\N,2026-01-05 08:00:01
9402,\,"/line
feed",http://x,2026-01-05 08:00:02
"""


def file_of_all_forms() -> str:
    """Return a file of many blocks, quoted in several ways, with one bad line."""
    forms = [
        '"{}","anna","/a ""b"",",,"2026-01-05 08:00:00"\r\n',
        '{},"bert\nb","/a",,2026-01-05 08:00:00\n',
        "{},clio,/c,,2026-01-05 08:00:00\n",
        '{},"dora","\\","",2026-01-05 08:00:00\n',
    ]
    text = "".join(
        forms[number // 9000 % len(forms)].format(100_000 + number)
        for number in range(80_000)
    )
    return text.replace('"104000"', '"no number"')


def fetch_rows(project: Project, table: str) -> list[list[Any]]:
    """Return the rows of a table in the order of its storage."""
    columns = "click_id, visitor, page, referrer, clicked_at"
    return project.query(f"SELECT {columns} FROM {table}")


@on_each_database
def test_bulk_load_and_insert_give_equal_rows(
    shimmed: Project,
) -> None:
    statement = "INSERT INTO {table} ({columns}) VALUES ({values})"
    found = []
    for number, environment in enumerate([{}, {"INSERT_STATEMENT": statement}]):
        table = f"odd_{number}"  # a new one keeps the order of insertion
        shimmed.query(f"CREATE TABLE {table} AS SELECT * FROM clicks WHERE 1 = 0")
        to_table = {"DB_TABLE": table, **environment}
        for name, text in {"odd": ODD, "forms": file_of_all_forms()}.items():
            drop(shimmed, f"{name}-{number}.csv", text)
            shimmed.make("run", "FUNC=worker", "RUN_ARGS=--drain", env=to_table)
        found.append(fetch_rows(shimmed, table))
    assert found[0] == found[1]
    assert [row[2] for row in found[0][:3]] == ["/", "/a\\b", "/line\nfeed"]
    assert len(found[0]) == 3 + 80_000 - 1


# Loads Python values twice, as a repeated message would.
LOAD_VALUES = r"""
import sys
from datetime import datetime, timedelta, timezone
sys.path[:0] = ["src/common", "src"]
from context import CustomContext

moment = datetime(2026, 1, 5, 8, tzinfo=timezone(timedelta(hours=1)))
rows = [
    (970_000, "anna\t\\", "/", None, moment),
    (970_001, "\\N", "ä", "", "2026-01-05 08:00:00"),
    (970_002, None, "/", None, moment),
    (True, "x" * 65, "/", None, moment),
    (970_003, "nul\0", "/", None, moment),
    *((970_100 + number, "many", "/", None, moment) for number in range(40_000)),
]
columns = ["click_id", "visitor", "page", "referrer", "clicked_at"]
with CustomContext(args=sys.argv[1:]) as context:
    for _ in range(2):
        with context.rds.load(
            table="clicks", columns=columns, key="values/1", function="values"
        ) as load:
            load.add_rows(iter(rows))
        print(load.report)
"""


@on_each_database
@pytest.mark.parametrize(
    "words",
    [(), ("--insert_statement=INSERT INTO {table} ({columns}) VALUES ({values})",)],
    ids=["bulk", "insert"],
)
def test_python_values_are_loaded_once(
    shimmed: Project, words: tuple[str, ...]
) -> None:
    shimmed.query("DELETE FROM clicks WHERE click_id >= 970000 OR click_id = 1")
    shimmed.query("DELETE FROM loads WHERE object_key = 'values/1'")
    program = (".venv/bin/python", "-c", LOAD_VALUES, *words)
    output = shimmed.run(*program, env=shimmed.shim_environment()).stdout
    assert "'outcome': 'loaded', 'loaded': 40002, 'rejected': 3}" in output
    assert "'outcome': 'loaded before', 'loaded': 0" in output
    assert fetch_clicks(shimmed, 970_000, 10) == [
        [970_000, "anna\t\\", "/", None],
        [970_001, "\\N", "ä", ""],
    ]
    [[clicked]] = shimmed.query("SELECT clicked_at FROM clicks WHERE click_id = 970000")
    assert str(clicked).startswith("2026-01-05 07:00:00")  # in UTC
    assert count_clicks(shimmed, 970_000) == 40_002
    assert [row[0] for row in fetch_rejects(shimmed, "values/1")] == [3, 4, 5]


@pytest.mark.parametrize("shimmed", ["mysql"], indirect=True)
def test_local_infile_off_falls_back_to_insert(
    shimmed: Project, tmp_path: Path
) -> None:
    with OwnDatabase(shimmed, tmp_path) as own:
        own.stop()
        own.restart("--local_infile=0")
        for name in ("first.csv", "second.csv"):
            drop(shimmed, name, clicks(10, first=9500))
        with start_worker(own, "--drain") as running:
            assert running.process.wait(DEADLINE) == 0
        assert running.output.count("by INSERT, slowly: local_infile is off") == 1
        assert own.query("SELECT count(*) FROM clicks") == [[20]]


@on_each_database
def test_lambda_loads_dropped_file(shimmed: Project) -> None:
    with lambda_on_queue(shimmed):
        key = drop(shimmed, "lambda.csv", clicks(50, first=9300))
        wait_until(
            lambda: count_loaded(shimmed, key) == 50, "50 rows, loaded by the Lambda"
        )
        loaded = "SELECT count(*) FROM clicks WHERE click_id BETWEEN 9300 AND 9399"
        assert shimmed.query(loaded) == [[50]]
