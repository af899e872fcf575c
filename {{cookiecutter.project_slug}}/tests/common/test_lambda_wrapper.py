"""The function as a Lambda: batches in, partial batch responses out."""

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
    """Put a function into the wrapper that fails on `bad`; return what it sees."""
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


def clock(milliseconds: int) -> SimpleNamespace:
    """Return what AWS's context object tells of the time left."""
    return SimpleNamespace(get_remaining_time_in_millis=lambda: milliseconds)


def handle(*bodies: str, groups: dict[str, str] | None = None) -> dict[str, Any]:
    """Hand a batch to the wrapper."""
    records = [
        {
            "messageId": f"id of {body}",
            "body": body,
            "attributes": {"MessageGroupId": groups[body]} if groups else {},
            "eventSource": "aws:sqs",
        }
        for body in bodies
    ]
    return lambda_wrapper.handler({"Records": records}, clock(7500))


def test_every_message_of_a_batch_is_handled(seen: list[str]) -> None:
    assert handle("a", "b", "c") == {"batchItemFailures": []}
    assert seen == ["a", "b", "c"]


def test_only_the_message_that_fails_comes_back(seen: list[str]) -> None:
    assert handle("a", "bad", "c") == {
        "batchItemFailures": [{"itemIdentifier": "id of bad"}]
    }
    assert seen == ["a", "bad", "c"]


def test_fifo_group_stops_at_its_first_failure(seen: list[str]) -> None:
    groups = {"a": "1", "bad": "1", "c": "1", "d": "2"}
    failed = handle(*groups, groups=groups)["batchItemFailures"]
    assert [each["itemIdentifier"] for each in failed] == ["id of bad", "id of c"]
    assert seen == ["a", "bad", "d"]


def test_malformed_record_fails_alone(seen: list[str]) -> None:
    event = {"Records": [{"messageId": "m"}, {"messageId": "n", "body": "b"}]}
    answer = lambda_wrapper.handler(event, clock(7500))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m"}]}


def test_message_that_is_not_begun_in_time_comes_back(seen: list[str]) -> None:
    times = iter([7500, 7500, 4999, 4999])
    aws_context = SimpleNamespace(get_remaining_time_in_millis=lambda: next(times))
    event = {"Records": [{"messageId": each, "body": each} for each in "abc"]}
    assert lambda_wrapper.handler(event, aws_context) == {
        "batchItemFailures": [{"itemIdentifier": "b"}, {"itemIdentifier": "c"}]
    }
    assert seen == ["a"]


def test_invocation_that_lambda_repeats_does_the_work_once(seen: list[str]) -> None:
    record = {"messageId": "m", "receiptHandle": "r1", "body": "a"}
    for _ in range(2):
        answer = lambda_wrapper.handler({"Records": [record]}, clock(7500))
        assert answer == {"batchItemFailures": []}
    assert seen == ["a"]


def test_message_that_is_delivered_again_is_never_swallowed(seen: list[str]) -> None:
    for receipt in ("r2", "r3"):
        record = {"messageId": "m", "receiptHandle": receipt, "body": "a"}
        lambda_wrapper.handler({"Records": [record]}, clock(7500))
    assert seen == ["a", "a"]


def test_memory_of_what_is_done_has_a_bound(
    seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lambda_wrapper._done.maxlen
    monkeypatch.setattr(lambda_wrapper, "_done", deque(maxlen=3))
    for number in range(9):
        record = {"messageId": "m", "receiptHandle": str(number), "body": "a"}
        lambda_wrapper.handler({"Records": [record]}, clock(7500))
    assert len(lambda_wrapper._done) == 3


def test_report_that_is_no_json_does_not_bring_the_batch_back(
    monkeypatch: pytest.MonkeyPatch, seen: list[str]
) -> None:
    monkeypatch.setattr(lambda_wrapper, "run", lambda event, context: {"at": object()})
    assert handle("a") == {"batchItemFailures": []}


def test_invocations_share_a_context_and_the_clients_that_the_first_one_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    boto3 = MockBoto3()
    make = partial(CustomContext, boto3=boto3, rds=MockRds())
    monkeypatch.setattr(lambda_wrapper, "CustomContext", make)
    warm_context = cache(lambda_wrapper.warm_context.__wrapped__)
    monkeypatch.setattr(lambda_wrapper, "warm_context", warm_context)
    monkeypatch.setattr(lambda_wrapper, "run", lambda event, context: str(context.s3))
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.root.level)
    for bodies in ("ab", "c"):
        assert handle(*bodies) == {"batchItemFailures": []}
    assert boto3.made == ["s3"]


def test_import_loads_neither_boto3_nor_driver_nor_settings() -> None:
    program = (
        "import sys, lambda_wrapper;"
        "print({'boto3', 'psycopg', 'pymysql', 'configargparse'} & set(sys.modules))"
    )
    paths = [str(ROOT / "src" / "common"), str(ROOT / "src")]
    answer = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == "set()"
