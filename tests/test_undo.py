"""Undo loads, load objects again, and correct their rejects, in the shim."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sql_client
from baking import DEADLINE, Project, Running
from data_api import DataApi
from shim_helpers import (
    clicks,
    count_clicks,
    count_loaded,
    drain,
    drop,
    fetch_rejects,
    is_postgres,
    on_each_database,
    start_worker,
    wait_for_statement,
)

FUNC = "FUNC=worker"
BAD = "bad,visitor,/page,,2026-01-05 08:00:00\nshort\n"


def load(project: Project, name: str, text: str, words: str = "") -> str:
    """Load a file into clicks; return the number of its load."""
    key = drop(project, name, text)
    drain(project, words)
    statement = f"SELECT max(number) FROM loads WHERE object_key = '{key}'"
    return str(project.query(statement)[0][0])


@contextmanager
def locked(project: Project, first: int) -> Iterator[None]:
    """Lock a click, so that a statement which deletes it waits."""
    kinds = {"postgres": sql_client.connect_postgres, "mysql": sql_client.connect_mysql}
    connect = kinds[project.database]
    with closing(connect(project.shim_environment())) as connection:
        cursor = connection.cursor()
        cursor.execute("BEGIN")
        cursor.execute(f"SELECT 1 FROM clicks WHERE click_id = {first} FOR UPDATE")
        yield


def kill_while_deleting(project: Project, running: Running) -> None:
    """Kill a process whose statement waits for a lock."""
    wait_for_statement(project, "%DELETE FROM %clicks%")
    os.killpg(running.process.pid, signal.SIGKILL)
    running.process.wait(DEADLINE)


def wait_for_rollback(project: Project) -> None:
    """Wait until no transaction of a killed process deletes clicks."""
    table, column = (
        ("pg_stat_activity", "query")
        if is_postgres(project)
        else ("information_schema.processlist", "info")
    )
    active = "AND state <> 'idle'" if is_postgres(project) else ""
    project.wait_for_rows(
        f"SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE {column} LIKE"
        f" '%DELETE FROM %clicks%' AND {column} NOT LIKE 'SELECT %' {active})"
    )


@on_each_database
def test_undone_load_can_be_loaded_again(shimmed: Project) -> None:
    load(shimmed, "undo/kept.csv", clicks(2, first=76_100_000))
    number = load(shimmed, "undo/wrong.csv", clicks(3, first=76_100_010) + BAD)
    refused = shimmed.make("undo", f"LOAD={number}", check=False)
    assert refused.returncode != 0
    assert "wrong.csv from" in refused.stdout
    assert f"3 rows, 2 rejects. Without a terminal, confirm with CONFIRM={number}" in (
        refused.stdout
    )
    assert count_clicks(shimmed, 76_100_000, 100) == 5
    done = shimmed.make("undo", f"LOAD={number}", f"CONFIRM={number}").stdout
    assert done.startswith("deleted 3 rows of s3://raw/worker/undo/wrong.csv from ")
    assert count_clicks(shimmed, 76_100_000, 100) == 2
    left = f"SELECT 1 FROM rejects WHERE number = {number} UNION ALL "
    left += f"SELECT 1 FROM loads WHERE number = {number}"
    assert shimmed.query(left) == []
    shimmed.make("replay", FUNC, "PREFIX=undo/", "STATE=never", "YES=1")
    assert '"loaded": 3, "rejected": 2' in drain(shimmed).replace("\\", "")
    assert count_clicks(shimmed, 76_100_000, 100) == 5


@on_each_database
def test_killed_undo_deletes_nothing(shimmed: Project) -> None:
    number = load(shimmed, "killed-undo.csv", clicks(3, first=76_100_200))
    words = ("undo", f"LOAD={number}", f"CONFIRM={number}")
    with locked(shimmed, 76_100_200), shimmed.start(*words) as running:
        kill_while_deleting(shimmed, running)
    wait_for_rollback(shimmed)
    assert count_clicks(shimmed, 76_100_200, 100) == 3
    assert count_loaded(shimmed, "worker/killed-undo.csv") == 3
    shimmed.make(*words)
    assert count_clicks(shimmed, 76_100_200, 100) == 0


@on_each_database
def test_undo_on_aws_uses_the_data_api(shimmed: Project) -> None:
    number = load(shimmed, "aws-undo.csv", clicks(3, first=76_100_300))
    api = DataApi(shimmed.database, shimmed.shim_environment())
    secrets = shimmed.path / "config" / "secrets-prod.env"
    words = ("undo", f"LOAD={number}", f"CONFIRM={number}", "ENV=prod")
    with api.serve():
        keys = "AWS_ACCESS_KEY_ID=x\nAWS_SECRET_ACCESS_KEY=x\n"
        secrets.write_text(f"{keys}AWS_ENDPOINT_URL={api.url}\n", encoding="utf-8")
        assert "deleted 3 rows of" in shimmed.make(*words).stdout
        gone = shimmed.make(*words, check=False)
    secrets.unlink()
    assert f"LOAD={number} is not in the ledger" in gone.stdout
    assert count_clicks(shimmed, 76_100_300, 100) == 0


@on_each_database
def test_undo_needs_rows_that_know_their_load(shimmed: Project) -> None:
    text = clicks(3, first=76_100_400)
    number = load(shimmed, "unknown.csv", text, "--load_column=")
    words = ("undo", f"LOAD={number}", f"CONFIRM={number}")
    refused = shimmed.make(*words, check=False)
    assert refused.returncode != 0
    assert f"load_number = {number}, although 3 were loaded" in refused.stdout
    assert count_loaded(shimmed, "worker/unknown.csv") == 3


@on_each_database
def test_reload_replaces_rows(shimmed: Project) -> None:
    text = clicks(3, first=76_100_500) + BAD
    number = load(shimmed, "again.csv", text)
    wrong = "page = 'wrong' WHERE click_id BETWEEN 76100500 AND 76100501"
    shimmed.query(f"UPDATE clicks SET {wrong}")
    for _ in range(2):  # as a message that arrives twice
        shimmed.make("reload", "OBJECT=s3://raw/worker/again.csv")
    assert drain(shimmed).count('"outcome": "done"') == 2
    found = shimmed.query(
        "SELECT page, load_number FROM clicks WHERE click_id BETWEEN 76100500 AND"
        " 76100599 ORDER BY click_id"
    )
    assert found == [[f"/page/{76_100_500 + at}", int(number)] for at in range(3)]
    assert len(fetch_rejects(shimmed, "worker/again.csv")) == 2


@on_each_database
def test_killed_reload_keeps_rows(shimmed: Project) -> None:
    load(shimmed, "killed-reload.csv", clicks(3, first=76_100_600))
    shimmed.make("reload", "OBJECT=worker/killed-reload.csv")
    with locked(shimmed, 76_100_600), start_worker(shimmed) as running:
        kill_while_deleting(shimmed, running)
    wait_for_rollback(shimmed)
    assert count_clicks(shimmed, 76_100_600, 100) == 3
    assert count_loaded(shimmed, "worker/killed-reload.csv") == 3


@on_each_database
def test_corrected_rejects_are_loaded(shimmed: Project, tmp_path: Path) -> None:
    number = load(shimmed, "some-bad.csv", clicks(3, first=76_100_700) + BAD)
    summary = " ".join(shimmed.make("rejects").stdout.split())
    row = (
        f"{number} | worker/some-bad.csv | func.worker | fields: 1 instead of 5 | 1 | 5"
    )
    assert row in summary
    shown = shimmed.make("rejects", f"LOAD={number}", "REASON=fields").stdout
    assert shown.splitlines() == [
        f"load {number}, line 5: fields: 1 instead of 5",
        "  short",
        "1 rejects of s3://raw/worker/some-bad.csv",
    ]
    file = tmp_path / "corrected.csv"
    words = ("rejects", "OBJECT=worker/some-bad.csv", f"FILE={file}")
    output = shimmed.make(*words).stdout
    assert f"make event FILE={file} FUNC=worker" in output
    assert "short" not in output
    assert file.read_text(encoding="utf-8") == BAD
    assert f"FILE={file} exists" in shimmed.make(*words, check=False).stdout
    text = BAD.replace("bad", "76100710").replace("short\n", clicks(1, 76_100_711))
    file.write_text(text, encoding="utf-8")
    shimmed.make("event", f"FILE={file}", FUNC)
    drain(shimmed)
    assert count_clicks(shimmed, 76_100_700, 100) == 5
