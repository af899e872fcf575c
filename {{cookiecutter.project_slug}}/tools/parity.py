"""Takes the same messages through all four environments; the end states must be equal.

The environments are a context of the unit tests, the command line, a Lambda behind a
queue, and the container. All but the first have a queue and a table of their own in the
shim, which are gone afterwards.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple
from urllib.parse import quote_plus

import boto3

import bootstrap
from context import CustomContext, is_outage
from deploy_lambda import deploy, remove
from func.worker import run
from lib.events import objects
from tests.context import CONFIG, void_context

ROOT = Path(__file__).parents[2]
BUILD = ROOT / ".build"
PAGE = BUILD / "parity.md"
FAILED = '"outcome": "failed"'
# longer than a batch takes: behind a Lambda nobody extends it
VISIBILITY_SECONDS = 5
DEADLINE_SECONDS = 60

GOOD = "".join(f"{n},visitor {n},/page/{n},,2026-01-05 08:00:00\n" for n in range(50))
BAD = f'oops\n{GOOD}51,"x"y,/,,\n52,anna,/,\\N,2026-01-05 08:00:00\n1,2,3,4,5,6\n'
LATIN = f"{GOOD}53,Zoë,/,,2026-01-05 08:00:00\n"
# name of a file, saved event that tells of it, content
MESSAGES: list[tuple[str, str, bytes | None]] = [
    ("good", "event.json", GOOD.encode()),
    ("good by S3 +1", "event-s3.json", GOOD.encode()),
    ("good by SNS", "event-sns.json", GOOD.encode()),
    ("good by Jänner", "event-eventbridge.json", GOOD.encode()),
    ("bad rows", "event-s3.json", BAD.encode()),
    ("empty", "event-sns.json", b""),
    ("missing", "event-eventbridge.json", None),
    ("other encoding", "event-s3.json", LATIN.encode("latin-1")),
    ("told of twice", "event.json", GOOD.encode()),
    ("told of twice", "event.json", GOOD.encode()),
]
Row = Iterable[Any]


class State(NamedTuple):
    """What is left when every message has come to its end."""

    files: dict[str, str]
    rows: str
    rejects: str
    deleted: int
    returned: int
    dead_lettered: int

    def facts(self) -> dict[str, str]:
        """Return all of it, a line each."""
        return {
            **self.files,
            "all rows": self.rows,
            "all rejects": self.rejects,
            "messages deleted": str(self.deleted),
            "messages returned": str(self.returned),
            "messages dead-lettered": str(self.dead_lettered),
        }


def state(
    ledger: dict[str, tuple[int, int]],
    rows: Iterable[Row],
    rejects: Iterable[Row],
    failures: int,
    dead: list[str],
) -> State:
    """Return the end state.

    Args:
        ledger: rows loaded and rejected, by the object's key.
        rows: the table's rows.
        rejects: line, content and reason of each.
        failures: how often a message has failed.
        dead: bodies of the messages in the dead-letter queue.
    """
    files = {
        key: f"{loaded} rows, {rejected} rejected"
        for key, (loaded, rejected) in ledger.items()
    } | {objects(body)[0].key: "dead letter" for body in dead}
    names = {name: files.get(key_of(name), "nothing") for name, _, _ in MESSAGES}
    deleted = len(MESSAGES) - len(dead)
    returned = failures - len(dead)
    return State(names, checked(rows), checked(rejects), deleted, returned, len(dead))


def checked(rows: Iterable[Row]) -> str:
    """Return the number of rows, and a checksum of their content in any order."""
    texts = [[None if each is None else str(each) for each in row] for row in rows]
    text = json.dumps(sorted(texts, key=repr))
    return f"{len(texts)}, {hashlib.sha256(text.encode()).hexdigest()[:12]}"


def key_of(name: str) -> str:
    """Return the key of a file."""
    return f"parity/{name}.csv"


def body(name: str, event: str) -> str:
    """Return a saved event that tells of another file, in the state that it has."""
    text = (ROOT / "tests" / "data" / event).read_text(encoding="utf-8")
    key = key_of(name)
    for old, new in {
        "worker/sanity.csv": key,
        "worker/clicks of Jänner +1.csv": key,
        "worker/clicks+of+J%C3%A4nner+%2B1.csv": quote_plus(key),
        "d41d8cd98f00b204e9800998ecf8427e": "",
        "3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY": "",
    }.items():
        text = text.replace(old, new)
    return text


BODIES = [body(name, event) for name, event, _ in MESSAGES]


def put_files(s3: Any) -> None:
    """Put the files that the messages tell of."""
    for name, content in {name: content for name, _, content in MESSAGES}.items():
        if content is not None:
            s3.put_object(Bucket=bootstrap.BUCKET, Key=key_of(name), Body=content)


def unit_context() -> State:
    """Hand the messages to the function, as the unit tests do."""
    ledger: dict[str, tuple[int, int]] = {}
    failures, dead = 0, []
    with void_context() as context:
        put_files(context.s3)
        for each in BODIES:
            for receive in range(1, bootstrap.MAX_RECEIVES + 1):
                try:
                    reports = run(each, context)
                except Exception:
                    failures += 1
                    if receive == bootstrap.MAX_RECEIVES:
                        dead.append(each)
                else:
                    for report in reports:
                        key = report["object"].removeprefix(f"s3://{bootstrap.BUCKET}/")
                        numbers = (report["loaded"], report["rejected"])
                        ledger.setdefault(key, numbers)
                    break
        rows = context.rds.tables[context.var.table]
        return state(ledger, rows, context.rds.rejects, failures, dead)


class InShim:
    """A queue and a table in the shim, with all messages on their way."""

    def __init__(self, context: CustomContext, name: str) -> None:
        self.context = context
        self.name = name
        self.table = name.replace("-", "_")
        self.settings = f"--read_queue={name} --table={self.table} --retry_delay=0"

    def __enter__(self) -> "InShim":
        sqs = self.context.sqs
        dead = bootstrap.queue(sqs, f"{self.name}-dead", {})
        redrive = {
            "deadLetterTargetArn": dead,
            "maxReceiveCount": bootstrap.MAX_RECEIVES,
        }
        attributes = {
            "VisibilityTimeout": str(VISIBILITY_SECONDS),
            "RedrivePolicy": json.dumps(redrive),
        }
        bootstrap.queue(sqs, self.name, attributes)
        like = f"SELECT * FROM {self.context.var.table} WHERE 1 = 0"
        self._change(f"CREATE TABLE {self.table} AS {like}")
        for each in BODIES:
            sqs.send_message(QueueUrl=self._url(self.name), MessageBody=each)
        return self

    def __exit__(self, *exception: object) -> None:
        for name in (self.name, f"{self.name}-dead"):
            self.context.sqs.delete_queue(QueueUrl=self._url(name))
        ours = f"WHERE target = '{self.table}'"
        self._change(
            f"DELETE FROM rejects WHERE number IN (SELECT number FROM loads {ours})"
        )
        self._change(f"DELETE FROM loads {ours}")
        self._change(f"DROP TABLE {self.table}")

    def state(self, log: str) -> State:
        """Return the end state; the log tells how often a message has failed."""
        query = self.context.rds.query
        ours = f"FROM loads WHERE target = '{self.table}'"
        ledger = query(f"SELECT object_key, loaded, rejected {ours}")
        columns = ", ".join(self.context.var.columns)
        return state(
            {key: (loaded, rejected) for key, loaded, rejected in ledger},
            query(f"SELECT {columns} FROM {self.table}"),
            query(
                "SELECT line, content, reason FROM rejects"
                f" WHERE number IN (SELECT number {ours})"
            ),
            log.count(FAILED),
            list(self._dead_letters()),
        )

    def is_empty(self) -> bool:
        """Tell whether no message is in the queue, or on its way."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.context.sqs.get_queue_attributes(
            QueueUrl=self._url(self.name), AttributeNames=names
        )
        return not any(int(found["Attributes"][name]) for name in names)

    def _dead_letters(self) -> Iterator[str]:
        words = {"QueueUrl": self._url(f"{self.name}-dead"), "MaxNumberOfMessages": 10}
        while found := self.context.sqs.receive_message(**words).get("Messages"):
            yield from (each["Body"] for each in found)

    def _url(self, name: str) -> str:
        return str(self.context.sqs.get_queue_url(QueueName=name)["QueueUrl"])

    def _change(self, statement: str) -> None:
        with self.context.rds.transaction() as cursor:
            cursor.execute(statement)


def output(*words: str, **how: Any) -> str:
    """Run a command; return what it said.

    Raises:
        SystemExit: it failed.
    """
    result = subprocess.run(words, capture_output=True, text=True, **how)
    said = f"{result.stdout}{result.stderr}"
    if result.returncode != 0:
        raise SystemExit(f"{' '.join(words)} failed:\n{said}")
    return said


def make(*words: str) -> str:
    """Run a make word; return what it said."""
    return output("make", "--no-print-directory", *words, cwd=ROOT)


def command_line(shim: InShim) -> str:
    """Empty the queue by `make run`; return the log."""
    return make("run", "FUNC=worker", f"RUN_ARGS=--drain {shim.settings}")


def lambda_function(shim: InShim) -> str:
    """Empty the queue by the zip and the layer; return the log."""
    deploy(BUILD, shim.name, name=shim.name, DB_TABLE=shim.table)
    try:
        deadline = monotonic() + DEADLINE_SECONDS
        while not shim.is_empty():
            if monotonic() > deadline:
                raise SystemExit(f"the Lambda is not done in {DEADLINE_SECONDS} s")
            sleep(0.1)
        group = {"logGroupName": f"/aws/lambda/{shim.name}"}
        found = boto3.client("logs").filter_log_events(**group)
    finally:
        remove(shim.name)
    return "\n".join(event["message"] for event in found["events"])


def container(shim: InShim) -> str:
    """Empty the queue by the image; return the log."""
    make("image", "FUNC=worker")
    words = f"RUN_ARGS=--drain {shim.settings}"
    return make("container", "FUNC=worker", words, "DOCKER_ARGS=")


def containers_command(shim: InShim) -> str:
    """Empty the queue by what the image would run; return the log."""
    dockerfile = (ROOT / "src/common/docker_wrapper").read_text(encoding="utf-8")
    _, _, entry = dockerfile.partition("\nENTRYPOINT ")
    words = json.loads(entry.splitlines()[0])
    words = words[words.index("python") + 1 :]  # before it is for process 1 only
    given = {k: v for k, v in os.environ.items() if k.startswith(("AWS_", "DB_"))}
    command = (sys.executable, *words, "--drain", *shim.settings.split())
    return output(*command, cwd=BUILD / "local" / "worker", env=given)


def engine_answers() -> bool:
    """Tell whether a Docker engine runs here."""
    words = ["docker", "info"]
    return (
        shutil.which("docker") is not None
        and subprocess.run(words, capture_output=True).returncode == 0
    )


def page(states: dict[str, State], note: str) -> str:
    """Return the states side by side, in Markdown, with the verdict."""
    facts = [each.facts() for each in states.values()]
    lines = [[name, *(each[name] for each in facts)] for name in facts[0]]
    head = [["", *states], ["---"] * (len(states) + 1)]
    widths = [max(map(len, column)) for column in zip(*head, *lines, strict=True)]
    table = "\n".join(
        f"| {' | '.join(map(str.ljust, line, widths))} |" for line in [*head, *lines]
    )
    different = [name for name, *values in lines if len(set(values)) > 1]
    verdict = f"Different: {', '.join(different)}." if different else "All are equal."
    return f"{table}\n\n{verdict} {note}\n"


def main() -> int:
    """Compare; the exit code is 1 where the states differ."""
    has_engine = engine_answers()
    environments: dict[str, Callable[[InShim], str]] = {
        "command line": command_line,
        "Lambda": lambda_function,
        "container": container if has_engine else containers_command,
    }
    note = (
        "The container is the image."
        if has_engine
        else "No Docker engine answers here: in the place of the container stands "
        "the build folder, run by the image's command."
    )
    states = {"unit context": unit_context()}
    with CustomContext(args=[f"--const_path={CONFIG}"]) as context:
        put_files(context.s3)
        for name, empty in environments.items():
            with InShim(context, f"parity-{name.lower().replace(' ', '-')}") as shim:
                states[name] = shim.state(empty(shim))
    text = page(states, note)
    PAGE.write_text(text, encoding="utf-8")
    print(text, end="")
    return int(len({json.dumps(each) for each in states.values()}) > 1)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception as error:
        if not is_outage(error):
            raise
        sys.exit("The shim does not answer: start it anew by 'make shim'.")
