"""Run functions in the shim from their trigger to the end of the message."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any
from uuid import uuid4

from context import CustomContext
from lib.events import S3Object
from tests.context import void_context
from tools import queues, saved_events, shim_resources
from tools.counts import count
from tools.deploy_config import Config
from tools.environment import client, enter
from tools.errors import UserError
from tools.outcomes import read_outcomes
from tools.project import ROOT

DEADLINE_SECONDS = 60


def check(func: str) -> int:
    """Check functions one after the other; return 0.

    Args:
        func: one function, or empty for all.

    Raises:
        UserError: there is no such function, or it has no saved event, the shim is not
            running, or a function has failed.
    """
    chosen = saved_events.choose_functions(func)
    environment = enter("")
    specs: dict[str, Config] = shim_resources.update()["functions"]
    for name in chosen:
        pending, dead_letter = (
            environment.find_queue_url(name, kind) for kind in queues.KINDS
        )
        with counted_rows(name, specs[name]) as objects, no_failures(name, dead_letter):
            objects += trigger(name, specs[name], pending)
            drain(name)
            wait_until_empty(name, pending)
    return 0


def trigger(func: str, function: Config, pending: str) -> list[S3Object]:
    """Trigger a function with its saved event; return the objects that were put.

    The objects that the event names are put into the bucket. For a function that
    objects do not trigger, the event is then published or sent.

    Args:
        func: the function.
        function: its specification.
        pending: URL of its queue.
    """
    saved = filter(None, [saved_events.main_event(func)])
    bucket, s3 = os.environ["BUCKET"], client("s3")
    [event] = saved_events.put_objects([*saved], bucket, s3).events
    if function["trigger"] == "bucket":
        return [find_version(each, s3) for each in event.objects]
    # a new ID, so that a second check within five minutes is not dropped
    fifo = {"MessageGroupId": func, "MessageDeduplicationId": str(uuid4())}
    group = fifo if function["fifo"] else {}
    if function["topic_arn"] and not function["topic"].startswith("arn:"):
        client("sns").publish(
            TopicArn=function["topic_arn"], Message=event.body, **group
        )
    else:
        client("sqs").send_message(QueueUrl=pending, MessageBody=event.body, **group)
    return []


def find_version(s3_object: S3Object, s3: Any) -> S3Object:
    """Return an object with its current version."""
    found = s3.head_object(Bucket=s3_object.bucket, Key=s3_object.key)
    return S3Object(s3_object.bucket, s3_object.key, version=found["VersionId"])


def drain(func: str) -> None:
    """Run a poller until the function's queue is empty, and show its log.

    Raises:
        UserError: it failed, or a message did.
    """
    run = ("run", f"--func={func}", "--run-args=--drain")
    command = [sys.executable, "-m", "tools", *run]
    result = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    print(result.stdout, end="", flush=True)
    if result.returncode != 0:
        raise UserError("the poller failed, see above")
    if not all(each.is_done for each in read_outcomes(result.stdout.splitlines())):
        raise UserError(f"a message of {func} failed, see above")


def wait_until_empty(func: str, pending: str) -> None:
    """Wait until no message is waiting or in flight, as at another poller.

    Raises:
        UserError: the deadline passes.
    """
    deadline = monotonic() + DEADLINE_SECONDS
    while any(queues.count_messages(pending).values()):
        if monotonic() > deadline:
            raise UserError(f"{func} has messages left after {DEADLINE_SECONDS} s")
        threading.Event().wait(0.1)


@contextmanager
def no_failures(func: str, dead_letter: str) -> Iterator[None]:
    """Check that no message becomes a dead letter in a `with` block.

    Raises:
        UserError: one does.
    """
    before = sum(queues.count_messages(dead_letter).values())
    yield
    if sum(queues.count_messages(dead_letter).values()) > before:
        raise UserError(f"{func} has a new dead letter: see 'make queue FUNC={func}'")


@contextmanager
def counted_rows(func: str, function: Config) -> Iterator[list[S3Object]]:
    """Check that all rows of objects are loaded in a `with` block.

    It yields a list for these objects. A function without the setting `table` loads
    none, and its message only has to succeed.

    Raises:
        UserError: rows are missing.
    """
    objects: list[S3Object] = []
    table = void_context(function=func).var.table if function["database"] else ""
    with CustomContext() as context:
        if not table:
            yield objects
            print(f"{func} has processed its event")
            return
        before = count_rows(context, table)
        yield objects
        if not objects:
            print(f"{func} has processed its event")
            return
        expected = sum(count_lines(each) for each in objects)
        ledger = [count_loaded(context, each) for each in objects]
        added = count_rows(context, table) - before
    if sum(ledger) != expected or added < expected:
        raise UserError(
            f"{expected} rows in, but {table} has {added} more, and the ledger says "
            f"{sum(ledger)}"
        )
    rows = count(expected, "row")
    print(f"{rows} in, {rows} out: {table} has {before + added}")


def count_lines(s3_object: S3Object) -> int:
    """Return the number of lines of an object."""
    body = client("s3").get_object(**s3_object.request)["Body"].read()
    return len(body.splitlines())


def count_loaded(context: CustomContext, s3_object: S3Object) -> int:
    """Return how many rows the ledger says were loaded from an object."""
    statement = "SELECT loaded FROM loads WHERE object_id = %s"
    return sum(loaded for (loaded,) in context.rds.query(statement, (s3_object.id,)))


def count_rows(context: CustomContext, table: str) -> int:
    """Return the number of rows of a table."""
    return int(context.rds.query(f"SELECT count(*) FROM {table}")[0][0])
