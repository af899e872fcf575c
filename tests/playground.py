"""What tests do in a project whose shim runs: drop files, start workers, count rows."""

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Self, TypeVar

import boto3
import pytest

from baking import (
    DEADLINE,
    Project,
    Running,
    clean_environment,
    free_port,
    start_process,
    wait_until,
)
from forks import Forked
from proxy import Pause, Proxy, always

DATABASES = ("postgres", "mysql")
LONG = 160_000  # rows of 60 bytes: half of them are more than goes into a batch
on_each_database = pytest.mark.parametrize("shimmed", DATABASES, indirect=True)

Test = TypeVar("Test", bound=Callable[..., None])


def fault(what: str, holds: str) -> Callable[[Test], Test]:
    """Mark a test that injects a fault, on each database.

    Args:
        what: the fault.
        holds: what must hold all the same. Both are for the table in the docs.
    """

    def mark(test: Test) -> Test:
        marked: Test = on_each_database(pytest.mark.fault(what, holds)(test))
        return marked

    return mark


def clicks(count: int, first: int = 1, delimiter: str = ",") -> str:
    """Return a file of clicks."""
    text = "".join(
        f"{number},visitor-{number},/page/{number},,2026-01-05 08:00:00\n"
        for number in range(first, first + count)
    )
    return text.replace(",", delimiter)


def drop(project: Project, name: str, text: str | bytes) -> str:
    """Drop a new file into the bucket, which tells of it; return its key."""
    key = f"worker/{name}"
    data = text if isinstance(text, bytes) else text.encode()
    client(project, "s3").put_object(Bucket="raw", Key=key, Body=data)
    return key


def put_long(project: Project, name: str, first: int, rows: int = LONG) -> Path:
    """Put an object that is loaded in several pieces; return a file with its event."""
    event = project.path / f"{name}.json"
    event.write_text(put(project, name, clicks(rows, first=first)))
    return event


def pausing(project: Project) -> Proxy:
    """Return a proxy that hands out half of a long object, until it lets go."""
    s3 = project.shim_environment()["AWS_ENDPOINT_URL"]
    return Proxy(s3, always("GetObject", Pause(LONG * 30)))


def put(project: Project, name: str, text: str) -> str:
    """Put a file where no notification tells of it; return an event that does."""
    (project.path / name).write_text(text, encoding="utf-8")
    where = {"Bucket": "raw", "Key": f"by-hand/{name}"}
    client(project, "s3").put_object(**where, Body=text.encode())
    return json.dumps({"bucket": "raw", "key": where["Key"]})


def drain(project: Project, words: str = "") -> str:
    """Let a worker empty the queue; return what it said.

    Raises:
        AssertionError: its exit code is not 0.
    """
    with worker(project, "--drain", *shlex.split(words)) as draining:
        draining.wait_until(lambda: draining.process.poll() is not None)
        assert draining.process.returncode == 0, draining.said
    return draining.said


def worker(project: Project, *words: str | Path, **environment: str) -> Running:
    """Start a worker on the queue, or as the words say, in a process of its own."""
    project.make("build", "TARGET=local")
    return Running(
        project.path,
        [".venv/bin/python", ".build/local/worker/local_wrapper.py", *words],
        clean_environment(
            project.shim_environment()
            | {"READ_QUEUE": "worker-pending", "POLL_INTERVAL": "1"}
            | environment
        ),
        # elsewhere, as on macOS, what has been imported may not bear a fork
        start=Forked if sys.platform == "linux" else start_process,
    )


def client(project: Project, service: str) -> Any:
    """Return boto3's client of the shim's S3 or SQS."""
    given = project.shim_environment()
    names = ("ENDPOINT_URL", "REGION", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY")
    return _client(service, *(given[f"AWS_{name}"] for name in names))


@cache
def _client(service: str, url: str, region: str, key: str, secret: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )


def queue(project: Project, name: str = "worker-pending") -> str:
    """Return the URL of a queue."""
    return str(client(project, "sqs").get_queue_url(QueueName=name)["QueueUrl"])


def waiting(project: Project, name: str = "worker-pending") -> list[int]:
    """Return how many messages of a queue are visible, and how many are not."""
    names = [f"ApproximateNumberOfMessages{part}" for part in ("", "NotVisible")]
    found = client(project, "sqs").get_queue_attributes(
        QueueUrl=queue(project, name), AttributeNames=names
    )
    return [int(found["Attributes"][name]) for name in names]


def send(project: Project, *bodies: str) -> None:
    """Put messages on the queue."""
    sqs, url = client(project, "sqs"), queue(project)
    for first in range(0, len(bodies), 10):
        some = enumerate(bodies[first : first + 10])
        entries = [{"Id": str(place), "MessageBody": body} for place, body in some]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)


@contextmanager
def visibility(project: Project, seconds: int) -> Iterator[None]:
    """Give the queue another visibility timeout for a while."""
    sqs, url = client(project, "sqs"), queue(project)

    def change(value: int) -> None:
        words = {"VisibilityTimeout": str(value)}
        sqs.set_queue_attributes(QueueUrl=url, Attributes=words)

    change(seconds)
    try:
        yield
    finally:
        change(30)


def dead_letters(project: Project) -> list[str]:
    """Take all messages out of the dead-letter queue; return their bodies."""
    sqs, url = client(project, "sqs"), queue(project, "worker-dead-letter")
    bodies: list[str] = []
    while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get(
        "Messages"
    ):
        for each in found:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
            bodies.append(each["Body"])
    return bodies


class OwnDatabase(Project):
    """The same project with a database server of its own, which tests may stop."""

    def __init__(self, project: Project, folder: Path) -> None:
        super().__init__(project.path)
        self.port = free_port()
        program = (
            "import json, sys\n"
            "from pathlib import Path\n"
            "from tests.shim import database\n"
            "folder = Path(sys.argv[1])\n"
            "database.create(folder)\n"
            "print(json.dumps(database.command(folder, int(sys.argv[2]))))"
        )
        self._words = (str(folder), str(self.port))
        self._command = json.loads(self._run(program))
        self.process = self._start()
        self._run(
            "import sys; from tests.shim import database\n"
            "database.create_tables(int(sys.argv[2]))"
        )

    def shim_environment(self) -> dict[str, str]:
        """Return the environment of the words that talk to the shim."""
        return super().shim_environment() | {"DB_PORT": str(self.port)}

    def stop(self) -> None:
        """Stop the server at once, and its connections."""
        self.process.send_signal(signal.SIGINT if is_postgres(self) else signal.SIGTERM)
        self.process.wait(DEADLINE)

    def restart(self, *options: str) -> None:
        """Start the server again on its data."""
        self._command += options
        self.process = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_until(self._is_ready, "the database of the test's own")
        return process

    def _is_ready(self) -> bool:
        program = (
            "import sys; from tests.shim import database\n"
            "print(database.is_ready(int(sys.argv[2])))"
        )
        return self._run(program).strip() == "True"

    def _run(self, program: str) -> str:
        words = (".venv-shim/bin/python", "-c", program, *self._words)
        return self.run(*words).stdout


def is_postgres(project: Project) -> bool:
    """Tell the database."""
    return "psycopg" in (project.path / "src/lib/rds.py").read_text(encoding="utf-8")


def rows_of(project: Project, key: str) -> int:
    """Return the number of rows loaded of an object, over all its versions."""
    statement = f"SELECT coalesce(sum(loaded), 0) FROM loads WHERE object_key = '{key}'"
    return int(project.query(statement)[0][0])


def rejects_of(project: Project, key: str) -> list[list[Any]]:
    """Return line and reason of what was set aside of an object."""
    return project.query(
        "SELECT line, reason FROM rejects JOIN loads USING (number)"
        f" WHERE object_key = '{key}' ORDER BY line"
    )


def count_from(project: Project, first: int, count: int = 1_000_000) -> int:
    """Return how many of the clicks from a number on are in the table."""
    where = f"click_id BETWEEN {first} AND {first + count - 1}"
    found = project.query(f"SELECT count(*) FROM clicks WHERE {where}")
    return int(found[0][0])


def rows_from(project: Project, first: int, count: int = 100) -> list[list[Any]]:
    """Return the fields of the clicks from a number on, but for their time."""
    return project.query(
        "SELECT click_id, visitor, page, referrer FROM clicks WHERE click_id"
        f" BETWEEN {first} AND {first + count - 1} ORDER BY click_id"
    )


def wait_for_load(project: Project, seconds: int = 1) -> int:
    """Wait until the database is at work on a load; return the connection's id.

    Args:
        project: whose shim runs.
        seconds: how long one statement has lasted by then. Where a load pauses that is
            long; on its way there, batch after batch, none takes as much.
    """
    is_copy = is_postgres(project)
    return _at_work(project, "COPY %" if is_copy else "LOAD DATA LOCAL %", seconds)


def wait_for_claim(project: Project) -> int:
    """Wait until an object is claimed that another one has; return the connection."""
    return _at_work(project, "%INSERT INTO loads %", 0)


def _at_work(project: Project, pattern: str, seconds: int) -> int:
    table, name, column, lasted = (
        ("pg_stat_activity", "pid", "query", "clock_timestamp() - query_start")
        if is_postgres(project)
        else ("information_schema.processlist", "id", "info", "time")
    )
    least = f"interval '{seconds} s'" if is_postgres(project) else f"{seconds}"
    found = project.query(
        f"SELECT {name} FROM {table} WHERE {column} LIKE '{pattern}'"
        f" AND {column} NOT LIKE 'SELECT %' AND {lasted} >= {least}",
        patiently=True,
    )
    return int(found[0][0])
