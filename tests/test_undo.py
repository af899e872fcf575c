"""Undo loads, load objects again, and correct their rejects, in the shim."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

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

# Press Ctrl-D at the question of `make undo`.
CTRL_D = """
import io, sys
from tools.__main__ import main
sys.stdin = io.StringIO()
sys.stdin.isatty = lambda: True
sys.exit(main(["undo", f"--load={sys.argv[1]}"]))
"""


def load(project: Project, name: str, text: str | bytes, words: str = "") -> str:
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
    pressed = shimmed.run(".venv/bin/python", "-c", CTRL_D, number, check=False)
    assert f"'' is not {number}: nothing was done." in pressed.stdout
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
    """Its last commit takes effect, although the answer says nothing about that."""
    number = load(shimmed, "aws-undo.csv", clicks(3, first=76_100_300))
    lost = load(shimmed, "lost-undo.csv", clicks(1, first=76_100_310))
    api = DataApi(shimmed.database, shimmed.shim_environment())
    secrets = shimmed.path / "config" / "secrets-prod.env"
    words = ("undo", f"LOAD={number}", f"CONFIRM={number}", "ENV=prod")
    with api.serve():
        keys = "AWS_ACCESS_KEY_ID=x\nAWS_SECRET_ACCESS_KEY=x\n"
        secrets.write_text(f"{keys}AWS_ENDPOINT_URL={api.url}\n", encoding="utf-8")
        assert "deleted 3 rows of" in shimmed.make(*words).stdout
        api.is_lost = True
        words = ("undo", f"LOAD={lost}", f"CONFIRM={lost}", "ENV=prod")
        unclear = shimmed.make(*words, check=False)
        gone = shimmed.make(*words, check=False)
    secrets.unlink()
    assert f"it is unknown whether load {lost} was deleted: run the" in unclear.stdout
    assert f"LOAD={lost} is not in the ledger: list loads with" in gone.stdout
    assert count_clicks(shimmed, 76_100_300, 100) == 0


@on_each_database
def test_undo_needs_rows_that_know_their_load(shimmed: Project) -> None:
    text = clicks(3, first=76_100_400)
    number = load(shimmed, "unknown.csv", text, "--load_column=")
    words = ("undo", f"LOAD={number}", f"CONFIRM={number}")
    refused = shimmed.make(*words, check=False)
    assert refused.returncode != 0
    sentence = f"has 0 rows with load_number = {number}, and the load had 3, so nothing"
    assert sentence in refused.stdout
    assert count_loaded(shimmed, "worker/unknown.csv") == 3
    mark = f"UPDATE clicks SET load_number = {number} WHERE click_id"
    shimmed.query(f"{mark} = 76100400")
    assert (
        "1 of 3 rows, 0 rejects. With" in shimmed.make(*words[:2], check=False).stdout
    )


@on_each_database
def test_undo_deletes_no_other_rows(shimmed: Project) -> None:
    """Rows of another load have the number in what `load_column` names by mistake."""
    load(shimmed, "others.csv", clicks(3, first=76_100_450))
    number = load(shimmed, "own.csv", clicks(1, first=76_100_460))
    where = "click_id BETWEEN 76100450 AND 76100452"
    shimmed.query(f"UPDATE clicks SET load_number = {number} WHERE {where}")
    refused = shimmed.make("undo", f"LOAD={number}", f"CONFIRM={number}", check=False)
    assert refused.returncode != 0
    sentence = f"has 4 rows with load_number = {number}, and the load had 1, so nothing"
    assert sentence in refused.stdout
    assert count_clicks(shimmed, 76_100_450, 50) == 4


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
def test_reload_tells_versions_apart(shimmed: Project, tmp_path: Path) -> None:
    first = load(shimmed, "versions.csv", clicks(3, first=76_100_550) + "short\n")
    drop(shimmed, "versions.csv", clicks(2, first=76_100_560))
    words = ("reload", "OBJECT=worker/versions.csv")
    refused = shimmed.make(*words, check=False)
    assert refused.returncode != 0
    assert f"was never loaded, so the rows of load {first} would" in refused.stdout
    drain(shimmed)
    output = shimmed.make(*words).stdout
    assert f"Rows of other versions stay: load {first}. To delete" in output
    assert '"outcome": "loaded"' in drain(shimmed).replace("\\", "")
    assert count_clicks(shimmed, 76_100_550, 50) == 5
    file = tmp_path / "rejects.csv"
    export = ("rejects", "OBJECT=worker/versions.csv", f"FILE={file}")
    refused = shimmed.make(*export, check=False)
    assert f"takes the lines of one load: choose LOAD= of {first}, " in refused.stdout
    assert not file.exists()


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
        "1 reject of s3://raw/worker/some-bad.csv",
    ]
    file = tmp_path / "corrected.csv"
    words = ("rejects", "OBJECT=worker/some-bad.csv", f"FILE={file}")
    refused = shimmed.make(*words, "REASON=zzz", check=False)
    assert f"Load {number} has no such rejects: nothing was written" in refused.stdout
    assert not file.exists()
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


@pytest.fixture
def own_settings(shimmed: Project) -> Iterator[Path]:
    """The worker's settings, for files with a header, in another encoding."""
    worker = shimmed.path / "config" / "worker.yml"
    deploy = shimmed.path / "config" / "deploy.yml"
    before = worker.read_bytes(), deploy.read_bytes()
    text = worker.read_text(encoding="utf-8").replace('"\\n"', r"'|\n'")
    settings = "header: skip\nskip_lines: 1\non_new_version: replace\n"
    worker.write_text(text + settings, encoding="utf-8")
    encoding = "worker: {environment: {FILE_ENCODING: cp1140}}"
    text = deploy.read_text(encoding="utf-8").replace("worker: {}", encoding)
    deploy.write_text(text, encoding="utf-8")
    yield worker
    worker.write_bytes(before[0])
    deploy.write_bytes(before[1])


@on_each_database
def test_rejects_are_written_as_the_file_was(
    shimmed: Project, own_settings: Path, tmp_path: Path
) -> None:
    head = "made by shop|\nclick,visitor,page,referrer,time|\n"
    good = clicks(6, first=76_100_800).replace("\n", "|\n")
    bad = "bäd,visitor|\n" + "long," * 201 + "|\n"
    data = f"{head}{good}{bad}".encode("cp1140")
    number = load(shimmed, "own.csv", data, "--encoding=cp1140")
    file = tmp_path / "some-bytes.csv"
    words = ("rejects", f"LOAD={number}", f"FILE={file}")
    output = shimmed.make(*words).stdout.splitlines()
    assert output == [
        f"wrote 2 lines of s3://raw/worker/own.csv to {file}",
        "Only the first 1,000 characters of a line are kept, and what is no text as "
        "\\x and two digits: take line 10 from the original.",
        "Add, as in the original: 1 line at the start, the header.",
        f"Correct it, then load it as a file of its own: make event FILE={file} "
        "FUNC=worker",
    ]
    start = "long," * 200
    assert file.read_bytes().decode("cp1140") == f"bäd,visitor|\n{start}|\n"
    replacing = (*words[:2], f"FILE={tmp_path / 'own.csv'}")
    text = own_settings.read_text(encoding="utf-8")
    file.unlink()
    for change, sentence, command in (
        ("", "would be worker/own.csv, which is loaded, and on_new_ver", replacing),
        ("widths: [", "column 10: not valid YAML: close each", words),
    ):
        own_settings.write_text(f"{text}{change}", encoding="utf-8")
        refused = shimmed.make(*command, check=False)
        assert refused.returncode != 0
        assert sentence in refused.stdout
        assert "Traceback" not in refused.stdout
    assert list(tmp_path.iterdir()) == []
