"""Send the same messages through all four environments and compare the end states.

The environments are the doubles of the unit tests, the command line, a Lambda behind a
queue, and the container. Except for the first, each has a queue and a table of its own
in the shim, which are deleted afterwards.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from time import monotonic, sleep
from typing import Any, NamedTuple
from urllib.parse import quote_plus

from context import CustomContext
from func.worker import run
from lib.events import objects
from tests.context import CONFIG, void_context
from tools import build, images, shim_lambda
from tools.environment import client, enter
from tools.errors import UserError
from tools.project import BUILD, ROOT

PAGE = BUILD / "parity.md"
MAX_RECEIVES = 3
FAILURE = '"outcome": "failed"'  # in a log line
# Longer than a batch takes: behind a Lambda, no heartbeat extends it.
VISIBILITY_SECONDS = 5
DEADLINE_SECONDS = 60

GOOD = "".join(f"{n},visitor {n},/page/{n},,2026-01-05 08:00:00\n" for n in range(50))
BAD = f'oops\n{GOOD}51,"x"y,/,,\n52,anna,/,\\N,2026-01-05 08:00:00\n1,2,3,4,5,6\n'
LATIN = f"{GOOD}53,Zoë,/,,2026-01-05 08:00:00\n"
Row = Iterable[Any]


class Message(NamedTuple):
    """A message: the file that it names, its form, and the content of the file."""

    name: str
    event: str
    content: bytes | None


MESSAGES = [
    Message("good", "event.json", GOOD.encode()),
    Message("good by S3 +1", "event-s3.json", GOOD.encode()),
    Message("good by SNS", "event-sns.json", GOOD.encode()),
    Message("good by Jänner", "event-eventbridge.json", GOOD.encode()),
    Message("bad rows", "event-s3.json", BAD.encode()),
    Message("empty", "event-sns.json", b""),
    Message("missing", "event-eventbridge.json", None),
    Message("other encoding", "event-s3.json", LATIN.encode("latin-1")),
    Message("sent twice", "event.json", GOOD.encode()),
    Message("sent twice", "event.json", GOOD.encode()),
]


class EndState(NamedTuple):
    """What is left when each message has reached its end."""

    files: dict[str, str]
    rows: str
    rejects: str
    deleted: int
    returned: int
    dead_lettered: int

    def facts(self) -> dict[str, str]:
        """Return all of it by label, one line each."""
        return {
            **self.files,
            "all rows": self.rows,
            "all rejects": self.rejects,
            "messages deleted": str(self.deleted),
            "messages returned": str(self.returned),
            "messages dead-lettered": str(self.dead_lettered),
        }


def compare() -> int:
    """Print the end states side by side; return 1 if they differ, else 0.

    Raises:
        UserError: the shim is not running, or an environment failed.
    """
    enter("")
    build.build_for("", "local")
    has_engine = images.engine_answers()
    environments: dict[str, Callable[[InShim], str]] = {
        "command line": run_command_line,
        "Lambda": run_lambda,
        "container": run_container if has_engine else run_like_container,
    }
    states = {"unit context": run_unit_context()}
    with CustomContext(args=[f"--const_path={CONFIG}"]) as context:
        put_files(context.s3)
        for name, empty_queue in environments.items():
            with InShim(context, f"parity-{name.lower().replace(' ', '-')}") as shim:
                states[name] = shim.end_state(empty_queue(shim))
    text = make_page(states, has_engine)
    PAGE.write_text(text, encoding="utf-8")
    print(text, end="")
    return int(len({json.dumps(each) for each in states.values()}) > 1)


def make_end_state(
    ledger: dict[str, tuple[int, int]],
    rows: Iterable[Row],
    rejects: Iterable[Row],
    failures: int,
    dead_letters: list[str],
) -> EndState:
    """Return an end state.

    Args:
        ledger: rows loaded and rejected, by object key.
        rows: the rows of the table.
        rejects: line, content and reason of each reject.
        failures: how often a message failed.
        dead_letters: the bodies of the dead letters.
    """
    files = {
        key: f"{loaded} rows, {rejected} rejected"
        for key, (loaded, rejected) in ledger.items()
    } | {objects(body)[0].key: "dead letter" for body in dead_letters}
    return EndState(
        {each.name: files.get(key_of(each.name), "nothing") for each in MESSAGES},
        summarise(rows),
        summarise(rejects),
        deleted=len(MESSAGES) - len(dead_letters),
        returned=failures - len(dead_letters),
        dead_lettered=len(dead_letters),
    )


def summarise(rows: Iterable[Row]) -> str:
    """Return the number of rows and a checksum that does not depend on their order."""
    texts = [[None if each is None else str(each) for each in row] for row in rows]
    text = json.dumps(sorted(texts, key=repr))
    return f"{len(texts)}, {hashlib.sha256(text.encode()).hexdigest()[:12]}"


def key_of(name: str) -> str:
    """Return the object key of a message's file."""
    return f"parity/{name}.csv"


def body_of(message: Message) -> str:
    """Return a saved event that names the message's file, in its current state."""
    path = ROOT / "tests" / "data" / message.event
    text = path.read_text(encoding="utf-8")
    key = key_of(message.name)
    for old, new in {
        "worker/sanity.csv": key,
        "worker/clicks of Jänner +1.csv": key,
        "worker/clicks+of+J%C3%A4nner+%2B1.csv": quote_plus(key),
        "d41d8cd98f00b204e9800998ecf8427e": "",
        "3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY": "",
    }.items():
        text = text.replace(old, new)
    return text


BODIES = [body_of(message) for message in MESSAGES]


def put_files(s3: Any) -> None:
    """Put the files that the messages name into the bucket."""
    for name, content in {each.name: each.content for each in MESSAGES}.items():
        if content is not None:
            s3.put_object(Bucket="raw", Key=key_of(name), Body=content)


def run_unit_context() -> EndState:
    """Call the function with each message, as the unit tests do."""
    ledger: dict[str, tuple[int, int]] = {}
    failures, dead_letters = 0, []
    with void_context() as context:
        put_files(context.s3)
        for body in BODIES:
            for receive in range(1, MAX_RECEIVES + 1):
                try:
                    reports = run(body, context)
                except Exception:
                    failures += 1
                    if receive == MAX_RECEIVES:
                        dead_letters.append(body)
                else:
                    for report in reports:
                        key = report["object"].removeprefix("s3://raw/")
                        counts = (report["loaded"], report["rejected"])
                        ledger.setdefault(key, counts)
                    break
        rows = context.rds.tables[context.var.table]
        rejects = [(each.line, each.text, each.reason) for each in context.rds.rejects]
        return make_end_state(ledger, rows, rejects, failures, dead_letters)


class InShim:
    """A queue that holds all messages, and a table, in the shim.

    Args:
        context: its clients.
        name: of the queue and, with underscores, of the table.
    """

    def __init__(self, context: CustomContext, name: str) -> None:
        self.context = context
        self.name = name
        self.table = name.replace("-", "_")
        self.settings = f"--read_queue={name} --table={self.table} --retry_delay=0"

    def __enter__(self) -> "InShim":
        self._create_queue(f"{self.name}-dead", {})
        redrive = {
            "deadLetterTargetArn": self.queue_arn(f"{self.name}-dead"),
            "maxReceiveCount": MAX_RECEIVES,
        }
        attributes = {
            "VisibilityTimeout": str(VISIBILITY_SECONDS),
            "RedrivePolicy": json.dumps(redrive),
        }
        self._create_queue(self.name, attributes)
        like = f"SELECT * FROM {self.context.var.table} WHERE 1 = 0"
        self._execute(f"CREATE TABLE {self.table} AS {like}")
        for body in BODIES:
            url = self._queue_url(self.name)
            self.context.sqs.send_message(QueueUrl=url, MessageBody=body)
        return self

    def __exit__(self, *exception: object) -> None:
        for name in (self.name, f"{self.name}-dead"):
            self.context.sqs.delete_queue(QueueUrl=self._queue_url(name))
        loads = f"loads WHERE target LIKE '%.{self.table}'"
        self._execute(
            f"DELETE FROM rejects WHERE number IN (SELECT number FROM {loads})"
        )
        self._execute(f"DELETE FROM {loads}")
        self._execute(f"DROP TABLE {self.table}")

    def end_state(self, log: str) -> EndState:
        """Return the end state.

        Args:
            log: what the environment logged, to count the failures.
        """
        query = self.context.rds.query
        loads = f"FROM loads WHERE target LIKE '%.{self.table}'"
        ledger = query(f"SELECT object_key, loaded, rejected {loads}")
        columns = ", ".join(self.context.var.columns)
        return make_end_state(
            {key: (loaded, rejected) for key, loaded, rejected in ledger},
            query(f"SELECT {columns} FROM {self.table}"),
            query(
                "SELECT line, content, reason FROM rejects"
                f" WHERE number IN (SELECT number {loads})"
            ),
            log.count(FAILURE),
            list(self._receive_dead_letters()),
        )

    def is_empty(self) -> bool:
        """Return whether no message is waiting or in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.context.sqs.get_queue_attributes(
            QueueUrl=self._queue_url(self.name), AttributeNames=names
        )
        return not any(int(found["Attributes"][name]) for name in names)

    def queue_arn(self, name: str) -> str:
        """Return the ARN of a queue."""
        found = self.context.sqs.get_queue_attributes(
            QueueUrl=self._queue_url(name), AttributeNames=["QueueArn"]
        )
        return str(found["Attributes"]["QueueArn"])

    def _create_queue(self, name: str, attributes: dict[str, str]) -> None:
        self.context.sqs.create_queue(QueueName=name, Attributes=attributes)

    def _receive_dead_letters(self) -> Iterator[str]:
        url = self._queue_url(f"{self.name}-dead")
        request = {"QueueUrl": url, "MaxNumberOfMessages": 10}
        while found := self.context.sqs.receive_message(**request).get("Messages"):
            yield from (each["Body"] for each in found)

    def _queue_url(self, name: str) -> str:
        return str(self.context.sqs.get_queue_url(QueueName=name)["QueueUrl"])

    def _execute(self, statement: str) -> None:
        with self.context.rds.transaction() as cursor:
            cursor.execute(statement)


def run_command_line(shim: InShim) -> str:
    """Empty the queue with the command line; return the log."""
    arguments = f"--drain {shim.settings}"
    return run_tool("run", "--func=worker", f"--args={arguments}")


def run_lambda(shim: InShim) -> str:
    """Empty the queue with the zips of function and layer; return the log."""
    with shim_lambda.deployed(
        shim.name,
        BUILD / "lambda" / "worker.zip",
        BUILD / "layer" / "local.zip",
        shim.queue_arn(shim.name),
        DB_TABLE=shim.table,
    ):
        deadline = monotonic() + DEADLINE_SECONDS
        while not shim.is_empty():
            if monotonic() > deadline:
                raise UserError(
                    f"the Lambda has not emptied its queue in {DEADLINE_SECONDS} s"
                )
            sleep(0.1)
        group = f"/aws/lambda/{shim.name}"
        found = client("logs").filter_log_events(logGroupName=group)
    return "\n".join(event["message"] for event in found["events"])


def run_container(shim: InShim) -> str:
    """Empty the queue with the image; return the log."""
    arguments = f"--drain {shim.settings}"
    return run_tool("container", "--func=worker", f"--args={arguments}")


def run_like_container(shim: InShim) -> str:
    """Empty the queue with the image's command on its build; return the log."""
    dockerfile = images.DOCKERFILE.read_text(encoding="utf-8")
    entry = dockerfile.partition("\nENTRYPOINT ")[2].splitlines()[0]
    words = json.loads(entry)
    arguments = words[words.index("python") + 1 :]
    variables = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("AWS_", "DB_"))
    }
    return run_command(
        [sys.executable, *arguments, "--drain", *shim.settings.split()],
        cwd=BUILD / "local" / "worker",
        env=variables,
    )


def run_tool(*arguments: str) -> str:
    """Run another command of the tools; return its output."""
    return run_command([sys.executable, "-m", "tools", *arguments], cwd=ROOT)


def run_command(command: list[str], **options: Any) -> str:
    """Run a command; return its output.

    Raises:
        UserError: it failed.
    """
    result = subprocess.run(command, capture_output=True, text=True, **options)
    output = f"{result.stdout}{result.stderr}"
    if result.returncode != 0:
        raise UserError(f"{' '.join(command)} failed:\n{output}")
    return output


def make_page(states: dict[str, EndState], has_engine: bool) -> str:
    """Return the end states side by side in Markdown, with the verdict."""
    facts = [each.facts() for each in states.values()]
    lines = [[name, *(each[name] for each in facts)] for name in facts[0]]
    head = [["", *states], ["---"] * (len(states) + 1)]
    widths = [max(map(len, column)) for column in zip(*head, *lines, strict=True)]
    table = "\n".join(
        f"| {' | '.join(map(str.ljust, line, widths))} |" for line in [*head, *lines]
    )
    different = [name for name, *values in lines if len(set(values)) > 1]
    verdict = f"Different: {', '.join(different)}." if different else "All are equal."
    note = (
        "The container is the image."
        if has_engine
        else "No Docker engine answers: instead of the container, the image's command "
        "ran on the image's build."
    )
    return f"{table}\n\n{verdict} {note}\n"
