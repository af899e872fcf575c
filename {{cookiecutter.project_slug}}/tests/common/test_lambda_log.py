"""What a Lambda logs: the fields of each message, and why it cannot run."""

import json
from functools import cache, partial
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

import lambda_wrapper
import log
from context import CustomContext
from settings import SettingsError
from tests.mock.aws import MockBoto3
from tests.mock.rds import MockRds
from tests.tables import for_each

AWS_CONTEXT = SimpleNamespace(
    get_remaining_time_in_millis=lambda: 7500, aws_request_id="request-1"
)
BATCH = {
    "Records": [
        {
            "messageId": "m1",
            "body": "a",
            "attributes": {"ApproximateReceiveCount": "2"},
        }
    ]
}


@pytest.fixture(autouse=True)
def _cold_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the Lambda begin as in a new process."""
    monkeypatch.setattr(
        lambda_wrapper,
        "CustomContext",
        partial(CustomContext, boto3=MockBoto3(), rds=MockRds()),
    )
    monkeypatch.setattr(
        lambda_wrapper, "warm_context", cache(lambda_wrapper.warm_context.__wrapped__)
    )
    monkeypatch.setattr(lambda_wrapper, "_invocations", count())
    monkeypatch.setattr(lambda_wrapper, "run", lambda event, context: None)


def test_line_has_fields_of_invocation(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5759e988;Parent=53995c;Sampled=1")
    for _ in range(2):
        lambda_wrapper.handler(BATCH, AWS_CONTEXT)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["coldStart"] for line in lines] == [True, False]
    for line in lines:
        assert (line["messageId"], line["receiveCount"]) == ("m1", 2)
        assert (line["requestId"], line["traceId"]) == ("request-1", "1-5759e988")


@for_each(
    "event",
    [
        {},
        [],
        "s3cret",
        None,
        {"Records": None},
        {"Records": [{"eventSource": "aws:s3", "s3": {"bucket": "s3cret"}}]},
        {"Records": ["s3cret"]},
        {"Records": [7]},
        {"detail": {"object": {"key": "s3cret"}}},
    ],
)
def test_other_invocation_is_refused(
    capsys: pytest.CaptureFixture[str], event: Any
) -> None:
    with pytest.raises(lambda_wrapper.InvocationError):
        lambda_wrapper.handler(event, AWS_CONTEXT)
    text = capsys.readouterr().out
    assert "send a message to the queue instead" in json.loads(text)["message"]
    assert "s3cret" not in text


def test_missing_setting_is_json_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("func.NEEDS", ("table",))
    with pytest.raises(SettingsError):
        lambda_wrapper.handler(BATCH, AWS_CONTEXT)
    line = json.loads(capsys.readouterr().out)
    assert line["level"] == "ERROR"
    assert "table must be set" in line["message"]


def test_log_has_the_settings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(event: str, context: CustomContext) -> None:
        log.logger.debug("the password is %s", context.var.db_pass)

    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("DB_PASS", "s3cret")
    monkeypatch.setattr(lambda_wrapper, "run", run)
    lambda_wrapper.handler(BATCH, AWS_CONTEXT)
    line = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (line["level"], line["message"]) == ("DEBUG", "the password is ***")


def test_message_that_fails_is_logged(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "shop-dev-worker")
    monkeypatch.setattr(lambda_wrapper, "run", lambda *_: int("x"))
    lambda_wrapper.handler(BATCH, AWS_CONTEXT)
    line = json.loads(capsys.readouterr().out)
    assert (line["outcome"], line["error"]) == ("failed", "ValueError")
    assert (line["function"], line["messageId"]) == ("shop-dev-worker", "m1")


def test_message_not_started_is_counted_for_the_function(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "shop-dev-worker")
    late = SimpleNamespace(get_remaining_time_in_millis=lambda: 4999)
    lambda_wrapper.handler(BATCH, late)
    line = json.loads(capsys.readouterr().out)
    assert (line["outcome"], line["notStarted"]) == ("not started", 1)
    assert line["function"] == "shop-dev-worker"
    assert "not started: too little time left" in line["message"]
