"""What becomes of messages while S3, SQS or other messages are bad, on real servers."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

from baking import DEADLINE, Project, Running, wait_until
from playground import (
    clicks,
    client,
    count_from,
    dead_letters,
    drain,
    drop,
    fault,
    put,
    rejects_of,
    rows_of,
    send,
    visibility,
    waiting,
    worker,
)
from proxy import Answer, Call, Cut, Deed, Proxy, Rule, always, at_first

ERROR = Answer(500, "InternalError")
THROTTLED = Answer(400, "RequestThrottled")
UNAVAILABLE = Answer(503, "ServiceUnavailable")

SEVERAL_CHUNKS = 30_000  # lines
SHORT = 7  # seconds; the function begins nothing in less than five
POISON = "no JSON: s3cret"


@contextmanager
def behind(
    project: Project, rule: Rule, *words: str
) -> Iterator[tuple[Proxy, Running]]:
    """Run a worker to whom S3 and SQS are what the rule makes of them."""
    with Proxy(project.shim_environment()["AWS_ENDPOINT_URL"], rule) as proxy:
        endpoints = (f"--s3_endpoint={proxy.url}", f"--sqs_endpoint={proxy.url}")
        # what the AWS client tries again by itself is not seen here
        with worker(project, *endpoints, *words, AWS_MAX_ATTEMPTS="1") as running:
            yield proxy, running


def drain_behind(project: Project, rule: Rule) -> tuple[str, list[str]]:
    """Let such a worker empty the queue.

    Returns:
        What it said, and the operations that were hindered.
    """
    with behind(project, rule, "--drain", "--retry_delay=0") as (proxy, running):
        assert running.process.wait(DEADLINE) == 0, running.said
        return running.said, [call.operation for call in proxy.hindered]


def outcomes(said: str) -> list[str]:
    """Return what became of each object, in alphabetical order."""
    lines = (json.loads(line) for line in said.splitlines() if line.startswith("{"))
    reports = chain.from_iterable(line.get("report") or [] for line in lines)
    return sorted(report["outcome"] for report in reports)


@fault(
    "an object that is not there, or no longer in that version",
    "the message ends in the dead-letter queue, with the cause in the log",
)
def test_object_that_is_not_there_makes_a_dead_letter(shimmed: Project) -> None:
    send(shimmed, json.dumps({"bucket": "raw", "key": "worker/never.csv"}))
    where = {"Bucket": "raw", "Key": drop(shimmed, "gone.csv", clicks(3, 210_000_000))}
    version = client(shimmed, "s3").head_object(**where)["VersionId"]
    client(shimmed, "s3").delete_object(**where, VersionId=version)
    said = drain(shimmed, "--retry_delay=0")
    for cause in ("Not Found", "NoSuchVersion"):
        assert len(re.findall(f'"message": "message .* failed: .*{cause}', said)) == 3
    assert count_from(shimmed, 210_000_000, 10) == 0
    letters = "".join(dead_letters(shimmed))
    assert "worker/never.csv" in letters
    assert "worker/gone.csv" in letters


@fault(
    "an object that is deleted or overwritten before its message is read, in a bucket "
    "with versions",
    "the version that the message names is loaded",
)
def test_version_that_a_message_names_is_loaded(shimmed: Project) -> None:
    deleted = drop(shimmed, "deleted.csv", clicks(3, first=203_000))
    client(shimmed, "s3").delete_object(Bucket="raw", Key=deleted)
    for first in (203_100, 203_200):
        drop(shimmed, "overwritten.csv", clicks(3, first=first))
    drain(shimmed)
    assert count_from(shimmed, 203_000, 300) == 9


@fault(
    "an object that is overwritten before its message is read, in a bucket without "
    "versions",
    "the later message loads the new state; the earlier is a dead letter",
)
def test_state_that_was_overwritten_makes_a_dead_letter(shimmed: Project) -> None:
    where = {"Bucket": "plain", "Key": "overwritten.csv"}
    region = shimmed.shim_environment()["AWS_REGION"]
    location = {"LocationConstraint": region}
    client(shimmed, "s3").create_bucket(
        Bucket="plain",
        CreateBucketConfiguration=location,
    )
    for first in (202_000, 202_100):
        body = clicks(3, first=first)
        tag = client(shimmed, "s3").put_object(**where, Body=body)["ETag"].strip('"')
        send(shimmed, json.dumps({"bucket": "plain", "key": where["Key"], "etag": tag}))
    said = drain(shimmed, "--retry_delay=0")
    assert "PreconditionFailed" in said
    assert outcomes(said) == ["loaded"]
    assert [count_from(shimmed, first, 100) for first in (202_000, 202_100)] == [0, 3]
    assert len(dead_letters(shimmed)) == 1


@fault("the connection to S3 is cut in mid-load, once", "all rows are loaded, once")
def test_stream_that_is_cut_once_is_read_again(shimmed: Project) -> None:
    drop(shimmed, "cut-once.csv", clicks(SEVERAL_CHUNKS, first=210_000))
    said, hindered = drain_behind(shimmed, at_first("GetObject", Cut(1_000_000)))
    assert hindered == ["GetObject"]
    assert said.count('"outcome": "failed"') == 1
    assert outcomes(said) == ["loaded"]
    assert count_from(shimmed, 210_000, SEVERAL_CHUNKS) == SEVERAL_CHUNKS


@fault(
    "the connection to S3 is cut in mid-load, always",
    "nothing is loaded; the message ends in the dead-letter queue",
)
def test_stream_that_is_always_cut_makes_a_dead_letter(shimmed: Project) -> None:
    key = drop(shimmed, "cut.csv", clicks(SEVERAL_CHUNKS, first=250_000))
    said, hindered = drain_behind(shimmed, always("GetObject", Cut(1_000_000)))
    assert hindered == ["GetObject"] * 3
    assert said.count('"outcome": "failed"') == 3
    assert count_from(shimmed, 250_000, SEVERAL_CHUNKS) == 0
    ledger = f"SELECT count(*) FROM loads WHERE object_key = '{key}'"
    assert shimmed.query(ledger) == [[0]]
    assert len(dead_letters(shimmed)) == 1


@fault(
    "S3 refuses connections for a while",
    "the worker waits; the message spends one receive, and is loaded",
)
def test_s3_that_is_away_for_a_while_is_asked_again(shimmed: Project) -> None:
    upstream = shimmed.shim_environment()["AWS_ENDPOINT_URL"]
    drop(shimmed, "refused-by-s3.csv", clicks(3, first=290_000))
    with Proxy(upstream) as proxy:
        proxy.refuse()
        words = (f"--s3_endpoint={proxy.url}", "--retry_delay=1")
        with worker(shimmed, *words, AWS_MAX_ATTEMPTS="1") as patient:
            # more often than a message has receives
            patient.wait_until(lambda: patient.said.count("waiting: ") >= 4)
            proxy.listen()
            patient.wait_until(lambda: '"outcome": "loaded"' in patient.said)
    assert "EndpointConnectionError" in patient.said
    assert patient.said.count('"outcome": "failed"') == 1
    assert count_from(shimmed, 290_000, 10) == 3


@fault(
    "SQS answers 500, 503, or that it throttles, when asked for messages",
    "the worker asks again, later each time",
)
def test_sqs_that_fails_to_hand_out_messages_is_asked_again(shimmed: Project) -> None:
    drop(shimmed, "receive.csv", clicks(3, first=300_000))
    rule = at_first("ReceiveMessage", ERROR, UNAVAILABLE, THROTTLED)
    said, hindered = drain_behind(shimmed, rule)
    assert hindered == ["ReceiveMessage"] * 3
    assert said.count("waiting: ") == 3
    assert outcomes(said) == ["loaded"]
    assert count_from(shimmed, 300_000, 10) == 3


@fault(
    "SQS answers 500 when a message that is done is to be deleted",
    "it is delivered again, found loaded, and deleted",
)
def test_message_that_cannot_be_deleted_is_done_once(shimmed: Project) -> None:
    drop(shimmed, "delete.csv", clicks(3, first=310_000))
    with visibility(shimmed, SHORT):
        rule = at_first("DeleteMessageBatch", ERROR)
        said, hindered = drain_behind(shimmed, rule)
    assert hindered == ["DeleteMessageBatch"]
    assert outcomes(said) == ["loaded", "loaded before"]
    assert count_from(shimmed, 310_000, 10) == 3
    assert dead_letters(shimmed) == []


@fault(
    "SQS throttles when a message that failed is to be given back",
    "it comes back by itself, when its visibility ends",
)
def test_message_that_cannot_be_given_back_comes_back(shimmed: Project) -> None:
    drop(shimmed, "give-back.csv", clicks(SEVERAL_CHUNKS, first=320_000))
    cut = at_first("GetObject", Cut(1_000_000))
    refuse = at_first("ChangeMessageVisibilityBatch", THROTTLED)
    with visibility(shimmed, SHORT):
        said, hindered = drain_behind(shimmed, lambda call: cut(call) or refuse(call))
    assert hindered == ["GetObject", "ChangeMessageVisibilityBatch"]
    assert outcomes(said) == ["loaded"]
    assert count_from(shimmed, 320_000, SEVERAL_CHUNKS) == SEVERAL_CHUNKS


@fault(
    "SQS throttles when the visibility of a message in hand is to be extended",
    "the worker asks again in time; the message is done once",
)
def test_visibility_that_cannot_be_extended_at_once_is_extended_later(
    shimmed: Project,
) -> None:
    drop(shimmed, "extend.csv", clicks(3, first=360_000))
    refuse = at_first("ChangeMessageVisibilityBatch", THROTTLED)
    asked: list[str] = []

    def rule(call: Call) -> Deed:
        if call.operation == "ChangeMessageVisibilityBatch":
            asked.append(call.operation)
        if call.operation == "GetObject":
            wait_until(lambda: len(asked) >= 3, "one that passes, and another")
        return refuse(call)

    with visibility(shimmed, SHORT):
        said, hindered = drain_behind(shimmed, rule)
    assert hindered == ["ChangeMessageVisibilityBatch"]
    assert outcomes(said) == ["loaded"]
    assert count_from(shimmed, 360_000, 10) == 3


@fault("SQS refuses connections for a while", "the worker goes on when it is back")
def test_worker_outlives_an_sqs_that_is_away(shimmed: Project) -> None:
    waits = "waiting: EndpointConnectionError"
    with behind(shimmed, lambda call: None) as (proxy, patient):
        patient.wait_until(lambda: "polling" in patient.said)
        proxy.refuse()
        patient.wait_until(lambda: waits in patient.said)
        drop(shimmed, "refused-by-sqs.csv", clicks(3, first=370_000))
        patient.wait_until(lambda: patient.said.count(waits) == 5)  # some ten seconds
        proxy.listen()
        patient.wait_until(lambda: '"outcome": "loaded"' in patient.said)
    assert count_from(shimmed, 370_000, 10) == 3


@fault(
    "a poison message among nine good ones",
    "it ends in the dead-letter queue after its receives; the others are done once",
)
def test_poison_message_among_good_ones_does_not_hold_them_up(
    shimmed: Project,
) -> None:
    events = [
        put(shimmed, f"good-{place}.csv", clicks(3, first=380_000 + 10 * place))
        for place in range(9)
    ]
    send(shimmed, *events[:4], POISON, *events[4:])
    said = drain(shimmed, "--retry_delay=0")
    assert outcomes(said) == ["loaded"] * 9
    assert said.count('"outcome": "failed"') == 3
    assert "EventError" in said
    assert "s3cret" not in said
    assert count_from(shimmed, 380_000, 100) == 27
    assert dead_letters(shimmed) == [POISON]


@fault(
    "a poison message among nine good ones, behind a Lambda",
    "it ends in the dead-letter queue after its receives; the others are done once",
)
def test_poison_message_in_the_batch_of_a_lambda_comes_back_alone(
    shimmed: Project,
) -> None:
    events = [
        put(shimmed, f"lambda-{place}.csv", clicks(3, first=390_000 + 10 * place))
        for place in range(9)
    ]
    with deployed(shimmed):
        with visibility(shimmed, 12):  # time enough for all of them
            send(shimmed, *events[:4], POISON, *events[4:])
            wait_until(lambda: waiting(shimmed) == [0, 1], "the poison message alone")
        with visibility(shimmed, 2):
            dead_letter = "worker-dead-letter"
            wait_until(lambda: waiting(shimmed, dead_letter)[0], "a dead letter")
        group = {"logGroupName": "/aws/lambda/worker"}
        found = client(shimmed, "logs").filter_log_events(**group)
    said = "\n".join(event["message"] for event in found["events"])
    assert outcomes(said) == ["loaded"] * 9
    assert said.count('"outcome": "failed"') == 3
    assert count_from(shimmed, 390_000, 100) == 27
    assert dead_letters(shimmed) == [POISON]


@contextmanager
def deployed(project: Project) -> Iterator[None]:
    """Run the function as a Lambda behind its queue, warm."""
    project.make("build")
    words = (".venv/bin/python", "tests/shim/deploy_lambda.py")
    environment = project.shim_environment()
    project.run(*words, ".build", env=environment)
    try:
        wait_until(lambda: waiting(project) == [0, 0], "an empty queue")
        yield
    finally:
        project.run(*words, "--remove", env=environment)


@fault("dead letters that are sent again after a fix", "their objects are loaded once")
def test_dead_letter_that_is_sent_again_after_a_fix_is_loaded_once(
    shimmed: Project,
) -> None:
    key = drop(shimmed, "redrive.csv", clicks(3, first=400_000) + "bad\n" * 4)
    drain(shimmed, "--retry_delay=0")
    assert rows_of(shimmed, key) == 0
    letters = dead_letters(shimmed)
    send(shimmed, *letters, *letters)
    said = drain(shimmed, "--max_reject_share=0.6")
    assert outcomes(said) == ["loaded", "loaded before"]
    assert count_from(shimmed, 400_000, 10) == 3
    assert len(rejects_of(shimmed, key)) == 4


@fault("the same message twice, in turn", "its object is loaded once")
def test_message_that_is_sent_twice_is_loaded_once(shimmed: Project) -> None:
    event = put(shimmed, "twice.csv", clicks(3, first=410_000))
    send(shimmed, event, event)
    assert outcomes(drain(shimmed)) == ["loaded", "loaded before"]
    assert count_from(shimmed, 410_000, 10) == 3


@fault("the same message twice, at once to two workers", "its object is loaded once")
def test_message_that_two_workers_have_at_once_is_loaded_once(
    shimmed: Project,
) -> None:
    event = put(shimmed, "both.csv", clicks(3, first=420_000))
    send(shimmed, event, event)

    def rule(call: Call) -> None:
        if call.operation == "GetObject":
            wait_until(lambda: waiting(shimmed)[1] == 2, "both to have a message")

    words = ("--drain", "--poll_batch_size=1")
    with (
        behind(shimmed, rule, *words) as (_, one),
        behind(shimmed, rule, *words) as (_, other),
    ):
        assert [each.process.wait(DEADLINE) for each in (one, other)] == [0, 0]
    assert sorted(outcomes(one.said) + outcomes(other.said)) == [
        "loaded",
        "loaded before",
    ]
    assert len(outcomes(one.said)) == len(outcomes(other.said)) == 1
    assert count_from(shimmed, 420_000, 10) == 3
