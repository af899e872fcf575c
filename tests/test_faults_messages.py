"""Faults of messages: errors of S3 and SQS, poison messages, duplicates."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

from baking import DEADLINE, Project, Running, wait_until
from proxy import Answer, Call, Cut, Fault, Proxy, Rule, always, at_first
from shim_helpers import (
    clicks,
    client,
    count_clicks,
    count_loaded,
    count_messages,
    drain,
    drop,
    fault,
    fetch_rejects,
    lambda_on_queue,
    put_file,
    put_version,
    send_messages,
    start_worker,
    take_dead_letters,
    visibility_timeout,
)

ERROR = Answer(500, "InternalError")
THROTTLED = Answer(400, "RequestThrottled")
UNAVAILABLE = Answer(503, "ServiceUnavailable")

SEVERAL_CHUNKS = 30_000  # lines
SHORT = 7  # seconds; a worker needs five to begin with a message
POISON = "no JSON: s3cret"


@contextmanager
def worker_with_faults(
    project: Project, rule: Rule, *words: str
) -> Iterator[tuple[Proxy, Running]]:
    """Run a worker whose S3 and SQS have the faults of a rule."""
    with Proxy(project.shim_environment()["AWS_ENDPOINT_URL"], rule) as proxy:
        endpoints = (f"--s3_endpoint={proxy.url}", f"--sqs_endpoint={proxy.url}")
        # the AWS client must not retry by itself
        with start_worker(project, *endpoints, *words, AWS_MAX_ATTEMPTS="1") as running:
            yield proxy, running


def drain_with_faults(project: Project, rule: Rule) -> tuple[str, list[str]]:
    """Run such a worker until the queue is empty.

    Returns:
        Its output, and the operations that had a fault.
    """
    with worker_with_faults(project, rule, "--drain", "--retry_delay=0") as (
        proxy,
        running,
    ):
        assert running.process.wait(DEADLINE) == 0, running.output
        return running.output, [call.operation for call in proxy.faulted]


def outcomes(output: str) -> list[str]:
    """Return the outcomes in the workers' reports, sorted."""
    lines = (json.loads(line) for line in output.splitlines() if line.startswith("{"))
    reports = chain.from_iterable(line.get("report") or [] for line in lines)
    return sorted(report["outcome"] for report in reports)


@fault(
    "an object that does not exist, or not in the named version",
    "the message goes to the dead-letter queue; the log has the cause",
)
def test_missing_object_becomes_dead_letter(shimmed: Project) -> None:
    send_messages(shimmed, json.dumps({"bucket": "raw", "key": "worker/never.csv"}))
    event = put_version(shimmed, "gone.csv", clicks(3, 210_000_000))
    named = json.loads(event)
    client(shimmed, "s3").delete_object(
        Bucket="raw", Key=named["key"], VersionId=named["version"]
    )
    send_messages(shimmed, event)
    output = drain(shimmed, "--retry_delay=0")
    for cause in ("Not Found", "NoSuchVersion"):
        assert len(re.findall(f'"message": "message .* failed: .*{cause}', output)) == 3
    assert count_clicks(shimmed, 210_000_000, 10) == 0
    letters = "".join(take_dead_letters(shimmed))
    assert "worker/never.csv" in letters
    assert "by-hand/gone.csv" in letters


@fault(
    "an object is deleted or overwritten before its message is received, in a bucket "
    "with versioning",
    "the version that the message names is loaded",
)
def test_named_version_is_loaded(shimmed: Project) -> None:
    deleted = put_version(shimmed, "deleted.csv", clicks(3, first=203_000))
    client(shimmed, "s3").delete_object(Bucket="raw", Key=json.loads(deleted)["key"])
    overwritten = [
        put_version(shimmed, "overwritten.csv", clicks(3, first=first))
        for first in (203_100, 203_200)
    ]
    send_messages(shimmed, deleted, *overwritten)
    drain(shimmed)
    assert count_clicks(shimmed, 203_000, 300) == 9


@fault(
    "an object is overwritten before its message is received, in a bucket without "
    "versioning",
    "the later message loads the new content; the earlier becomes a dead letter",
)
def test_overwritten_object_becomes_dead_letter(shimmed: Project) -> None:
    location = {"Bucket": "plain", "Key": "overwritten.csv"}
    region = shimmed.shim_environment()["AWS_REGION"]
    configuration = {"LocationConstraint": region}
    client(shimmed, "s3").create_bucket(
        Bucket="plain",
        CreateBucketConfiguration=configuration,
    )
    for first in (202_000, 202_100):
        body = clicks(3, first=first)
        tag = client(shimmed, "s3").put_object(**location, Body=body)["ETag"].strip('"')
        send_messages(
            shimmed,
            json.dumps({"bucket": "plain", "key": location["Key"], "etag": tag}),
        )
    output = drain(shimmed, "--retry_delay=0")
    assert "PreconditionFailed" in output
    assert outcomes(output) == ["loaded"]
    assert [count_clicks(shimmed, first, 100) for first in (202_000, 202_100)] == [0, 3]
    assert len(take_dead_letters(shimmed)) == 1


@fault("the connection to S3 breaks in mid-load once", "all rows are loaded once")
def test_download_cut_once_is_repeated(shimmed: Project) -> None:
    drop(shimmed, "cut-once.csv", clicks(SEVERAL_CHUNKS, first=210_000))
    output, faulted = drain_with_faults(shimmed, at_first("GetObject", Cut(1_000_000)))
    assert faulted == ["GetObject"]
    assert output.count('"outcome": "failed"') == 1
    assert outcomes(output) == ["loaded"]
    assert count_clicks(shimmed, 210_000, SEVERAL_CHUNKS) == SEVERAL_CHUNKS


@fault(
    "the connection to S3 breaks in mid-load every time",
    "nothing is loaded; the message goes to the dead-letter queue",
)
def test_download_always_cut_becomes_dead_letter(shimmed: Project) -> None:
    key = drop(shimmed, "cut.csv", clicks(SEVERAL_CHUNKS, first=250_000))
    output, faulted = drain_with_faults(shimmed, always("GetObject", Cut(1_000_000)))
    assert faulted == ["GetObject"] * 3
    assert output.count('"outcome": "failed"') == 3
    assert count_clicks(shimmed, 250_000, SEVERAL_CHUNKS) == 0
    ledger = f"SELECT count(*) FROM loads WHERE object_key = '{key}'"
    assert shimmed.query(ledger) == [[0]]
    assert len(take_dead_letters(shimmed)) == 1


@fault(
    "S3 refuses connections for a while",
    "the worker waits; the message uses one receive and is loaded",
)
def test_worker_waits_for_unreachable_s3(shimmed: Project) -> None:
    upstream = shimmed.shim_environment()["AWS_ENDPOINT_URL"]
    drop(shimmed, "refused-by-s3.csv", clicks(3, first=290_000))
    with Proxy(upstream) as proxy:
        proxy.refuse()
        words = (f"--s3_endpoint={proxy.url}", "--retry_delay=1")
        with start_worker(shimmed, *words, AWS_MAX_ATTEMPTS="1") as running:
            # more often than a message may be received
            running.wait_until(
                lambda: running.output.count("waiting for S3 or the database: ") >= 4
            )
            proxy.listen()
            running.wait_until(lambda: '"outcome": "loaded"' in running.output)
    assert "EndpointConnectionError" in running.output
    assert running.output.count('"outcome": "failed"') == 1
    assert count_clicks(shimmed, 290_000, 10) == 3


@fault(
    "SQS answers a receive with 500, 503 or throttling",
    "the worker asks again with increasing delays",
)
def test_failed_receive_is_repeated(shimmed: Project) -> None:
    drop(shimmed, "receive.csv", clicks(3, first=300_000))
    rule = at_first("ReceiveMessage", ERROR, UNAVAILABLE, THROTTLED)
    output, faulted = drain_with_faults(shimmed, rule)
    assert faulted == ["ReceiveMessage"] * 3
    assert output.count("waiting for SQS: ") == 3
    assert outcomes(output) == ["loaded"]
    assert count_clicks(shimmed, 300_000, 10) == 3


@fault(
    "SQS answers the delete of a finished message with 500",
    "the delete is repeated; the object is loaded once",
)
def test_failed_delete_does_not_load_twice(shimmed: Project) -> None:
    drop(shimmed, "delete.csv", clicks(3, first=310_000))
    with visibility_timeout(shimmed, SHORT):
        rule = at_first("DeleteMessageBatch", ERROR)
        output, faulted = drain_with_faults(shimmed, rule)
    assert faulted == ["DeleteMessageBatch"]
    assert outcomes(output) == ["loaded"]
    assert count_clicks(shimmed, 310_000, 10) == 3
    assert take_dead_letters(shimmed) == []


@fault(
    "SQS throttles when the worker gives back a failed message",
    "the message comes back when its visibility timeout ends",
)
def test_message_returns_after_failed_give_back(shimmed: Project) -> None:
    drop(shimmed, "give-back.csv", clicks(SEVERAL_CHUNKS, first=320_000))
    cut = at_first("GetObject", Cut(1_000_000))
    refuse = at_first("ChangeMessageVisibilityBatch", THROTTLED)
    with visibility_timeout(shimmed, SHORT):
        output, faulted = drain_with_faults(
            shimmed, lambda call: cut(call) or refuse(call)
        )
    assert faulted == ["GetObject", "ChangeMessageVisibilityBatch"]
    assert outcomes(output) == ["loaded"]
    assert count_clicks(shimmed, 320_000, SEVERAL_CHUNKS) == SEVERAL_CHUNKS


@fault(
    "SQS throttles when the worker extends a visibility timeout",
    "the worker asks again in time; the message is processed once",
)
def test_failed_visibility_extension_is_repeated(
    shimmed: Project,
) -> None:
    drop(shimmed, "extend.csv", clicks(3, first=360_000))
    refuse = at_first("ChangeMessageVisibilityBatch", THROTTLED)
    asked: list[str] = []

    def rule(call: Call) -> Fault:
        if call.operation == "ChangeMessageVisibilityBatch":
            asked.append(call.operation)
        if call.operation == "GetObject":
            wait_until(lambda: len(asked) >= 3, "two more extensions")
        return refuse(call)

    with visibility_timeout(shimmed, SHORT):
        output, faulted = drain_with_faults(shimmed, rule)
    assert faulted == ["ChangeMessageVisibilityBatch"]
    assert outcomes(output) == ["loaded"]
    assert count_clicks(shimmed, 360_000, 10) == 3


@fault("SQS refuses connections for a while", "the worker continues afterwards")
def test_worker_survives_unreachable_sqs(shimmed: Project) -> None:
    waits = "waiting for SQS: EndpointConnectionError"
    with worker_with_faults(shimmed, lambda call: None) as (proxy, running):
        running.wait_until(lambda: "polling" in running.output)
        proxy.refuse()
        running.wait_until(lambda: waits in running.output)
        drop(shimmed, "refused-by-sqs.csv", clicks(3, first=370_000))
        running.wait_until(
            lambda: running.output.count(waits) == 5
        )  # about ten seconds
        proxy.listen()
        running.wait_until(lambda: '"outcome": "loaded"' in running.output)
    assert count_clicks(shimmed, 370_000, 10) == 3


@fault(
    "a poison message among nine good ones",
    "it goes to the dead-letter queue after three receives; the others are loaded once",
)
def test_poison_message_does_not_block_others(
    shimmed: Project,
) -> None:
    events = [
        put_file(shimmed, f"good-{number}.csv", clicks(3, first=380_000 + 10 * number))
        for number in range(9)
    ]
    send_messages(shimmed, *events[:4], POISON, *events[4:])
    output = drain(shimmed, "--retry_delay=0")
    assert outcomes(output) == ["loaded"] * 9
    assert output.count('"outcome": "failed"') == 3
    assert "EventError" in output
    assert "s3cret" not in output
    assert count_clicks(shimmed, 380_000, 100) == 27
    assert take_dead_letters(shimmed) == [POISON]


@fault(
    "a poison message among nine good ones, in a Lambda's batch",
    "it goes to the dead-letter queue after three receives; the others are loaded once",
)
def test_poison_message_fails_alone_in_lambda_batch(
    shimmed: Project,
) -> None:
    events = [
        put_file(
            shimmed, f"lambda-{number}.csv", clicks(3, first=390_000 + 10 * number)
        )
        for number in range(9)
    ]
    with lambda_on_queue(shimmed):
        with visibility_timeout(shimmed, 12):  # long enough for all of them
            send_messages(shimmed, *events[:4], POISON, *events[4:])
            wait_until(
                lambda: count_messages(shimmed) == [0, 1], "the poison message alone"
            )
        with visibility_timeout(shimmed, 2):
            dead_letter = "worker-dead-letter"
            wait_until(lambda: count_messages(shimmed, dead_letter)[0], "a dead letter")
        group = {"logGroupName": "/aws/lambda/worker"}
        found = client(shimmed, "logs").filter_log_events(**group)
    output = "\n".join(event["message"] for event in found["events"])
    assert outcomes(output) == ["loaded"] * 9
    assert output.count('"outcome": "failed"') == 3
    assert count_clicks(shimmed, 390_000, 100) == 27
    assert take_dead_letters(shimmed) == [POISON]


@fault("dead letters are redriven after a fix", "their objects are loaded once")
def test_redriven_dead_letter_is_loaded_once(
    shimmed: Project,
) -> None:
    key = drop(shimmed, "redrive.csv", clicks(3, first=400_000) + "bad\n" * 4)
    drain(shimmed, "--retry_delay=0")
    assert count_loaded(shimmed, key) == 0
    letters = take_dead_letters(shimmed)
    send_messages(shimmed, *letters, *letters)
    output = drain(shimmed, "--max_reject_share=0.6")
    assert outcomes(output) == ["loaded", "loaded before"]
    assert count_clicks(shimmed, 400_000, 10) == 3
    assert len(fetch_rejects(shimmed, key)) == 4


@fault("the same message twice in a row", "its object is loaded once")
def test_message_sent_twice_is_loaded_once(shimmed: Project) -> None:
    event = put_file(shimmed, "twice.csv", clicks(3, first=410_000))
    send_messages(shimmed, event, event)
    assert outcomes(drain(shimmed)) == ["loaded", "loaded before"]
    assert count_clicks(shimmed, 410_000, 10) == 3


@fault("the same message at two workers at once", "its object is loaded once")
def test_message_at_two_workers_is_loaded_once(
    shimmed: Project,
) -> None:
    event = put_file(shimmed, "both.csv", clicks(3, first=420_000))
    send_messages(shimmed, event, event)

    def rule(call: Call) -> None:
        if call.operation == "GetObject":
            wait_until(
                lambda: count_messages(shimmed)[1] == 2, "both to have a message"
            )

    words = ("--drain", "--poll_batch_size=1")
    with (
        worker_with_faults(shimmed, rule, *words) as (_, one),
        worker_with_faults(shimmed, rule, *words) as (_, other),
    ):
        assert [each.process.wait(DEADLINE) for each in (one, other)] == [0, 0]
    assert sorted(outcomes(one.output) + outcomes(other.output)) == [
        "loaded",
        "loaded before",
    ]
    assert len(outcomes(one.output)) == len(outcomes(other.output)) == 1
    assert count_clicks(shimmed, 420_000, 10) == 3
