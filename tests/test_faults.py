"""What holds under failure, on real servers: no row twice, none lost."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from baking import DEADLINE, Project, clean_environment
from test_scenario import clicks, drop, on_each_database, rows_of

BIG = 1_000_000


def drain(project: Project, words: str = "") -> str:
    """Let a worker empty the queue; return what it said."""
    return project.make("run", "FUNC=worker", f"RUN_ARGS=--drain {words}").stdout


def rejects_of(project: Project, key: str) -> list[list[Any]]:
    """Return line and reason of what was set aside of an object."""
    return project.query(
        "SELECT line, reason FROM rejects JOIN loads USING (number)"
        f" WHERE object_key = '{key}' ORDER BY line"
    )


def client(project: Project, service: str, call: str, **arguments: Any) -> Any:
    """Ask the shim's S3 or SQS; return the answer's JSON."""
    program = (
        "import boto3, json, sys\n"
        f"answer = boto3.client('{service}').{call}(**json.loads(sys.argv[1]))\n"
        "print(json.dumps(answer, default=str))"
    )
    words = (".venv/bin/python", "-c", program, json.dumps(arguments))
    return json.loads(project.run(*words, env=project.shim_environment()).stdout)


def invoke(project: Project, event: Path) -> subprocess.Popen[str]:
    """Start the function on one event, in a process of its own."""
    return subprocess.Popen(
        [".venv/bin/python", ".build/local/worker/local_wrapper.py", "--event", event],
        cwd=project.path,
        env=clean_environment(project.shim_environment()),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def put_big(project: Project, name: str, first: int) -> Path:
    """Put an object that takes a while to load; return a file with its event."""
    (project.path / name).write_text(clicks(BIG, first=first), encoding="utf-8")
    program = "import boto3, sys; boto3.client('s3').upload_file(*sys.argv[1:])"
    words = (".venv/bin/python", "-c", program, name, "raw", f"by-hand/{name}")
    project.run(*words, env=project.shim_environment())
    event = project.path / f"{name}.json"
    event.write_text(json.dumps({"bucket": "raw", "key": f"by-hand/{name}"}))
    project.make("build", "TARGET=local")
    return event


def count_from(project: Project, first: int) -> int:
    """Return how many rows of a big object are in the table."""
    where = f"click_id BETWEEN {first} AND {first + BIG - 1}"
    found = project.query(f"SELECT count(*) FROM clicks WHERE {where}")
    return int(found[0][0])


@on_each_database
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
    where = "click_id BETWEEN 50001 AND 52000"
    assert shimmed.query(f"SELECT count(*) FROM clicks WHERE {where}") == [[1996]]


@on_each_database
def test_file_with_too_many_bad_lines_fails_whole_and_ends_in_the_dead_letters(
    shimmed: Project,
) -> None:
    key = drop(shimmed, "hopeless.csv", clicks(3, first=60_001) + "bad\n" * 4)
    said = drain(shimmed, "--retry_delay=0")
    assert "4 of 7 lines are bad" in said
    assert said.count('"outcome": "failed"') == 3  # the receives that the queue allows
    assert rows_of(shimmed, key) == 0
    [url] = client(shimmed, "sqs", "list_queues", QueueNamePrefix="worker-dead")[
        "QueueUrls"
    ]
    dead = client(shimmed, "sqs", "receive_message", QueueUrl=url, WaitTimeSeconds=1)
    assert "hopeless.csv" in dead["Messages"][0]["Body"]
    client(shimmed, "sqs", "purge_queue", QueueUrl=url)


@on_each_database
def test_poison_message_among_good_ones_does_not_hold_them_up(
    shimmed: Project,
) -> None:
    [url] = client(shimmed, "sqs", "list_queues", QueueNamePrefix="worker-pending")[
        "QueueUrls"
    ]
    client(shimmed, "sqs", "send_message", QueueUrl=url, MessageBody="no JSON: s3cret")
    key = drop(shimmed, "good.csv", clicks(5, first=70_001))
    said = drain(shimmed, "--retry_delay=0")
    assert rows_of(shimmed, key) == 5
    assert said.count('"outcome": "failed"') == 3
    assert "EventError" in said
    assert "s3cret" not in said


@on_each_database
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


@on_each_database
def test_two_workers_on_one_object_load_it_once(shimmed: Project) -> None:
    event = put_big(shimmed, "race.csv", first=10_000_000)
    workers = [invoke(shimmed, event) for _ in range(2)]
    said = [worker.communicate()[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    outcomes = sorted(json.loads(each)[0]["outcome"] for each in said)
    assert outcomes == ["loaded", "loaded before"]
    assert count_from(shimmed, 10_000_000) == BIG


def wait_for_load(project: Project, worker: subprocess.Popen[str]) -> int:
    """Wait until the database is at work on a load; return the connection's id."""
    is_postgres = "psycopg" in (project.path / "src/lib/rds.py").read_text()
    table, name, column = (
        ("pg_stat_activity", "pid", "query")
        if is_postgres
        else ("information_schema.processlist", "id", "info")
    )
    text = "COPY %" if is_postgres else "LOAD DATA LOCAL %"
    where = f"{column} LIKE '{text}'"
    found = project.query(f"SELECT {name} FROM {table} WHERE {where}", patiently=True)
    assert worker.poll() is None
    return int(found[0][0])


@on_each_database
def test_worker_killed_in_mid_load_leaves_nothing_and_the_next_loads_all(
    shimmed: Project,
) -> None:
    event = put_big(shimmed, "killed.csv", first=20_000_000)
    worker = invoke(shimmed, event)
    wait_for_load(shimmed, worker)
    worker.kill()
    worker.communicate()
    assert count_from(shimmed, 20_000_000) == 0
    again = invoke(shimmed, event)
    said = again.communicate()[0]
    assert again.returncode == 0, said
    assert json.loads(said)[0]["outcome"] == "loaded"
    assert count_from(shimmed, 20_000_000) == BIG


@on_each_database
def test_connection_that_the_server_ends_in_mid_load_is_made_anew(
    shimmed: Project,
) -> None:
    event = put_big(shimmed, "cut.csv", first=30_000_000)
    worker = invoke(shimmed, event)
    connection = wait_for_load(shimmed, worker)
    if "psycopg" in (shimmed.path / "src/lib/rds.py").read_text():
        shimmed.query(f"SELECT pg_terminate_backend({connection})")
    else:
        shimmed.query(f"KILL {connection}")
    said = worker.communicate()[0]
    assert worker.returncode == 0, said
    assert "trying again: " in said
    assert count_from(shimmed, 30_000_000) == BIG


@on_each_database
def test_sigterm_in_mid_load_finishes_it_and_ends_with_exit_code_0(
    shimmed: Project,
) -> None:
    put_big(shimmed, "last.csv", first=40_000_000)
    shimmed.make("event", "FILE=last.csv")
    environment = shimmed.shim_environment() | {"READ_QUEUE": "worker-pending"}
    worker = subprocess.Popen(
        [".venv/bin/python", ".build/local/worker/local_wrapper.py"],
        cwd=shimmed.path,
        env=clean_environment(environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    wait_for_load(shimmed, worker)
    worker.terminate()
    assert worker.wait(DEADLINE) == 0
    assert count_from(shimmed, 40_000_000) == BIG
    assert '"outcome": "done"' not in drain(shimmed)


@on_each_database
@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--on_new_version=replace", "load_column is not set"),
        ("--read_queue=nowhere", "there is no queue nowhere"),
    ],
)
def test_mistake_is_told_in_a_sentence(shimmed: Project, words: str, told: str) -> None:
    result = shimmed.make("run", "FUNC=worker", f"RUN_ARGS={words}", check=False)
    assert result.returncode != 0
    assert told in result.stdout
    assert "Traceback" not in result.stdout
