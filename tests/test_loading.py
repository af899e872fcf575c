"""The main job on real servers: a file into the bucket, its rows in the table."""

import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from baking import DEADLINE, Project, bake, free_port, require_server, wait_until
from shim_helpers import (
    DATABASES,
    OwnDatabase,
    clicks,
    count_loaded,
    drop,
    on_each_database,
    start_worker,
)


@on_each_database
def test_sanity_check_counts_all_rows(shimmed: Project) -> None:
    assert "10 rows in, 10 rows out" in shimmed.make("sanity_check").stdout


@on_each_database
def test_run_loads_files_until_ctrl_c(
    shimmed: Project,
) -> None:
    words = ("run", "FUNC=worker", "RUN_ARGS=--poll_interval=1")
    with shimmed.start(*words) as worker:
        shimmed.make("event", "FILE=tests/data/large.csv")
        worker.wait_until(lambda: count_loaded(shimmed, "worker/large.csv") == 1000)
    assert '"loaded": 1000' in worker.output
    assert "Traceback" not in worker.output


@on_each_database
def test_sigterm_ends_idle_worker_with_0(shimmed: Project) -> None:
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
def test_same_event_twice_loads_once(shimmed: Project) -> None:
    outcomes = []
    for _ in range(2):
        output = shimmed.make("invoke", "FUNC=worker").stdout
        outcomes += [
            each["outcome"] for each in json.loads(output[output.index("[\n") :])
        ]
    assert outcomes == ["loaded", "loaded before"]
    assert count_loaded(shimmed, "worker/sanity.csv") == 10


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
def test_bulk_load_and_insert_give_equal_rows(
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
        assert (
            running.output.count("takes rows by INSERT only: local_infile is off") == 1
        )
        assert own.query("SELECT count(*) FROM clicks") == [[20]]


@on_each_database
def test_lambda_loads_dropped_file(shimmed: Project) -> None:
    shimmed.make("build")
    program = "tests/shim/deploy_lambda.py"
    shimmed.run(".venv/bin/python", program, ".build", env=shimmed.shim_environment())
    key = drop(shimmed, "lambda.csv", clicks(50, first=9300))
    try:
        wait_until(
            lambda: count_loaded(shimmed, key) == 50, "50 rows, loaded by the Lambda"
        )
        loaded = "SELECT count(*) FROM clicks WHERE click_id BETWEEN 9300 AND 9399"
        assert shimmed.query(loaded) == [[50]]
    finally:
        words = (".venv/bin/python", program, "--remove")
        shimmed.run(*words, env=shimmed.shim_environment())


@pytest.fixture(params=DATABASES)
def still(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """A project for each database, whose shim does not run yet."""
    require_server(request.param)
    return bake(tmp_path, database=request.param).share_installs()


def listens(port: str) -> bool:
    """Tell whether somebody listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port))) == 0


def ports_of(environment: dict[str, Any]) -> list[str]:
    """Return the ports of a shim."""
    return [environment["AWS_ENDPOINT_URL"].rpartition(":")[2], environment["DB_PORT"]]


def test_ctrl_c_stops_all_and_shim_restarts(still: Project) -> None:
    for _ in ("once", "again"):
        with still.shim() as environment:
            ports = ports_of(environment)
            assert all(map(listens, ports))
            assert "10 rows in, 10 rows out" in still.make("sanity_check").stdout
        assert not any(map(listens, ports))
        assert not (still.path / ".shim" / "shim.env").exists()


@on_each_database
def test_two_shims_run_side_by_side(shimmed: Project, tmp_path: Path) -> None:
    other = bake(tmp_path, project_slug="other", database="postgres").share_installs()
    with other.shim():
        shimmed.make("sanity_check")
        assert other.query("SELECT count(*) FROM clicks") == [[0]]


@pytest.mark.parametrize("shimmed", ["mysql"], indirect=True)
def test_mysql_keeps_temporary_files_in_project(shimmed: Project) -> None:
    [[folder]] = shimmed.query("SELECT @@tmpdir")
    assert Path(folder).is_relative_to(shimmed.path)


@pytest.mark.parametrize("variable", ["AWS_PORT", "DB_PORT"])
def test_port_in_use_is_reported(still: Project, variable: str) -> None:
    words = {"AWS_PORT": str(free_port()), "DB_PORT": str(free_port())}
    with socket.create_server(("127.0.0.1", int(words[variable]))):
        pairs = [f"{name}={value}" for name, value in words.items()]
        result = still.make("shim", "SHIM=process", *pairs, check=False)
    assert result.returncode != 0
    assert f"port {words[variable]} of 127.0.0.1 is in use" in result.stdout
    assert f"make shim {variable}=" in result.stdout


@on_each_database
def test_second_shim_is_refused(
    shimmed: Project,
) -> None:
    result = shimmed.make("shim", "SHIM=process", check=False)
    assert result.returncode != 0
    assert "this checkout's shim runs already" in result.stdout
    assert all(map(listens, ports_of(shimmed.shim_environment())))
    shimmed.make("sanity_check")


def test_servers_of_killed_shim_are_stopped(
    still: Project,
) -> None:
    port_words = [f"AWS_PORT={free_port()}", f"DB_PORT={free_port()}"]
    file = still.path / ".shim" / "shim.env"
    with still.start("shim", "SHIM=process", *port_words) as shim:
        shim.wait_until(file.exists)
        os.killpg(shim.process.pid, signal.SIGKILL)
    file.unlink()
    with still.start("shim", "SHIM=process", *port_words) as shim:
        shim.wait_until(file.exists)
        still.make("sanity_check")


def test_missing_mysql_server_names_remedy(tmp_path: Path) -> None:
    project = bake(tmp_path, database="mysql").share_installs()
    code = (
        "import sys; sys.path.insert(0, 'tests/shim'); import database\n"
        "database._program = lambda *names: None\n"
        "import shim; sys.argv = ['shim', '--mode=process', "
        f"'--aws_port={free_port()}', '--db_port={free_port()}']; sys.exit(shim.main())"
    )
    result = project.run(".venv-shim/bin/python", "-c", code, check=False)
    assert result.returncode == 1
    assert result.stdout.startswith(
        "shim: no MySQL or MariaDB server on this machine; get"
    )
    assert result.stdout.count("\n") == 1
