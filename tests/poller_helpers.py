"""Run a misbehaving function on queues of its own, without a database."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from typing import Any

import boto3

from baking import Project, Running, bake, clean_environment, free_port, wait_until

FUNCTION = Path(__file__).parent / "functions" / "misbehaves.py"
KEYS = {
    "AWS_ACCESS_KEY_ID": "shim",
    "AWS_SECRET_ACCESS_KEY": "shim",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_REGION": "eu-west-1",
}


class Queue:
    """A queue with a dead-letter queue, and the attempts at its messages.

    Args:
        sqs: a boto3 client.
        name: of the queue.
        attempts: file to which the function appends the names of its messages.
        visibility: the visibility timeout in seconds.
        has_dead_letters: whether messages become dead letters after three receives.
    """

    def __init__(
        self,
        sqs: Any,
        name: str,
        attempts: Path,
        visibility: int,
        has_dead_letters: bool = True,
    ) -> None:
        self._sqs = sqs
        self.name = name
        self.file = attempts
        self.file.touch()
        fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        self._dead = self._create(f"dead-{name}", fifo)
        arn = sqs.get_queue_attributes(QueueUrl=self._dead, AttributeNames=["QueueArn"])
        target = arn["Attributes"]["QueueArn"]
        policy = {"deadLetterTargetArn": target, "maxReceiveCount": 3}
        timeout = {"VisibilityTimeout": str(visibility)}
        redrive = {"RedrivePolicy": json.dumps(policy)} if has_dead_letters else {}
        self.url = self._create(name, fifo | timeout | redrive)

    def _create(self, name: str, attributes: dict[str, str]) -> str:
        created = self._sqs.create_queue(QueueName=name, Attributes=attributes)
        return str(created["QueueUrl"])

    def send(self, *names: str, group: str = "", **message: Any) -> None:
        """Send messages to the function, which differ in their names only."""
        for name in names:
            fields = {"MessageGroupId": group} if group else {}
            if self.name.endswith(".fifo"):
                fields["MessageDeduplicationId"] = name
            body = json.dumps({"name": name, **message})
            self._sqs.send_message(QueueUrl=self.url, MessageBody=body, **fields)

    def attempts(self) -> list[str]:
        """Return the names of the messages that were started, in their order."""
        return self.file.read_text(encoding="utf-8").split()

    def is_empty(self) -> bool:
        """Return whether no message is visible, in flight or delayed."""
        return self._count(self.url) == 0

    def dead(self) -> list[str]:
        """Return the names of the dead letters, which stay where they are."""
        arguments = {"QueueUrl": self._dead, "MaxNumberOfMessages": 10}
        names: list[str] = []
        while found := self._sqs.receive_message(**arguments).get("Messages"):
            names += [json.loads(each["Body"])["name"] for each in found]
        return sorted(names)

    def delete(self) -> None:
        """Delete the queue."""
        self._sqs.delete_queue(QueueUrl=self.url)

    def _count(self, url: str) -> int:
        names = [
            f"ApproximateNumberOfMessages{part}"
            for part in ("", "NotVisible", "Delayed")
        ]
        found = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)
        return sum(int(found["Attributes"][name]) for name in names)


class Site:
    """A project with the misbehaving function, and an emulator of SQS."""

    def __init__(self, project: Project, url: str) -> None:
        self.project = project
        self.url = url
        self._sqs = boto3.client(
            "sqs",
            endpoint_url=url,
            region_name=KEYS["AWS_REGION"],
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )
        self._numbers = count(1)

    def queue(
        self, visibility: int = 30, suffix: str = "", has_dead_letters: bool = True
    ) -> Queue:
        """Create a queue."""
        name = f"queue-{next(self._numbers)}{suffix}"
        attempts = self.project.path / f"{name}.attempts"
        return Queue(self._sqs, name, attempts, visibility, has_dead_letters)

    def start(
        self, queue: Queue, *words: str, limits: str = "", **environment: str
    ) -> Running:
        """Start a poller of a queue.

        Args:
            queue: the queue.
            *words: settings on the command line.
            limits: arguments of `ulimit`.
            **environment: settings in the environment.
        """
        program = ".build/local/misbehaves/local_wrapper.py"
        script = f'{f"ulimit {limits};" if limits else ""} exec "$0" "$@"'
        variables = {
            "AWS_ENDPOINT_URL": self.url,
            "READ_QUEUE": queue.name,
            "ATTEMPTS": str(queue.file),
            "POLL_INTERVAL": "1",
        }
        return Running(
            self.project.path,
            ["bash", "-c", script, ".venv/bin/python", program, *words],
            clean_environment(KEYS | variables | environment),
        )

    def drain(self, queue: Queue, *words: str) -> str:
        """Run a poller until its queue is empty; return its output."""
        with self.start(queue, "--drain", "--retry_delay=0", *words) as draining:
            draining.wait_until(lambda: draining.process.poll() is not None)
        assert draining.process.returncode == 0, draining.output
        return draining.output

    def restart_until_empty(self, queue: Queue, *words: str) -> list[int]:
        """Run a poller, again whenever it dies; return its exit codes."""
        codes = []
        while not queue.is_empty():
            with self.start(queue, "--retry_delay=0", *words) as poller:
                wait_until(
                    lambda: poller.process.poll() is not None or queue.is_empty(),
                    poller.output,
                )
            codes.append(poller.process.returncode)
        return codes


@contextmanager
def misbehaving_site(folder: Path) -> Iterator[Site]:
    """Bake and build a project with the function, and run an emulator for it."""
    project = bake(folder).share_installs()
    shutil.copy(FUNCTION, project.path / "src" / "func")
    shutil.copy(FUNCTION.with_name("clients.py"), project.path / "src" / "lib")
    (project.path / "config" / "misbehaves.yml").write_text("{}\n", encoding="utf-8")
    project.make("build", "TARGET=ecs")
    port = free_port()
    settings = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port)}
    more = {"MINISTACK_REGION": KEYS["AWS_REGION"], "TMPDIR": str(folder)}
    services = {"IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0"}
    with Running(
        project.path,
        [".venv-shim/bin/python", "-m", "ministack"],
        clean_environment(settings | more | services | KEYS),
    ) as emulator:
        emulator.wait_until(lambda: _answers(port))
        yield Site(project, f"http://127.0.0.1:{port}")


def _answers(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/_ministack/health")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def count_attempts(queue: Queue) -> dict[str, int]:
    """Return how often each message was started."""
    return dict(Counter(queue.attempts()))
