"""The function from the command line: the poller, and one event."""

import json
import threading
from functools import partial
from pathlib import Path

import pytest

import local_wrapper
from context import CustomContext
from tests.context import CONFIG, void_context
from tests.mock.aws import MockBoto3
from tests.mock.rds import MockRdsLibrary


@pytest.fixture
def context() -> CustomContext:
    """Return a context whose queue is polled until it is empty."""
    return void_context("--read_queue=worker-pending", "--drain", "--poll_interval=0")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Put a function into the wrapper that fails on `bad`; return what it sees."""
    bodies: list[str] = []

    def run(event: str, context: CustomContext) -> None:
        bodies.append(event)
        assert 0 < context.time_remaining() <= 30
        if event == "bad" and bodies.count("bad") == 1:
            raise ValueError("bad message")

    monkeypatch.setattr(local_wrapper, "run", run)
    return bodies


def test_messages_that_are_done_are_deleted(
    context: CustomContext, seen: list[str]
) -> None:
    bodies = [str(number) for number in range(25)]
    context.sqs.send(*bodies)
    local_wrapper.Poller(context, threading.Event()).poll()
    assert seen == bodies
    assert not context.sqs.waiting
    assert not context.sqs.in_flight


def test_message_that_fails_stays_hidden_and_the_others_are_done(
    context: CustomContext, seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    context.sqs.send("a", "bad", "c")
    monkeypatch.setattr(local_wrapper.Poller, "_is_empty", lambda self: True)
    local_wrapper.Poller(context, threading.Event()).poll()
    assert seen == ["a", "bad", "c"]
    assert [each["Body"] for each in context.sqs.in_flight.values()] == ["bad"]


def test_stop_finishes_the_message_in_hand_and_gives_the_others_back(
    context: CustomContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = threading.Event()
    monkeypatch.setattr(local_wrapper, "run", lambda event, context: stop.set())
    context.sqs.send("a", "b", "c")
    local_wrapper.Poller(context, stop).poll()
    assert [message["Body"] for message in context.sqs.waiting] == ["b", "c"]
    assert not context.sqs.in_flight


@pytest.fixture
def doubles(monkeypatch: pytest.MonkeyPatch) -> MockBoto3:
    """Give the wrapper's own context doubles."""
    boto3 = MockBoto3()
    monkeypatch.setattr(
        local_wrapper,
        "CustomContext",
        partial(CustomContext, boto3=boto3, rds=MockRdsLibrary()),
    )
    return boto3


def test_one_event_from_a_file_is_answered_with_the_report(
    doubles: MockBoto3,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    event = tmp_path / "event.json"
    event.write_text("{}", encoding="utf-8")
    monkeypatch.setattr(local_wrapper, "run", lambda event, context: {"event": event})
    assert local_wrapper.main([f"--const_path={CONFIG}", f"--event={event}"]) == 0
    assert json.loads(capsys.readouterr().out) == {"event": "{}"}


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (["--drain"], 2, "set --read_queue or READ_QUEUE"),
        (["--poll_batch_size=0"], 2, "'0' is no whole number from 1 to 10"),
        (["--event=nowhere.json"], 1, "nowhere.json"),
    ],
)
def test_mistake_is_told_in_one_line(
    doubles: MockBoto3,
    args: list[str],
    code: int,
    told: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert local_wrapper.main(args) == code
    assert told in capsys.readouterr().err + caplog.text
