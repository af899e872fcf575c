"""The local wrapper: one event, or messages of a queue."""

import json
import sys
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import local_wrapper
from context import CustomContext
from tests.mock.aws import MockBoto3
from tests.mock.rds import MockRds


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
    assert json.loads(capsys.readouterr().out) == {"event": "{}"}


@pytest.mark.parametrize("report", [{"at": object()}, {date(2026, 1, 5): 1}])
def test_report_not_json_does_not_fail_message(
    doubles: MockBoto3, monkeypatch: pytest.MonkeyPatch, report: Any
) -> None:
    monkeypatch.setattr(local_wrapper, "run", lambda event, context: report)
    doubles.clients["sqs"].send("a")
    assert local_wrapper.main(["--read_queue=q", "--drain", "--poll_interval=0"]) == 0
    assert not doubles.clients["sqs"].return_delays


def test_function_never_sees_test_of_s3(
    doubles: MockBoto3, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(local_wrapper, "run", lambda event, context: seen.append(event))
    doubles.clients["sqs"].send('{"Service": "Amazon S3", "Event": "s3:TestEvent"}')
    assert local_wrapper.main(["--read_queue=q", "--drain", "--poll_interval=0"]) == 0
    assert not seen
    assert not doubles.clients["sqs"].visible


def test_denied_request_names_line_to_add(
    doubles: MockBoto3, monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    def run(event: str, context: CustomContext) -> None:
        error = RuntimeError("Access Denied")
        error.__dict__["response"] = {"Error": {"Code": "AccessDenied"}}
        error.__dict__["operation_name"] = "PutObject"
        raise error

    event = tmp_path / "event.json"
    event.write_text("{}", encoding="utf-8")
    monkeypatch.setattr(local_wrapper, "run", run)
    assert local_wrapper.main([f"--event={event}"]) == 1
    assert "may not s3:PutObject: write `writes: [" in capsys.readouterr().err


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
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert local_wrapper.main(args) == code
    assert message in capsys.readouterr().err + caplog.text
