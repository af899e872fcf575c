"""The function as a Lambda: batches in, partial batch responses out."""

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

import lambda_wrapper
from context import CustomContext
from tests.context import void_context

ROOT = os.path.dirname(os.path.dirname(__file__))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Put a function into the wrapper that fails on `bad`; return what it sees."""
    bodies: list[str] = []

    def run(event: str, context: CustomContext) -> None:
        bodies.append(event)
        assert context.time_remaining() == 7.5
        if event == "bad":
            raise ValueError("bad message")

    monkeypatch.setattr(lambda_wrapper, "run", run)
    monkeypatch.setattr(lambda_wrapper, "warm_context", void_context)
    return bodies


def handle(*bodies: str) -> dict[str, Any]:
    """Hand a batch to the wrapper."""
    records = [
        {"messageId": f"id of {body}", "body": body, "eventSource": "aws:sqs"}
        for body in bodies
    ]
    aws_context = SimpleNamespace(get_remaining_time_in_millis=lambda: 7500)
    return lambda_wrapper.handler({"Records": records}, aws_context)


def test_every_message_of_a_batch_is_handled(seen: list[str]) -> None:
    assert handle("a", "b", "c") == {"batchItemFailures": []}
    assert seen == ["a", "b", "c"]


def test_only_the_message_that_fails_comes_back(seen: list[str]) -> None:
    assert handle("a", "bad", "c") == {
        "batchItemFailures": [{"itemIdentifier": "id of bad"}]
    }
    assert seen == ["a", "bad", "c"]


def test_invocations_share_a_context() -> None:
    lambda_wrapper.warm_context.cache_clear()
    assert lambda_wrapper.warm_context() is lambda_wrapper.warm_context()


def test_import_loads_neither_boto3_nor_driver_nor_settings() -> None:
    program = (
        "import sys, lambda_wrapper;"
        "print({'boto3', 'psycopg', 'pymysql', 'configargparse'} & set(sys.modules))"
    )
    paths = [os.path.join(ROOT, "src", "common"), os.path.join(ROOT, "src")]
    answer = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == "set()"
