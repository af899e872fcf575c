"""The main job on real servers: a file into the bucket, its rows in the table."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from baking import DEADLINE, Project, wait_until
from playground import (
    OwnDatabase,
    clicks,
    drop,
    on_each_database,
    rows_of,
    worker,
)


@on_each_database
def test_sanity_check(shimmed: Project) -> None:
    assert "10 rows in, 10 rows out" in shimmed.make("sanity_check").stdout


@on_each_database
def test_worker_in_a_terminal_takes_what_is_dropped_until_ctrl_c(
    shimmed: Project,
) -> None:
    words = ("run", "FUNC=worker", "RUN_ARGS=--poll_interval=1")
    with shimmed.start(*words) as worker:
        shimmed.make("event", "FILE=tests/data/large.csv")
        worker.wait_until(lambda: rows_of(shimmed, "worker/large.csv") == 1000)
    assert '"loaded": 1000' in worker.said
    assert "Traceback" not in worker.said


@on_each_database
def test_worker_told_to_stop_ends_with_exit_code_0(shimmed: Project) -> None:
    shimmed.make("build", "TARGET=local")
    worker = subprocess.Popen(
        [".venv/bin/python", ".build/local/worker/local_wrapper.py"],
        cwd=shimmed.path,
        env=shimmed.shim_environment()
        | {"READ_QUEUE": "worker-pending", "POLL_INTERVAL": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert worker.stderr is not None
    assert "polling" in worker.stderr.readline()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=DEADLINE) == 0


@on_each_database
def test_same_event_twice_gives_the_same_rows_once(shimmed: Project) -> None:
    outcomes = []
    for _ in range(2):
        said = shimmed.make("invoke", "FUNC=worker").stdout
        outcomes += [each["outcome"] for each in json.loads(said[said.index("[\n") :])]
    assert outcomes == ["loaded", "loaded before"]
    assert rows_of(shimmed, "worker/sanity.csv") == 10


@on_each_database
def test_bad_lines_are_set_aside_in_the_database(shimmed: Project) -> None:
    key = drop(
        shimmed, "bad.csv", clicks(3, first=9001) + "oops\n" + clicks(2, first=9004)
    )
    shimmed.make("run", "FUNC=worker", "RUN_ARGS=--drain")
    assert rows_of(shimmed, key) == 5
    assert shimmed.query(
        "SELECT line, content, reason FROM rejects JOIN loads"
        f" USING (number) WHERE object_key = '{key}'"
    ) == [[4, "oops", "fields: 1 instead of 5"]]


ODD = r"""9400,anna,/,,2026-01-05 08:00:00
9401,"ä, ""😀"" ",/a\b,\N,2026-01-05 08:00:01
9402,\,"/line
feed",http://x,2026-01-05 08:00:02
"""


def rows_of_all_forms() -> str:
    """Return rows enough for many blocks, in quotes or not, one of them refused."""
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


def odd_rows(project: Project, table: str) -> list[list[Any]]:
    """Return the rows of a table, in its own order."""
    columns = "click_id, visitor, page, referrer, clicked_at"
    return project.query(f"SELECT {columns} FROM {table}")


@on_each_database
def test_bulk_statement_and_insert_give_the_same_rows_in_the_same_order(
    shimmed: Project,
) -> None:
    statement = "INSERT INTO {table} ({columns}) VALUES ({values})"
    found = []
    for number, environment in enumerate([{}, {"INSERT_STATEMENT": statement}]):
        table = f"odd_{number}"  # a new one, in which no room of deleted rows is used
        shimmed.change(f"CREATE TABLE {table} AS SELECT * FROM clicks WHERE 1 = 0")
        to_table = {"DB_TABLE": table, **environment}
        for name, text in {"odd": ODD, "forms": rows_of_all_forms()}.items():
            drop(shimmed, f"{name}-{number}.csv", text)
            shimmed.make("run", "FUNC=worker", "RUN_ARGS=--drain", env=to_table)
        found.append(odd_rows(shimmed, table))
    assert found[0] == found[1]
    assert [row[2] for row in found[0][:3]] == ["/", "/a\\b", "/line\nfeed"]
    assert len(found[0]) == 3 + 80_000 - 1


@pytest.mark.parametrize("shimmed", ["mysql"], indirect=True)
def test_server_that_takes_no_local_files_gets_the_rows_by_insert(
    shimmed: Project, tmp_path: Path
) -> None:
    with OwnDatabase(shimmed, tmp_path) as own:
        own.stop()
        own.restart("--local_infile=0")
        for name in ("first.csv", "second.csv"):
            drop(shimmed, name, clicks(10, first=9500))
        with worker(own, "--drain") as running:
            assert running.process.wait(DEADLINE) == 0
        assert running.said.count("takes rows by INSERT only: local_infile is off") == 1
        assert own.query("SELECT count(*) FROM clicks") == [[20]]


@on_each_database
def test_lambda_behind_the_queue_loads_what_is_dropped(shimmed: Project) -> None:
    shimmed.make("build")
    program = "tests/shim/deploy_lambda.py"
    shimmed.run(".venv/bin/python", program, ".build", env=shimmed.shim_environment())
    key = drop(shimmed, "lambda.csv", clicks(50, first=9300))
    try:
        wait_until(lambda: rows_of(shimmed, key) == 50, "50 rows, loaded by the Lambda")
        loaded = "SELECT count(*) FROM clicks WHERE click_id BETWEEN 9300 AND 9399"
        assert shimmed.query(loaded) == [[50]]
    finally:
        words = (".venv/bin/python", program, "--remove")
        shimmed.run(*words, env=shimmed.shim_environment())
