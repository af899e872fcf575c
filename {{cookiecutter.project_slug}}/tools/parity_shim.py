"""Resources of the shim that one environment of `make parity` has for itself.

They are a bucket, the function's queues and those that it sends to, an IAM role with
its permissions, and a database. All are named after the environment.
"""

import os
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from context import CustomContext
from tests.context import void_context
from tests.shim import bootstrap
from tools import (
    end_state,
    function_specs,
    parity_database,
    saved_events,
    shim_resources,
)
from tools.deploy_config import Config
from tools.end_state import VERSION, EndState, Neutral, Tables
from tools.environment import client
from tools.outcomes import Outcome
from tools.saved_events import SavedEvent

# Longer than a batch takes: behind a Lambda, no heartbeat extends it.
VISIBILITY_SECONDS = 15
QUEUED = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
)


class ParityShim:
    """The resources; a context manager that creates and deletes them.

    Its queue holds the function's saved events, and its bucket the objects that they
    name.

    Args:
        func: the function.
        name: of the environment, such as `parity-lambda`.
        saved: the saved events.
    """

    def __init__(self, func: str, name: str, saved: list[SavedEvent]) -> None:
        self.func = func
        self.name = name
        self.spec = bootstrap.fill_in(
            function_specs.resolve("", project=name), os.environ["AWS_REGION"]
        )
        self.function: Config = self.spec["functions"][func]
        self.bucket: str = self.spec["bucket"]
        self.database = name.replace("-", "_") if self.function["database"] else ""
        # allow and environment name resources that the environments share
        shared: Config = shim_resources.update()["functions"][func]
        own = ("BUCKET", "SEND_QUEUES")
        self.variables: dict[str, str] = {
            name: (self.function if name in own else shared)["variables"][name]
            for name in shared["variables"]
        }
        self.statements: list[Any] = [
            statement
            for each in (self.function, shared)
            for statement in each["statements"]
            if statement["Sid"].startswith("Allow") == (each is shared)
        ]
        self.since = datetime.now(UTC)
        self.sent: dict[str, str] = {}  # names of events, by ID of their message
        self._saved = saved
        self._before: dict[str, bytes] = {}
        self._neutral = Neutral({})

    def __enter__(self) -> "ParityShim":
        self._delete_all()  # of a run that was killed
        sqs, s3 = client("sqs"), client("s3")
        bootstrap.create_bucket(self.bucket, s3, os.environ["AWS_REGION"])
        for func in {self.func, *self.function["sends_to"]}:
            bootstrap.create_queues(self.spec["functions"][func], sqs)
        self.url = self._queue_url(self.function["queue"])
        visibility = {"VisibilityTimeout": str(VISIBILITY_SECONDS)}
        sqs.set_queue_attributes(QueueUrl=self.url, Attributes=visibility)
        if self.database:
            prepare_database(self.func, self.database)
        saved, states = saved_events.put_objects(self._saved, self.bucket, s3)
        self._neutral = Neutral({f"{self.name}-": "", **dict.fromkeys(states, VERSION)})
        self._before = end_state.read_objects(self.bucket, s3)
        self._send(saved)
        return self

    def __exit__(self, *exception: object) -> None:
        self._delete_all()

    @property
    def settings(self) -> list[str]:
        """The settings of a poller that empties the queue, as a command line."""
        flags = {
            "read_queue": self.function["queue"],
            "bucket": self.bucket,
            "send_queues": self.variables.get("SEND_QUEUES"),
            "db_name": self.database,
            "retry_delay": "0",
        }
        given = [f"--{name}={value}" for name, value in flags.items() if value]
        return ["--drain", *given]

    @property
    def queue_arn(self) -> str:
        """ARN of the queue."""
        return bootstrap.queue_arn(self.url, client("sqs"))

    def is_empty(self) -> bool:
        """Return whether no message is waiting or in flight."""
        found = client("sqs").get_queue_attributes(
            QueueUrl=self.url, AttributeNames=list(QUEUED)
        )
        return not any(int(found["Attributes"][name]) for name in QUEUED)

    def has_all(self, outcomes: list[Outcome]) -> bool:
        """Return whether each message is done, or has failed as often as it may."""
        done = {each.message_id for each in outcomes if each.is_done}
        failed = Counter(each.message_id for each in outcomes if not each.is_done)
        return all(
            each in done or failed[each] >= bootstrap.MAX_RECEIVES for each in self.sent
        )

    def end_state(self, outcomes: list[Outcome]) -> EndState:
        """Return the end state, given the outcomes that the environment has logged."""
        dead = self._receive(self.function["dead_letter"])
        ended = dict.fromkeys(self.sent.values(), "dead letter")
        for each in outcomes:
            if each.is_done and each.message_id in self.sent:
                report = self._neutral.report(each.report)
                ended[self.sent[each.message_id]] = report
        after = end_state.read_objects(self.bucket, client("s3"))
        return EndState(
            ended,
            self._neutral.objects(end_state.changed(self._before, after)),
            {
                func: self._neutral.texts(
                    each["Body"]
                    for each in self._receive(self.spec["functions"][func]["queue"])
                )
                for func in self.function["sends_to"]
            },
            self._neutral.tables(self.read_tables()),
            messages=len(self.sent),
            failures=sum(not each.is_done for each in outcomes),
            dead=len(dead),
        )

    def read_tables(self) -> Tables:
        """Return the rows of the database; none for a function without."""
        if not self.database:
            return {}
        return read_tables(self.func, self.database, self.since)

    def _send(self, saved: list[SavedEvent]) -> None:
        for name, body in saved:
            fifo = {"MessageGroupId": name, "MessageDeduplicationId": name}
            options = fifo if self.function["fifo"] else {}
            sent = client("sqs").send_message(
                QueueUrl=self.url, MessageBody=body, **options
            )
            self.sent[sent["MessageId"]] = name

    def _receive(self, queue: str) -> list[dict[str, Any]]:
        """Receive and delete all messages of a queue."""
        sqs, url = client("sqs"), self._queue_url(queue)
        messages: list[dict[str, Any]] = []
        while found := sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=60
        ).get("Messages"):
            for each in found:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
            messages += found
        return messages

    def _queue_url(self, name: str) -> str:
        return str(client("sqs").get_queue_url(QueueName=name)["QueueUrl"])

    def _delete_all(self) -> None:
        sqs, s3 = client("sqs"), client("s3")
        prefix = f"{self.name}-"
        for url in sqs.list_queues(QueueNamePrefix=prefix).get("QueueUrls", []):
            sqs.delete_queue(QueueUrl=url)
        if self.bucket in [each["Name"] for each in s3.list_buckets()["Buckets"]]:
            delete_bucket(self.bucket, s3)
        if self.database:
            parity_database.drop(self.database)


def prepare_database(func: str, name: str) -> None:
    """Create a database with the tables, and the rows of `tests/data/<func>.sql`."""
    parity_database.create(name)
    rows = saved_events.DATA / f"{func}.sql"
    if rows.is_file():
        parity_database.run_script(name, rows.read_text(encoding="utf-8"))


def read_tables(func: str, name: str, since: datetime) -> Tables:
    """Return the rows of a database, see `end_state.read_tables`."""
    load_column = void_context(function=func).var.load_column
    with CustomContext(args=[f"--db_name={name}"]) as context:
        return end_state.read_tables(context.rds, since, load_column)


def delete_bucket(name: str, s3: Any) -> None:
    """Delete a bucket with all versions of its objects."""
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=name):
        for each in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
            s3.delete_object(Bucket=name, Key=each["Key"], VersionId=each["VersionId"])
    s3.delete_bucket(Bucket=name)
