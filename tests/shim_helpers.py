"""Act on a project whose shim runs: drop files, start workers, count rows."""

import json
import os
import shlex
import shutil
import signal
import subprocess
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
    skip,
    wait_until,
)
from proxy import Pause, Proxy, always

DATABASES = ("postgres", "mysql")
# Defaults of a server with which a session has to set its own.
HOSTILE = {
    "postgres": (
        "--default_transaction_isolation=repeatable read",
        "--synchronous_commit=off",
        "--DateStyle=SQL, DMY",
        "--TimeZone=Asia/Tokyo",
        "--IntervalStyle=iso_8601",
    ),
    "mysql": (
        "--transaction_isolation=REPEATABLE-READ",
        "--sql_mode=NO_BACKSLASH_ESCAPES",
        "--explicit_defaults_for_timestamp=0",
        "--default_time_zone=+09:00",
    ),
}
LONG = 160_000  # rows of 60 bytes: the first half alone is more than a batch
SAMPLE = "worker/sanity.csv"  # the shim puts it, for tests/data/event.json
on_each_database = pytest.mark.parametrize("shimmed", DATABASES, indirect=True)

Test = TypeVar("Test", bound=Callable[..., None])


def fault(fault: str, outcome: str) -> Callable[[Test], Test]:
    """Mark a test that injects a fault, and run it on each database.

    Args:
        fault: the fault, for the table in docs/faults.md.
        outcome: the effect that the test asserts, for the same table.
    """

    def mark(test: Test) -> Test:
        marked: Test = on_each_database(pytest.mark.fault(fault, outcome)(test))
        return marked

    return mark


def require_server(database: str) -> None:
    """Skip a test where the shim cannot get a server of its database.

    PostgreSQL's is a package. MySQL's or MariaDB's is on the machine, or the shim
    downloads it with apt.
    """
    path = os.pathsep.join((os.environ["PATH"], "/usr/sbin", "/opt/homebrew/bin"))
    programs = ("mariadbd", "mysqld", "apt-get")
    if database == "mysql" and not any(shutil.which(p, path=path) for p in programs):
        skip("this machine has no MySQL or MariaDB server, and no apt to download one")


def clicks(count: int, first: int = 1, delimiter: str = ",") -> str:
    """Return a CSV file of clicks, whose numbers begin at `first`."""
    text = "".join(
        f"{number},visitor-{number},/page/{number},,2026-01-05 08:00:00\n"
        for number in range(first, first + count)
    )
    return text.replace(",", delimiter)


def drop(project: Project, name: str, text: str | bytes) -> str:
    """Put a file into the bucket, which notifies the queue; return its key."""
    key = f"worker/{name}"
    data = text if isinstance(text, bytes) else text.encode()
    client(project, "s3").put_object(Bucket="raw", Key=key, Body=data)
    return key


def drop_object(project: Project, bucket: str, key: str, text: str) -> None:
    """Put an object into a bucket of the shim."""
    client(project, "s3").put_object(Bucket=bucket, Key=key, Body=text.encode())


def put_file(project: Project, name: str, text: str) -> str:
    """Put a file under a prefix without notifications; return an event for it."""
    (project.path / name).write_text(text, encoding="utf-8")
    location = {"Bucket": "raw", "Key": f"by-hand/{name}"}
    client(project, "s3").put_object(**location, Body=text.encode())
    return json.dumps({"bucket": "raw", "key": location["Key"]})


def put_version(project: Project, name: str, text: str) -> str:
    """Put a version of a file, and return an event that names it, as AWS's do.

    The events of the shim's emulator name no versions.
    """
    location = {"Bucket": "raw", "Key": f"by-hand/{name}"}
    put = client(project, "s3").put_object(**location, Body=text.encode())
    names = {"bucket": "raw", "key": location["Key"], "version": put["VersionId"]}
    return json.dumps(names)


def put_long_file(project: Project, name: str, first: int, rows: int = LONG) -> Path:
    """Put a file that takes several batches to load; return a file with its event."""
    event = project.path / f"{name}.json"
    event.write_text(put_file(project, name, clicks(rows, first=first)))
    return event


def pausing_proxy(project: Project) -> Proxy:
    """Return a proxy of S3 that passes half of a long file, the rest on `release`."""
    s3 = project.shim_environment()["AWS_ENDPOINT_URL"]
    return Proxy(s3, always("GetObject", Pause(LONG * 30)))


def drain(project: Project, words: str = "") -> str:
    """Run a worker until the queue is empty; return its output.

    Args:
        project: whose shim runs.
        words: the worker's settings, as on a command line.

    Raises:
        AssertionError: its exit code is not 0.
    """
    with start_worker(project, "--drain", *shlex.split(words)) as draining:
        draining.wait_until(lambda: draining.process.poll() is not None)
        assert draining.process.returncode == 0, draining.output
    return draining.output


def start_worker(project: Project, *words: str | Path, **environment: str) -> Running:
    """Start the built worker in the background; by default it polls.

    Args:
        project: whose shim runs.
        *words: settings on the command line.
        **environment: settings in the environment.
    """
    project.make("build", "TARGET=ecs")
    settings = {"READ_QUEUE": "worker-pending", "POLL_INTERVAL": "1"} | environment
    return Running(
        project.path,
        [".venv/bin/python", ".build/local/worker/local_wrapper.py", *words],
        clean_environment(project.shim_environment() | settings),
    )


@contextmanager
def lambda_on_queue(project: Project) -> Iterator[None]:
    """Run the worker as a Lambda that its queue feeds; begin with an empty queue."""
    project.make("build")
    program = (
        "import signal, sys\n"
        "from pathlib import Path\n"
        "from tools import shim_lambda, shim_resources\n"
        "function = shim_resources.update()['functions']['worker']\n"
        "variables = shim_lambda.database_variables(function) | function['variables']\n"
        "zips = Path('.build/lambda/worker.zip'), Path('.build/layer/local.zip')\n"
        "files = 'arn:aws:s3:::raw/by-hand/*'  # of `put_file`\n"
        "reads = {'Effect': 'Allow', 'Action': 's3:GetObject*', 'Resource': files}\n"
        "rights = [*function['statements'], reads], variables\n"
        "with shim_lambda.deployed('worker', *zips, sys.argv[1], *rights):\n"
        "    print('is ready', flush=True)\n"
        "    signal.pause()\n"
    )
    environment = project.shim_environment()
    arn = f"arn:aws:sqs:{environment['AWS_REGION']}:000000000000:worker-pending"
    with Running(
        project.path,
        [".venv/bin/python", "-c", program, arn],
        clean_environment(environment),
    ) as running:
        running.wait_for("is ready")
        wait_until(lambda: count_messages(project) == [0, 0], "an empty queue")
        yield


def client(project: Project, service: str) -> Any:
    """Return a boto3 client of one of the shim's services."""
    variables = project.shim_environment()
    names = ("ENDPOINT_URL", "REGION", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY")
    return _client(service, *(variables[f"AWS_{name}"] for name in names))


@cache
def _client(service: str, url: str, region: str, key: str, secret: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )


def empty(project: Project) -> None:
    """Delete all messages, clicks, loads, rejects, and objects but the sample."""
    for name in ("worker-pending", "worker-dead-letter"):
        url = queue_url(project, name)
        client(project, "sqs").purge_queue(QueueUrl=url)
    s3 = client(project, "s3")
    for page in s3.get_paginator("list_object_versions").paginate(Bucket="raw"):
        objects = [
            {"Key": each["Key"], "VersionId": each["VersionId"]}
            for each in page.get("Versions", []) + page.get("DeleteMarkers", [])
            if each["Key"] != SAMPLE
        ]
        if objects:
            s3.delete_objects(Bucket="raw", Delete={"Objects": objects})
    for table in ("clicks", "rejects", "loads"):
        project.query(f"DELETE FROM {table}")


def queue_url(project: Project, name: str = "worker-pending") -> str:
    """Return the URL of a queue."""
    return str(client(project, "sqs").get_queue_url(QueueName=name)["QueueUrl"])


def count_messages(project: Project, name: str = "worker-pending") -> list[int]:
    """Return how many messages of a queue are waiting and in flight."""
    names = [f"ApproximateNumberOfMessages{part}" for part in ("", "NotVisible")]
    found = client(project, "sqs").get_queue_attributes(
        QueueUrl=queue_url(project, name), AttributeNames=names
    )
    return [int(found["Attributes"][name]) for name in names]


def send_messages(project: Project, *bodies: str) -> None:
    """Send messages to the worker's queue."""
    sqs, url = client(project, "sqs"), queue_url(project)
    for first in range(0, len(bodies), 10):
        batch = enumerate(bodies[first : first + 10])
        entries = [{"Id": str(number), "MessageBody": body} for number, body in batch]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)


@contextmanager
def visibility_timeout(project: Project, seconds: int) -> Iterator[None]:
    """Change the visibility timeout of the worker's queue for a while."""
    sqs, url = client(project, "sqs"), queue_url(project)

    def change(value: int) -> None:
        attributes = {"VisibilityTimeout": str(value)}
        sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)

    change(seconds)
    try:
        yield
    finally:
        change(30)


def take_dead_letters(project: Project) -> list[str]:
    """Receive and delete all dead letters; return their bodies."""
    sqs, url = client(project, "sqs"), queue_url(project, "worker-dead-letter")
    bodies: list[str] = []
    while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get(
        "Messages"
    ):
        for each in found:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
            bodies.append(each["Body"])
    return bodies


class OwnDatabase(Project):
    """The same project with a database server of its own, which a test may stop.

    Args:
        project: whose shim runs.
        folder: for the server's files.
    """

    def __init__(self, project: Project, folder: Path) -> None:
        super().__init__(project.path)
        self.port = free_port()
        self.folder = folder / "own-database"
        self.folder.mkdir()
        self._run("database.create(folder)")
        command = self._run("print(json.dumps(database.command(folder, port)))")
        self._command = json.loads(command)
        self.process = self._start()
        self._run("database.create_database(port)")
        create = (".venv/bin/python", "tests/shim/create_tables.py")
        self.run(*create, env=self.shim_environment())

    def shim_environment(self) -> dict[str, str]:
        """Return the variables of the shim's clients, with this server's port."""
        return super().shim_environment() | {"DB_PORT": str(self.port)}

    def stop(self) -> None:
        """Stop the server at once, which ends its connections."""
        self.process.send_signal(signal.SIGINT if is_postgres(self) else signal.SIGTERM)
        self.process.wait(DEADLINE)

    def restart(self, *options: str) -> None:
        """Start the server again on the same data, with more options."""
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
        wait_until(self._is_ready, "the test's own database")
        return process

    def _is_ready(self) -> bool:
        return self._run("print(database.is_ready(port))").strip() == "True"

    def _run(self, statement: str) -> str:
        """Run a statement with the shim's module `database`; return its output."""
        program = (
            "import json, sys\n"
            "from pathlib import Path\n"
            "from tests.shim import database\n"
            "folder, port = Path(sys.argv[1]), int(sys.argv[2])\n"
        )
        words = (".venv-shim/bin/python", "-c", program + statement)
        return self.run(*words, str(self.folder), str(self.port)).stdout


def is_postgres(project: Project) -> bool:
    """Return whether the project's database is PostgreSQL."""
    return project.database == "postgres"


def count_loaded(project: Project, key: str) -> int:
    """Return how many rows the ledger has for an object, in all its versions."""
    statement = f"SELECT coalesce(sum(loaded), 0) FROM loads WHERE object_key = '{key}'"
    return int(project.query(statement)[0][0])


def fetch_rejects(project: Project, key: str) -> list[list[Any]]:
    """Return line number and reason of each line rejected from an object."""
    return project.query(
        "SELECT line, reason FROM rejects JOIN loads USING (number)"
        f" WHERE object_key = '{key}' ORDER BY line"
    )


def count_clicks(project: Project, first: int, count: int = 1_000_000) -> int:
    """Return how many of `count` clicks, from number `first` on, are in the table."""
    where = f"click_id BETWEEN {first} AND {first + count - 1}"
    found = project.query(f"SELECT count(*) FROM clicks WHERE {where}")
    return int(found[0][0])


def fetch_clicks(project: Project, first: int, count: int = 100) -> list[list[Any]]:
    """Return the clicks from number `first` on, without their times."""
    return project.query(
        "SELECT click_id, visitor, page, referrer FROM clicks WHERE click_id"
        f" BETWEEN {first} AND {first + count - 1} ORDER BY click_id"
    )


def wait_for_load(project: Project, seconds: int = 1) -> int:
    """Wait until a bulk statement runs in the database; return the connection's id.

    Args:
        project: whose shim runs.
        seconds: least age of the statement. Only where the file is paused, one gets
            that old.
    """
    pattern = "COPY %" if is_postgres(project) else "LOAD DATA LOCAL %"
    return wait_for_statement(project, pattern, seconds)


def wait_for_claim(project: Project) -> int:
    """Wait until an object is claimed while another worker has it.

    Returns:
        The id of the connection that waits.
    """
    return wait_for_statement(project, "%INSERT INTO loads %", 0)


def wait_for_statement(project: Project, pattern: str, seconds: int = 0) -> int:
    """Wait until a statement runs in the database; return the connection's id."""
    table, name, column, age = (
        ("pg_stat_activity", "pid", "query", "clock_timestamp() - query_start")
        if is_postgres(project)
        else ("information_schema.processlist", "id", "info", "time")
    )
    least = f"interval '{seconds} s'" if is_postgres(project) else f"{seconds}"
    found = project.wait_for_rows(
        f"SELECT {name} FROM {table} WHERE {column} LIKE '{pattern}'"
        f" AND {column} NOT LIKE 'SELECT %' AND {age} >= {least}"
    )
    return int(found[0][0])
