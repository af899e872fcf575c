"""Faults of events, reports and errors, and what the log has about them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from baking import DEADLINE, Project, wait_until
from proxy import Answer, Proxy, at_first
from shim_helpers import (
    LONG,
    clicks,
    client,
    count_clicks,
    count_loaded,
    count_messages,
    drain,
    drop,
    fault,
    is_postgres,
    lambda_on_queue,
    pausing_proxy,
    put_file,
    put_long_file,
    send_messages,
    start_worker,
    take_dead_letters,
    wait_for_load,
)

SECRET = "s3cret"
REFUSED = [
    " ",
    f"no JSON: {SECRET}",
    "[" * 100_000,
    f'["{SECRET}"]',
    "7" * 5000,
    '{"bucket": "raw", "key": ""}',
    f'{{"bucket": "{SECRET}", "key": 7}}',
    f'{{"Records": [{{"eventName": "{SECRET}"}}]}}',
    f'{{"detail": {{"object": {{"key": "{SECRET}"}}}}}}',
]
IGNORED = [
    *("ObjectRemoved:Delete", "ObjectTagging:Put", "ObjectAcl:Put"),
    *("ObjectRestore:Post", "Replication:OperationFailedReplication"),
    "LifecycleExpiration:Delete",
]
# Functions that replace the worker's, for one test.
ODD_REPORT = """
from datetime import date

load = run


def run(event, context):
    circle = []
    circle.append(circle)
    report = {date(2026, 1, 5): {1, 2}, "mean": float("nan"), "circle": circle}
    return [{**each, **report} for each in load(event, context)]
"""
OWN_CONNECTION_ERROR = """

def run(event, context):
    raise ConnectionError("refused by api.example.com")
"""
MISSING_LIBRARY = """
import nowhere
"""


@contextmanager
def changed_function(project: Project, text: str) -> Iterator[None]:
    """Append code to the worker for a while. What starts it builds it."""
    path = project.path / "src/func/worker.py"
    kept = path.read_text(encoding="utf-8")
    path.write_text(kept + text, encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(kept, encoding="utf-8")


def parse(output: str) -> list[dict[str, Any]]:
    """Return the lines of a log, each of which must be JSON without NaN."""
    lines = output.splitlines()
    return [json.loads(line, parse_constant=pytest.fail) for line in lines]


def find_outcomes(output: str) -> list[dict[str, Any]]:
    """Return the lines with the outcome of a message."""
    return [line for line in parse(output) if "outcome" in line]


def lambda_log(project: Project) -> str:
    """Return what the Lambda `worker` has logged as JSON."""
    group = {"logGroupName": "/aws/lambda/worker"}
    events = client(project, "logs").filter_log_events(**group)["events"]
    lines = (event["message"].strip() for event in events)
    return "\n".join(line for line in lines if line.startswith("{"))


@fault(
    "events of S3 that bring no new content: deletion, tags, replication, restore",
    "there is nothing to do, and the messages are deleted",
)
def test_event_without_new_content_is_deleted(shimmed: Project) -> None:
    saved = shimmed.path / "tests/data"
    for name in ("event-s3-removed.json", "event-eventbridge-deleted.json"):
        send_messages(shimmed, (saved / name).read_text(encoding="utf-8"))
    [record] = json.loads((saved / "event-s3.json").read_text("utf-8"))["Records"]
    for name in IGNORED:
        send_messages(shimmed, json.dumps({"Records": [record | {"eventName": name}]}))
    outcomes = find_outcomes(drain(shimmed))
    assert [line["outcome"] for line in outcomes] == ["done"] * (2 + len(IGNORED))
    assert take_dead_letters(shimmed) == []


@fault(
    "messages of no known form: not JSON, empty or wrongly typed fields, 100,000 "
    "brackets",
    "one sentence says why, without text of the message; they go to the dead-letter "
    "queue",
)
def test_message_of_no_form_becomes_dead_letter(shimmed: Project) -> None:
    good = put_file(shimmed, "among-odd-ones.csv", clicks(3, first=71_000_000))
    send_messages(shimmed, *REFUSED, f"\ufeff {good}\n")
    output = drain(shimmed, "--retry_delay=0")
    failed = [line for line in find_outcomes(output) if line["outcome"] == "failed"]
    assert len(failed) == 3 * len(REFUSED)
    for line in failed:
        assert "EventError: the message names no object in a known" in line["message"]
        assert "traceback" not in line
    assert SECRET not in output
    assert count_clicks(shimmed, 71_000_000, 10) == 3
    assert len(take_dead_letters(shimmed)) == len(REFUSED)


@fault(
    "a report that JSON cannot hold: a date as a key, a set, NaN, itself",
    "it is logged as far as possible; the message is done, at a worker and in a Lambda",
)
def test_odd_report_does_not_fail_message(shimmed: Project) -> None:
    key = drop(shimmed, "odd-report.csv", clicks(3, first=71_100_000))
    with changed_function(shimmed, ODD_REPORT):
        output = drain(shimmed)
        with lambda_on_queue(shimmed):
            drop(shimmed, "odd-report.csv", clicks(3, first=71_100_010))
            wait_until(lambda: count_loaded(shimmed, key) == 6, "the Lambda's load")
            wait_until(lambda: count_messages(shimmed) == [0, 0], "an empty queue")
            output += lambda_log(shimmed)
    worker, in_lambda = find_outcomes(output)
    for line in (worker, in_lambda):
        assert (line["outcome"], line["loaded"]) == ("done", 3)
        assert line["report"][0]["2026-01-05"] == [1, 2]
    assert in_lambda["receiveCount"] == 1
    assert in_lambda["requestId"]
    assert take_dead_letters(shimmed) == []


@fault(
    "the function raises a ConnectionError of its own, such as an HTTP client's",
    "the message fails; the worker does not wait for the database",
)
def test_own_connection_error_is_no_outage(shimmed: Project) -> None:
    send_messages(shimmed, "{}")
    with changed_function(shimmed, OWN_CONNECTION_ERROR):
        output = drain(shimmed, "--retry_delay=0")
    assert [line["receiveCount"] for line in find_outcomes(output)] == [1, 2, 3]
    assert "waiting" not in output
    assert take_dead_letters(shimmed) == ["{}"]


@fault(
    "the clock of the worker's machine is wrong, and SQS refuses its requests",
    "the log says so; the worker waits and resumes",
)
def test_clock_skew_is_reported(shimmed: Project) -> None:
    key = drop(shimmed, "skewed.csv", clicks(3, first=71_200_000))
    expired = Answer(403, "InvalidSignatureException", "Signature expired: 2026 is …")
    rule = at_first("ReceiveMessage", expired, expired)
    with Proxy(shimmed.shim_environment()["AWS_ENDPOINT_URL"], rule) as proxy:
        output = drain(shimmed, f"--sqs_endpoint={proxy.url}")
    assert output.count("this machine's clock is wrong: synchronize it") == 2
    assert count_loaded(shimmed, key) == 3


@fault(
    "SQS refuses the signature of a wrong secret key, or the key that encrypts the "
    "queue is denied",
    "one sentence with the remedy, and exit code 2",
)
def test_denied_queue_stops_with_remedy(shimmed: Project) -> None:
    wrong = Answer(403, "InvalidSignatureException", "The signature does not match")
    denied = Answer(400, "KmsAccessDenied", "The ciphertext refers to a key that …")
    for answer, remedy in (
        (wrong, "the AWS secret key is wrong: check the credentials"),
        (denied, "is denied: allow the role kms:Decrypt"),
    ):
        rule = at_first("ReceiveMessage", answer)
        with (
            Proxy(shimmed.shim_environment()["AWS_ENDPOINT_URL"], rule) as proxy,
            start_worker(shimmed, f"--sqs_endpoint={proxy.url}") as running,
        ):
            assert running.process.wait(DEADLINE) == 2, running.output
        assert parse(running.output)[-1]["message"].endswith(remedy)


@fault(
    "a connection is lost in mid-load, with `--log_level=WARNING`",
    "the line about the retry has the message's id, and the metrics are logged",
)
def test_retry_is_logged_with_message(shimmed: Project) -> None:
    event = put_long_file(shimmed, "retried.csv", first=72_000_000)
    send_messages(shimmed, event.read_text(encoding="utf-8"))
    kill = "SELECT pg_terminate_backend({})" if is_postgres(shimmed) else "KILL {}"
    with pausing_proxy(shimmed) as s3:
        words = ("--drain", "--log_level=WARNING", f"--s3_endpoint={s3.url}")
        with start_worker(shimmed, *words) as running:
            shimmed.query(kill.format(wait_for_load(shimmed)))
            s3.release()
            assert running.process.wait(DEADLINE) == 0, running.output
    *warnings, done = parse(running.output)
    assert any("retrying" in line["message"] for line in warnings)
    assert done["outcome"] == "done"
    for line in warnings:
        assert (line["level"], line["messageId"]) == ("WARNING", done["messageId"])
    assert 0 <= done["timeInQueue"] < DEADLINE
    assert done["_aws"]
    assert count_clicks(shimmed, 72_000_000) == LONG


@fault(
    "the function imports a library that is not installed",
    "one line of JSON with the traceback, and exit code 1",
)
def test_failed_import_is_json_line(shimmed: Project) -> None:
    with (
        changed_function(shimmed, MISSING_LIBRARY),
        start_worker(shimmed, "--drain") as running,
    ):
        assert running.process.wait(DEADLINE) == 1, running.output
    [line] = parse(running.output)
    assert line["message"] == "ModuleNotFoundError: No module named 'nowhere'"
    assert "worker.py" in line["traceback"]


@fault(
    "something other than its queue invokes a Lambda",
    "the invocation fails, and one sentence says why",
)
def test_other_invocation_of_lambda_is_refused(shimmed: Project) -> None:
    with lambda_on_queue(shimmed):
        payload = json.dumps({"detail": SECRET})
        response = client(shimmed, "lambda").invoke(
            FunctionName="worker", Payload=payload
        )
        assert response["FunctionError"]
        lines = parse(lambda_log(shimmed))
    assert any(
        "send a message to the queue instead" in each["message"] for each in lines
    )
    assert SECRET not in json.dumps(lines)
