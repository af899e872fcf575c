"""The Lambda wrapper: batches of messages in, batch item failures out."""

import os
import subprocess
import sys
from asyncio import CancelledError
from datetime import date
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

import lambda_wrapper
import log
from context import CustomContext
from message import Message
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
    monkeypatch.setattr(lambda_wrapper, "_done", {})
    monkeypatch.setattr(lambda_wrapper, "run", run)
    monkeypatch.setattr(lambda_wrapper, "warm_context", lambda: context)
    return bodies


def aws_context(milliseconds: int) -> SimpleNamespace:
    """Return AWS's context object with this time left."""
    return SimpleNamespace(get_remaining_time_in_millis=lambda: milliseconds)


def handle(
    *bodies: str, groups: dict[str, str] | None = None, queue: str = "pending"
) -> dict[str, Any]:
    """Invoke the handler with a batch of messages."""
    records = [
        {
            "messageId": f"id of {body}",
            "body": body,
            "attributes": {"MessageGroupId": groups[body]} if groups else {},
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:eu-west-1:111122223333:{queue}",
        }
        for body in bodies
    ]
    return lambda_wrapper.handler({"Records": records}, aws_context(7500))


class Panic(BaseException):
    """An error like the `PanicException` of extension modules in Rust."""


def test_batch_is_processed(seen: list[str]) -> None:
    assert handle("a", "b", "c") == {"batchItemFailures": []}
    assert seen == ["a", "b", "c"]


def test_function_never_sees_test_of_s3(
    seen: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "function")
    body = '{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "raw"}'
    assert handle("a", body, "b") == {"batchItemFailures": []}
    assert seen == ["a", "b"]
    assert "is a test of S3: deleted" in caplog.text


def test_context_has_current_message(
    seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    messages: list[Message | None] = []
    monkeypatch.setattr(
        lambda_wrapper, "run", lambda _, context: messages.append(context.message)
    )
    handle("a", "b", groups={"a": "1", "b": "2"})
    assert [each and (each.id, each.body, each.group) for each in messages] == [
        ("id of a", "a", "1"),
        ("id of b", "b", "2"),
    ]


def test_denied_request_names_line_to_add(
    seen: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def run(event: str, context: CustomContext) -> None:
        resource = "arn:aws:s3:::other/in/a.csv"
        text = f"not authorized to perform: s3:PutObject on resource: {resource}"
        error = {"Error": {"Code": "AccessDenied", "Message": text}}
        raise ClientError(error, "PutObject")

    monkeypatch.setattr(lambda_wrapper, "run", run)
    handle("a")
    assert "may not s3:PutObject: write `writes: [in/]" in caplog.text
    context = bare_context("--bucket=raw")
    monkeypatch.setattr(lambda_wrapper, "warm_context", lambda: context)
    handle("b")
    assert "may not s3:PutObject: write `allow: [" in caplog.text


def test_only_failed_message_returns(seen: list[str]) -> None:
    assert handle("a", "bad", "c") == {
        "batchItemFailures": [{"itemIdentifier": "id of bad"}]
    }
    assert seen == ["a", "bad", "c"]


def test_fifo_group_stops_at_first_failure(
    seen: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    groups = {"a": "1", "bad": "1", "c": "1", "d": "2"}
    failed = handle(*groups, groups=groups, queue="q.fifo")["batchItemFailures"]
    assert [each["itemIdentifier"] for each in failed] == ["id of bad", "id of c"]
    assert seen == ["a", "bad", "d"]
    line = "message id of c not started: an earlier message of its group failed"
    assert line in caplog.messages


def test_group_of_standard_queue_goes_on(seen: list[str]) -> None:
    groups = {"a": "1", "bad": "1", "c": "1", "d": "2"}
    failed = handle(*groups, groups=groups)["batchItemFailures"]
    assert failed == [{"itemIdentifier": "id of bad"}]
    assert seen == ["a", "bad", "c", "d"]


@pytest.mark.parametrize("error", [SystemExit(3), CancelledError(), Panic("oops")])
def test_any_error_fails_only_its_message(
    seen: list[str], monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def run(event: str, context: CustomContext) -> None:
        if event == "b":
            raise error

    monkeypatch.setattr(lambda_wrapper, "run", run)
    assert handle(*"abc") == {"batchItemFailures": [{"itemIdentifier": "id of b"}]}


def test_malformed_record_fails_alone(seen: list[str]) -> None:
    event = {"Records": [{"messageId": "m"}, {"messageId": "n", "body": "b"}]}
    response = lambda_wrapper.handler(event, aws_context(7500))
    assert response == {"batchItemFailures": [{"itemIdentifier": "m"}]}


def test_message_without_time_is_not_started(
    seen: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    times = iter([5000, 7500, 4999, 4999])
    clock = SimpleNamespace(get_remaining_time_in_millis=lambda: next(times))
    event = {"Records": [{"messageId": each, "body": each} for each in "abc"]}
    assert lambda_wrapper.handler(event, clock) == {
        "batchItemFailures": [{"itemIdentifier": "b"}, {"itemIdentifier": "c"}]
    }
    assert seen == ["a"]
    lines = [record for record in caplog.records if "not started" in record.msg]
    assert [line.__dict__["fields"]["messageId"] for line in lines] == ["b", "c"]
    assert [line.__dict__["metrics"] for line in lines] == [{"notStarted": 1}] * 2


def test_done_message_delivered_again_is_deleted(
    seen: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Lambda may repeat an invocation, or fail to delete a message."""
    caplog.set_level("INFO", "function")
    for receipt in ("r1", "r1", "r2"):
        record = {"messageId": "m", "receiptHandle": receipt, "body": "a"}
        response = lambda_wrapper.handler({"Records": [record]}, aws_context(7500))
        assert response == {"batchItemFailures": []}
    assert seen == ["a"]
    assert caplog.messages.count("message m was done before: deleted") == 2


def test_failed_message_is_processed_again(seen: list[str]) -> None:
    for receipt in ("r1", "r2"):
        record = {"messageId": "m", "receiptHandle": receipt, "body": "bad"}
        lambda_wrapper.handler({"Records": [record]}, aws_context(7500))
    assert seen == ["bad", "bad"]


def test_memory_of_done_messages_is_bounded(
    seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lambda_wrapper, "MAX_REMEMBERED", 3)
    for number in range(9):
        record = {"messageId": str(number), "receiptHandle": "r", "body": "a"}
        lambda_wrapper.handler({"Records": [record]}, aws_context(7500))
    assert list(lambda_wrapper._done) == ["6", "7", "8"]


@pytest.mark.parametrize("report", [{"at": object()}, {date(2026, 1, 5): 1}])
def test_report_not_json_does_not_fail_message(
    monkeypatch: pytest.MonkeyPatch, seen: list[str], report: Any
) -> None:
    monkeypatch.setattr(lambda_wrapper, "run", lambda event, context: report)
    assert handle("a") == {"batchItemFailures": []}


def test_error_of_the_log_does_not_fail_message(
    monkeypatch: pytest.MonkeyPatch, seen: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(log, "outcome", lambda *_: 1 / 0)
    assert handle("a") == {"batchItemFailures": []}
    assert "the outcome of message id of a cannot be logged" in caplog.text


def test_invocations_share_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    boto3 = MockBoto3()
    make_context = partial(CustomContext, boto3=boto3, rds=MockRds())
    monkeypatch.setattr(lambda_wrapper, "CustomContext", make_context)
    warm_context = cache(lambda_wrapper.warm_context.__wrapped__)
    monkeypatch.setattr(lambda_wrapper, "warm_context", warm_context)
    monkeypatch.setattr(lambda_wrapper, "run", lambda event, context: str(context.s3))
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
