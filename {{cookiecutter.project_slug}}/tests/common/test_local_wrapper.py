"""The local wrapper: one event, or messages of a queue."""

import json
import logging
import os
import runpy
import signal
import sys
import threading
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

import local_wrapper
from context import CustomContext
from errors import BadInputError
from lib.database_errors import RetryReason
from settings import SettingsError
from tests.mock.aws import MockBoto3
from tests.mock.rds import MockDriver, MockRds

POLL = ["--read_queue=q", "--drain", "--poll_interval=0"]

Handlers = dict[int, Callable[[int, Any], None]]


@pytest.fixture(autouse=True)
def handlers(monkeypatch: pytest.MonkeyPatch) -> Handlers:
    """Return the handlers of signals, which are not installed."""
    result: Handlers = {}
    monkeypatch.setattr(signal, "signal", result.__setitem__)
    return result


@pytest.fixture
def doubles(monkeypatch: pytest.MonkeyPatch) -> MockBoto3:
    """Let the wrapper create contexts with test doubles."""
    boto3 = MockBoto3()
    monkeypatch.setattr(
        local_wrapper,
        "CustomContext",
        partial(CustomContext, boto3=boto3, rds=MockRds()),
    )
    return boto3


def test_event_file_prints_report(
    doubles: MockBoto3,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    event = tmp_path / "event.json"
    event.write_text("{}", encoding="utf-8")
    monkeypatch.setattr(local_wrapper, "run", lambda event, context: {"event": event})
    assert local_wrapper.main([f"--event={event}"]) == 0
    assert capsys.readouterr().out == '{\n  "event": "{}"\n}\n'


def test_source_is_no_build(
    doubles: MockBoto3, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The package `func` has no function of its own before a build."""
    event = tmp_path / "event.json"
    event.write_text("{}", encoding="utf-8")
    assert local_wrapper.main([f"--event={event}"]) == 1
    assert "this is not a build: run `make build` first" in capsys.readouterr().err


@pytest.mark.parametrize("report", [{"at": object()}, {date(2026, 1, 5): 1}])
def test_report_not_json_does_not_fail_message(
    doubles: MockBoto3, monkeypatch: pytest.MonkeyPatch, report: Any
) -> None:
    monkeypatch.setattr(local_wrapper, "run", lambda event, context: report)
    doubles.clients["sqs"].send("a")
    assert local_wrapper.main(POLL) == 0
    assert not doubles.clients["sqs"].return_delays


def test_messages_are_logged_with_their_outcomes(
    doubles: MockBoto3,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(event: str, context: CustomContext) -> dict[str, int]:
        if event == "bad":
            raise ValueError("bad message")
        return {"rows": 7}

    monkeypatch.setattr(local_wrapper, "run", run)
    doubles.clients["sqs"].send("bad", "a")
    assert local_wrapper.main([*POLL[:1], "--once"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["outcome"] for line in lines if "outcome" in line] == [
        "failed",
        "done",
    ]
    [failed] = [line for line in lines if line.get("outcome") == "failed"]
    assert (failed["messageId"], failed["error"]) == ("message-1", "ValueError")
    [done] = [line for line in lines if line.get("outcome") == "done"]
    assert (done["messageId"], done["rows"]) == ("message-2", 7)
    assert doubles.clients["sqs"].return_delays == [10]


def test_message_of_an_outage_returns_soon(
    doubles: MockBoto3, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(event: str, context: CustomContext) -> None:
        lost = MockDriver.OperationalError(RetryReason.CONNECTION_LOST)
        context.rds.failures = [lost] * 9
        context.rds.query("SELECT 1")

    monkeypatch.setattr(local_wrapper, "run", run)
    doubles.clients["sqs"].send("a")
    assert local_wrapper.main(["--read_queue=q", "--once"]) == 0
    assert doubles.clients["sqs"].return_delays == [1]


def test_metrics_have_the_name_of_the_function(
    doubles: MockBoto3,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(event: str, context: CustomContext) -> None:
        """Do nothing."""

    run.__module__ = "func.enrich"
    monkeypatch.setattr(local_wrapper, "run", run)
    doubles.clients["sqs"].send("a")
    assert local_wrapper.main(POLL) == 0
    assert '"function": "enrich"' in capsys.readouterr().err


def test_error_of_the_log_does_not_fail_message(
    doubles: MockBoto3,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(local_wrapper, "run", lambda *_: None)
    monkeypatch.setattr("log.outcome", lambda *_: 1 / 0)
    doubles.clients["sqs"].send("a")
    assert local_wrapper.main(POLL) == 0
    assert not doubles.clients["sqs"].return_delays
    assert (
        "the outcome of message message-1 cannot be logged" in capsys.readouterr().err
    )


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_drain_with_messages_left_exits_with_1(
    doubles: MockBoto3,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    level: str,
) -> None:
    """The log shows a traceback to those who look for a bug."""

    def run(event: str, context: CustomContext) -> None:
        raise BadInputError("a PDF")

    monkeypatch.setattr(local_wrapper, "run", run)
    doubles.clients["sqs"].redrive_policy = ""
    doubles.clients["sqs"].send("a", ApproximateReceiveCount="2")
    args = [*POLL, "--retry_delay=0", f"--log_level={level}"]
    assert local_wrapper.main(args) == 1
    text = capsys.readouterr().err
    assert "DrainError: --drain has ended, but messages stay in the queue" in text
    assert ("Traceback" in text) is (level == "DEBUG")


def test_first_signal_stops_and_second_exits(
    doubles: MockBoto3, monkeypatch: pytest.MonkeyPatch, handlers: Handlers
) -> None:
    exits: list[int] = []
    monkeypatch.setattr(os, "_exit", exits.append)

    def run(event: str, context: CustomContext) -> None:
        handlers[signal.SIGINT](signal.SIGINT, None)
        assert not exits
        handlers[signal.SIGTERM](signal.SIGTERM, None)

    monkeypatch.setattr(local_wrapper, "run", run)
    doubles.clients["sqs"].send("a", "b")
    assert local_wrapper.main(["--read_queue=q", "--poll_interval=0"]) == 0
    assert [each["Body"] for each in doubles.clients["sqs"].visible] == ["b"]
    assert exits == [128 + signal.SIGTERM]


def test_one_event_ends_at_the_first_signal(
    doubles: MockBoto3,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    handlers: dict[int, Any],
) -> None:
    event = tmp_path / "event.json"
    event.write_text("{}", encoding="utf-8")
    monkeypatch.setattr(local_wrapper, "run", lambda event, context: None)
    assert local_wrapper.main([f"--event={event}"]) == 0
    assert handlers == {signal.SIGTERM: signal.SIG_DFL}


class ExitError(BaseException):
    """The process would have ended here."""


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_process_exits_with_code_of_main(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    handlers: Handlers,
    log_format: str,
) -> None:
    """It flushes its output, but waits for no thread."""

    def end(code: int) -> None:
        raise ExitError(code, sys.excepthook is not hook, list(flushed))

    hook, unblocked, flushed = sys.excepthook, [], []
    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(
        signal,
        "pthread_sigmask",
        lambda *args: unblocked.append((*args, handlers[signal.SIGTERM])),
    )
    monkeypatch.setattr(logging, "shutdown", lambda: flushed.append("log"))
    monkeypatch.setattr(sys.stdout, "flush", lambda: flushed.append("stdout"))
    monkeypatch.setattr(sys, "excepthook", hook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(sys, "argv", ["local_wrapper.py", "--drain=maybe"])
    monkeypatch.setenv("LOG_FORMAT", log_format)
    with pytest.raises(ExitError) as raised:
        runpy.run_path(local_wrapper.__file__, run_name="__main__")
    assert raised.value.args == (2, log_format == "json", ["log", "stdout"])
    assert "--drain: 'maybe' is neither true nor false" in capsys.readouterr().err
    [(how, signals, handler)] = unblocked
    assert (how, signals) == (signal.SIG_UNBLOCK, {signal.SIGTERM})
    with pytest.raises(ExitError) as raised:  # nothing has been started yet
        handler(signal.SIGTERM, None)
    assert raised.value.args[0] == 0


def test_error_of_an_import_is_json_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(signal, "pthread_sigmask", lambda *_: None)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setitem(sys.modules, "func", None)
    monkeypatch.setenv("LOG_FORMAT", "json")
    with pytest.raises(ImportError) as raised:
        runpy.run_path(local_wrapper.__file__, run_name="__main__")
    sys.excepthook(raised.type, raised.value, raised.tb)
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], "func" in line["message"]) == ("CRITICAL", True)


def test_function_never_sees_test_of_s3(
    doubles: MockBoto3, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(local_wrapper, "run", lambda event, context: seen.append(event))
    doubles.clients["sqs"].send('{"Service": "Amazon S3", "Event": "s3:TestEvent"}')
    assert local_wrapper.main(POLL) == 0
    assert not seen
    assert not doubles.clients["sqs"].visible
    assert "message message-1 is a test of S3: deleted" in capsys.readouterr().err


def test_denied_request_names_line_to_add(
    doubles: MockBoto3, monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    def run(event: str, context: CustomContext) -> None:
        resource = "arn:aws:s3:::other/in/a.csv"
        text = f"not authorized to perform: s3:PutObject on resource: {resource}"
        error = {"Error": {"Code": "AccessDenied", "Message": text}}
        raise ClientError(error, "PutObject")

    event = tmp_path / "event.json"
    event.write_text("{}", encoding="utf-8")
    monkeypatch.setattr(local_wrapper, "run", run)
    doubles.clients["sqs"].send("a")
    for args in ([f"--event={event}"], ["--read_queue=q", "--once"]):
        local_wrapper.main(args)
        assert "may not s3:PutObject: write `writes: [in/]" in capsys.readouterr().err
        doubles.clients["sqs"].redeliver()
        local_wrapper.main([*args, "--bucket=raw"])
        assert "may not s3:PutObject: write `allow: [" in capsys.readouterr().err


def test_traceback_begins_in_the_function(
    doubles: MockBoto3, monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    def run(event: str, context: CustomContext) -> None:
        json.loads(event)

    event = tmp_path / "event.json"
    event.write_text("poison", encoding="utf-8")
    monkeypatch.setattr(local_wrapper, "run", run)
    assert local_wrapper.main([f"--event={event}"]) == 1
    traceback = json.loads(capsys.readouterr().err)["traceback"].splitlines()
    assert traceback[1].startswith(f'  File "{__file__}", line ')
    assert traceback[-1].startswith("json.decoder.JSONDecodeError: ")


def test_exit_of_the_function_is_a_failure(
    doubles: MockBoto3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = tmp_path / "event.json"
    event.write_text("{}", encoding="utf-8")
    monkeypatch.setattr(local_wrapper, "run", lambda event, context: sys.exit(0))
    assert local_wrapper.main([f"--event={event}"]) == 1


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["--drain"], 2, "set --read_queue or READ_QUEUE"),
        (["--poll_batch_size=0"], 2, "'0' is not a whole number from 1 to 10"),
        (["--event=nowhere.json"], 2, "the event nowhere.json cannot be read"),
        (["--s3_endpoint=http://my_minio:9000"], 2, "a host name that boto3 refuses"),
        (["--sqs_endpoint=http://a:b"], 2, "is not a URL"),
    ],
)
def test_mistake_is_reported_in_one_line(
    doubles: MockBoto3,
    args: list[str],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOG_FORMAT", "text")
    assert local_wrapper.main(args) == code
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_function_names_the_settings_it_needs(
    doubles: MockBoto3,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("func.NEEDS", ("table",))
    assert local_wrapper.main(POLL) == 2
    assert "table must be set" in capsys.readouterr().err


def test_wrong_setting_that_the_function_finds_is_a_mistake(
    doubles: MockBoto3,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(event: str, context: CustomContext) -> None:
        raise SettingsError("there is no table t")

    event = tmp_path / "event.json"
    event.write_text("{}", encoding="utf-8")
    monkeypatch.setattr(local_wrapper, "run", run)
    assert local_wrapper.main([f"--event={event}", "--log_format=text"]) == 2
    assert capsys.readouterr().err == "error: there is no table t\n"


def test_mistake_is_json_where_the_log_is(
    doubles: MockBoto3, capsys: pytest.CaptureFixture[str]
) -> None:
    assert local_wrapper.main(["--drain", "--log_format=json"]) == 2
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], "READ_QUEUE" in line["message"]) == ("ERROR", True)
