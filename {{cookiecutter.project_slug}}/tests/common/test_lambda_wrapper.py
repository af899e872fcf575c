"""The Lambda wrapper: batches of messages in, batch item failures out."""

import logging
import os
import subprocess
import sys
from collections import deque
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import lambda_wrapper
from context import CustomContext
from tests.context import bare_context
from tests.mock.aws import MockBoto3
from tests.mock.rds import MockRds

ROOT = Path(__file__).parents[2]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run a function that fails on `bad`; return the bodies that it received."""
    bodies: list[str] = []

    def run(event: str, context: CustomContext) -> None:
        bodies.append(event)
        assert context.time_remaining() == 7.5
        if event == "bad":
            raise ValueError("bad message")

    context = bare_context()
    monkeypatch.setattr(lambda_wrapper, "run", run)
    monkeypatch.setattr(lambda_wrapper, "warm_context", lambda: context)
    return bodies


def aws_context(milliseconds: int) -> SimpleNamespace:
    """Return AWS's context object with this time left."""
    return SimpleNamespace(get_remaining_time_in_millis=lambda: milliseconds)


def handle(*bodies: str, groups: dict[str, str] | None = None) -> dict[str, Any]:
    """Invoke the handler with a batch of messages."""
    records = [
        {
            "messageId": f"id of {body}",
            "body": body,
            "attributes": {"MessageGroupId": groups[body]} if groups else {},
            "eventSource": "aws:sqs",
        }
        for body in bodies
    ]
    return lambda_wrapper.handler({"Records": records}, aws_context(7500))


def test_batch_is_processed(seen: list[str]) -> None:
    assert handle("a", "b", "c") == {"batchItemFailures": []}
    assert seen == ["a", "b", "c"]


def test_only_failed_message_returns(seen: list[str]) -> None:
    assert handle("a", "bad", "c") == {
        "batchItemFailures": [{"itemIdentifier": "id of bad"}]
    }
    assert seen == ["a", "bad", "c"]


def test_fifo_group_stops_at_first_failure(seen: list[str]) -> None:
    groups = {"a": "1", "bad": "1", "c": "1", "d": "2"}
    failed = handle(*groups, groups=groups)["batchItemFailures"]
    assert [each["itemIdentifier"] for each in failed] == ["id of bad", "id of c"]
    assert seen == ["a", "bad", "d"]


def test_malformed_record_fails_alone(seen: list[str]) -> None:
    event = {"Records": [{"messageId": "m"}, {"messageId": "n", "body": "b"}]}
    response = lambda_wrapper.handler(event, aws_context(7500))
    assert response == {"batchItemFailures": [{"itemIdentifier": "m"}]}


def test_message_without_time_to_start_returns(seen: list[str]) -> None:
    times = iter([7500, 7500, 4999, 4999])
    clock = SimpleNamespace(get_remaining_time_in_millis=lambda: next(times))
    event = {"Records": [{"messageId": each, "body": each} for each in "abc"]}
    assert lambda_wrapper.handler(event, clock) == {
        "batchItemFailures": [{"itemIdentifier": "b"}, {"itemIdentifier": "c"}]
    }
    assert seen == ["a"]


def test_repeated_invocation_processes_once(seen: list[str]) -> None:
    """Lambda may repeat an invocation: message and receipt handle are the same."""
    record = {"messageId": "m", "receiptHandle": "r1", "body": "a"}
    for _ in range(2):
        response = lambda_wrapper.handler({"Records": [record]}, aws_context(7500))
        assert response == {"batchItemFailures": []}
    assert seen == ["a"]


def test_redelivered_message_is_processed_again(seen: list[str]) -> None:
    """A redelivered message has another receipt handle."""
    for receipt in ("r2", "r3"):
        record = {"messageId": "m", "receiptHandle": receipt, "body": "a"}
        lambda_wrapper.handler({"Records": [record]}, aws_context(7500))
    assert seen == ["a", "a"]


def test_memory_of_done_messages_is_bounded(
    seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lambda_wrapper._done.maxlen
    monkeypatch.setattr(lambda_wrapper, "_done", deque(maxlen=3))
    for number in range(9):
        record = {"messageId": "m", "receiptHandle": str(number), "body": "a"}
        lambda_wrapper.handler({"Records": [record]}, aws_context(7500))
    assert len(lambda_wrapper._done) == 3


def test_report_not_json_does_not_fail_message(
    monkeypatch: pytest.MonkeyPatch, seen: list[str]
) -> None:
    monkeypatch.setattr(lambda_wrapper, "run", lambda event, context: {"at": object()})
    assert handle("a") == {"batchItemFailures": []}


def test_invocations_share_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    boto3 = MockBoto3()
    make_context = partial(CustomContext, boto3=boto3, rds=MockRds())
    monkeypatch.setattr(lambda_wrapper, "CustomContext", make_context)
    warm_context = cache(lambda_wrapper.warm_context.__wrapped__)
    monkeypatch.setattr(lambda_wrapper, "warm_context", warm_context)
    monkeypatch.setattr(lambda_wrapper, "run", lambda event, context: str(context.s3))
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.root.level)
    for bodies in ("ab", "c"):
        assert handle(*bodies) == {"batchItemFailures": []}
    assert boto3.created == ["s3"]


def test_handler_imports_no_heavy_library() -> None:
    """Neither boto3, nor a driver, nor the settings: cold starts would take longer."""
    program = (
        "import sys, lambda_wrapper;"
        "print({'boto3', 'psycopg', 'pymysql', 'configargparse'} & set(sys.modules))"
    )
    paths = [str(ROOT / "src" / "common"), str(ROOT / "src")]
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "set()"
