"""Faults of functions, requests and signals that a poller must survive."""

import json
from collections.abc import Iterator
from functools import partial
from string import ascii_lowercase
from typing import Any

import pytest

from baking import DEADLINE, Project, free_port, wait_until
from poller_helpers import Queue, Site, count_attempts, misbehaving_site
from proxy import (
    Answer,
    Proxy,
    RefuseFirst,
    RefuseMessage,
    always,
    at_first,
    hold,
)

fault = pytest.mark.fault
GOOD = [f"good-{letter}" for letter in ascii_lowercase[:9]]
ERROR = Answer(500, "InternalError")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A project whose function does what its messages say, and an emulator of SQS."""
    with misbehaving_site(tmp_path_factory.mktemp("site")) as found:
        yield found


@fault(
    "one of ten messages kills the process, which is restarted each time",
    "nine are done, one is dead; also with four workers",
)
@pytest.mark.parametrize("workers", [1, 4])
def test_killer_kills_only_itself(site: Site, workers: int) -> None:
    queue = site.queue(visibility=2)
    queue.send(*GOOD[:2], seconds=0.1)
    queue.send("killer", seconds=0.1, end="kill")
    queue.send(*GOOD[2:], seconds=0.1)
    codes = site.restart_until_empty(queue, f"--workers={workers}")
    assert codes.count(-9) == 3
    assert queue.dead() == ["killer"]
    assert set(queue.attempts()) == {"killer", *GOOD}


def has_started(queue: Queue, messages: int) -> bool:
    """Return whether some messages were started."""
    return len(queue.attempts()) >= messages


@fault(
    "three deployments, one after the other, while ten messages of 2 s wait",
    "all are done",
)
def test_deployments_lose_no_queued_message(site: Site) -> None:
    queue = site.queue(visibility=10)
    queue.send("good-j", *GOOD, seconds=2)
    for deployment in range(3):
        with site.start(queue) as poller:
            poller.wait_until(partial(has_started, queue, deployment + 1))
            poller.process.terminate()
            assert poller.process.wait(DEADLINE) == 0
    site.drain(queue, "--workers=7")
    assert queue.dead() == []
    assert count_attempts(queue) == dict.fromkeys(["good-j", *GOOD], 1)


@fault("two pollers on a backlog of ten slow messages", "both process some of them")
def test_pollers_share_a_backlog(site: Site) -> None:
    queue = site.queue()
    queue.send(*GOOD, seconds=1)
    with site.start(queue) as one, site.start(queue) as other:
        wait_until(queue.is_empty, "an empty queue")
    assert min(each.output.count('"outcome": "done"') for each in (one, other)) >= 3
    assert count_attempts(queue) == dict.fromkeys(GOOD, 1)


@fault(
    "ten messages of one FIFO group, of which the first always fails",
    "it becomes a dead letter; the nine behind it are then done in order",
)
def test_fifo_failure_spends_no_receive_of_others(site: Site) -> None:
    queue = site.queue(suffix=".fifo")
    queue.send("bad", group="g", end="fail")
    queue.send(*GOOD, group="g")
    site.drain(queue)
    assert queue.attempts() == ["bad"] * 3 + GOOD
    assert queue.dead() == ["bad"]


@fault(
    "a failure among messages of one group on a standard queue",
    "the others of the group are not affected",
)
def test_failure_leaves_tenant_of_fair_queue(site: Site) -> None:
    queue = site.queue()
    queue.send(*GOOD[:4], group="tenant")
    queue.send("bad", group="tenant", end="fail")
    queue.send(*GOOD[4:], group="tenant")
    site.drain(queue)
    assert count_attempts(queue) == dict.fromkeys(GOOD, 1) | {"bad": 3}


@fault(
    "SQS refuses to extend the visibility timeout of one of ten messages, each time",
    "only this one runs out of time and becomes a dead letter",
)
def test_refused_extension_affects_no_other(site: Site) -> None:
    queue = site.queue(visibility=2)
    queue.send("unlucky", *GOOD, seconds=4, end="require_time")
    with Proxy(
        site.url, always("ChangeMessageVisibilityBatch", RefuseMessage("unlucky"))
    ) as proxy:
        words = ("--drain", "--workers=10", f"--sqs_endpoint={proxy.url}")
        with site.start(queue, *words, "--retry_delay=0") as poller:
            assert poller.process.wait(DEADLINE) == 0, poller.output
    assert count_attempts(queue) == dict.fromkeys(GOOD, 1) | {"unlucky": 3}
    assert queue.dead() == ["unlucky"]


@fault(
    "SQS refuses the first entry of several deletes, and answers others with 500",
    "the deletes are repeated; each message is processed once",
)
def test_failed_deletes_are_repeated(site: Site) -> None:
    queue = site.queue()
    queue.send(*GOOD, *(f"more-{each}" for each in GOOD))
    faults = (RefuseFirst(), ERROR, RefuseFirst(), ERROR)
    with Proxy(site.url, at_first("DeleteMessageBatch", *faults)) as proxy:
        words = ("--drain", f"--sqs_endpoint={proxy.url}")
        with site.start(queue, *words) as poller:
            assert poller.process.wait(DEADLINE) == 0, poller.output
    assert len(proxy.faulted) == 4
    assert set(count_attempts(queue).values()) == {1}
    assert queue.dead() == []


@fault(
    "SQS cannot delete a message before its visibility timeout ends",
    "it is delivered again and deleted without being processed",
)
def test_done_message_is_not_processed_again(site: Site) -> None:
    queue = site.queue(visibility=2)
    queue.send("good")
    refused = ("DeleteMessageBatch", "ChangeMessageVisibilityBatch")
    with Proxy(
        site.url, lambda call: ERROR if call.operation in refused else None
    ) as proxy:
        words = ("--drain", f"--sqs_endpoint={proxy.url}")
        with site.start(queue, *words) as poller:
            poller.wait_for("was done before")
            proxy.release()
            assert poller.process.wait(DEADLINE) == 0, poller.output
    assert queue.attempts() == ["good"]


@fault(
    "SIGTERM with `grace=0` while 20 messages are done but not yet deleted",
    "they are deleted",
)
def test_done_messages_are_deleted_at_grace_end(site: Site) -> None:
    queue = site.queue()
    queue.send(*(f"good-{number}" for number in range(20)))
    with Proxy(site.url, hold("DeleteMessageBatch")) as proxy:
        words = ("--grace=0", f"--sqs_endpoint={proxy.url}", "--workers=20")
        with site.start(queue, *words) as poller:
            poller.wait_until(lambda: len(queue.attempts()) == 20)
            poller.process.terminate()
            proxy.release()
            assert poller.process.wait(DEADLINE) == 0, poller.output
    assert queue.is_empty()
    assert set(count_attempts(queue).values()) == {1}


@fault(
    "a report that JSON cannot hold, such as one with dates as keys",
    "the message is done",
)
def test_odd_report_is_a_success(site: Site) -> None:
    queue = site.queue()
    queue.send("good", end="odd_report")
    site.drain(queue)
    assert queue.attempts() == ["good"]
    assert queue.dead() == []


@fault(
    "`sys.exit`, `asyncio.CancelledError` or a panic of an extension module",
    "the message fails, with a traceback in the log; the worker goes on",
)
@pytest.mark.parametrize("end", ["exit", "cancel", "panic"])
def test_any_error_fails_only_its_message(site: Site, end: str) -> None:
    queue = site.queue()
    queue.send("bad", end=end)
    queue.send(*GOOD)
    output = site.drain(queue)
    assert count_attempts(queue) == dict.fromkeys(GOOD, 1) | {"bad": 3}
    assert queue.dead() == ["bad"]
    assert output.count("Traceback (most recent call last)") == 3


@fault(
    "an HTTP API that the function calls is unreachable",
    "only its message is delayed, by `retry_delay`; others are processed meanwhile",
)
def test_outage_of_a_client_delays_only_its_message(site: Site) -> None:
    queue = site.queue()
    queue.send("calls", call=f"http://127.0.0.1:{free_port()}")
    with site.start(queue, "--retry_delay=900") as poller:
        poller.wait_for("the client http is unreachable")
        queue.send(*GOOD)
        poller.wait_until(lambda: has_started(queue, 1 + len(GOOD)))
        poller.process.terminate()
        assert poller.process.wait(DEADLINE) == 0
    assert count_attempts(queue) == {"calls": 1} | dict.fromkeys(GOOD, 1)
    assert "the client http is unreachable" in poller.output
    assert "waiting for" not in poller.output
    assert "Traceback" not in poller.output
    assert not queue.dead()


@fault(
    "a message that always fails, with `--drain` and without a dead-letter queue",
    "the others are done; the poller ends with exit code 1, and names the message",
)
@pytest.mark.parametrize("workers", [1, 3])
def test_drain_leaves_message_that_always_fails(site: Site, workers: int) -> None:
    queue = site.queue(has_dead_letters=False)
    queue.send("bad", end="fail")
    queue.send(*GOOD, seconds=0.1)
    words = ("--drain", "--retry_delay=0", f"--workers={workers}")
    with site.start(queue, *words) as poller:
        assert poller.process.wait(DEADLINE) == 1, poller.output
    last = poller.output.splitlines()[-1]
    assert "--drain has ended, but messages stay in the queue, which has no" in last
    assert set(queue.attempts()) == {"bad", *GOOD}
    assert queue.attempts().count("bad") >= 3
    assert not queue.is_empty()


@fault(
    "a function hangs, with `--drain`",
    "the poller ends with exit code 1, and names the message, which returns",
)
@pytest.mark.parametrize("workers", [1, 3])
def test_drain_ends_when_function_is_stuck(site: Site, workers: int) -> None:
    queue = site.queue()
    queue.send("hung", end="hang")
    words = ("--drain", "--stuck_after=2", "--grace=1", f"--workers={workers}")
    with site.start(queue, *words) as poller:
        assert poller.process.wait(DEADLINE) == 1, poller.output
    last = poller.output.splitlines()[-1]
    assert "--drain has ended: stuck: message " in last
    assert "returned to the queue: the grace period ended" in poller.output
    assert queue.attempts() == ["hung"]
    assert not queue.is_empty()


@fault(
    "no file descriptor is left when a worker is about to start",
    "the message is processed",
)
def test_worker_starts_without_file_descriptors(site: Site) -> None:
    queue = site.queue()
    queue.send("greedy", end="use_up_files")
    queue.send("good")
    words = ("--drain", "--retry_delay=1", "--workers=2")
    with site.start(queue, *words, limits="-n 64") as poller:
        assert poller.process.wait(DEADLINE) == 0, poller.output
    assert count_attempts(queue) == {"greedy": 1, "good": 1}


@fault(
    "an endpoint that boto3 refuses, such as `http://my_minio:9000`",
    "the poller does not start, and says why; exit code 2",
)
@pytest.mark.parametrize(
    "variable",
    ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_SQS"],
)
def test_refused_endpoint_stops_the_poller(site: Site, variable: str) -> None:
    queue = site.queue()
    queue.send("good")
    with site.start(queue, **{variable: "http://my_minio:9000"}) as poller:
        assert poller.process.wait(DEADLINE) == 2, poller.output
    assert "boto3 refuses" in poller.output
    assert "http://my_minio:9000" in poller.output
    assert "Traceback" not in poller.output
    assert queue.attempts() == []


@fault(
    "the queue is deleted while a function hangs, then SIGTERM",
    "the poller is gone within `grace` and two seconds",
)
def test_deleted_queue_and_hung_function_end(site: Site) -> None:
    queue = site.queue()
    queue.send("hung", end="hang")
    with site.start(queue, "--workers=2", "--grace=3") as poller:
        poller.wait_until(queue.attempts)
        queue.delete()
        poller.process.terminate()
        assert poller.process.wait(3 + 2) in (0, 2)


@fault(
    "SQS accepts requests and never answers, then SIGTERM",
    "the poller is gone within `grace` and two seconds",
)
def test_silent_sqs_does_not_delay_the_end(site: Site) -> None:
    queue = site.queue()
    queue.send("good", seconds=1)
    with Proxy(site.url) as proxy:
        words = (f"--sqs_endpoint={proxy.url}", "--grace=4", "--poll_interval=20")
        with site.start(queue, *words) as poller:
            poller.wait_until(queue.attempts)
            proxy.rule = lambda call: "hold"
            proxy.wait_for("ReceiveMessage")
            poller.process.terminate()
            poller.process.wait(4 + 2)


@fault(
    "a function hangs, and no heartbeat file is configured",
    "the log names its message",
)
def test_hung_function_is_logged(site: Site) -> None:
    queue = site.queue()
    queue.send("hung", end="hang")
    with site.start(queue, "--stuck_after=1", "--grace=0") as poller:
        poller.wait_for("stuck: message")
        poller.process.terminate()
        assert poller.process.wait(DEADLINE) == 0


LAMBDA = """
import itertools, json, sys
from types import SimpleNamespace
sys.path[:0] = [".build/lambda/misbehaves.zip"]
import lambda_wrapper
seconds = itertools.count(60_000, -20_000)
context = SimpleNamespace(get_remaining_time_in_millis=lambda: next(seconds))
records = [
    {"messageId": f"id-{number}", "body": json.dumps(body), "attributes": {}}
    for number, body in enumerate(json.loads(sys.argv[1]))
]
print(json.dumps(lambda_wrapper.handler({"Records": records}, context)))
"""


def invoke(site: Site, queue: Queue, *messages: dict[str, str]) -> list[Any]:
    """Invoke the built Lambda, which has 60 s and needs 20 s a message.

    Returns:
        The lines of its log, and its response.
    """
    site.project.make("build", "TARGET=lambda")
    program = (".venv/bin/python", "-c", LAMBDA, json.dumps(messages))
    variables = {"ATTEMPTS": str(queue.file), "AWS_LAMBDA_FUNCTION_NAME": "misbehaves"}
    lines = site.project.run(*program, env=variables).stdout.splitlines()
    return [json.loads(line) for line in lines]


@fault(
    "a Lambda's batch of messages that take longer than its timeout",
    "the log names those not started and a metric counts them; they return",
)
def test_lambda_reports_messages_not_started(site: Site) -> None:
    queue = site.queue()
    *log, response = invoke(site, queue, *({"name": name} for name in GOOD[:5]))
    late = [f"id-{number}" for number in (3, 4)]
    assert response == {
        "batchItemFailures": [{"itemIdentifier": each} for each in late]
    }
    lines = [line for line in log if line["outcome"] == "not started"]
    assert [line["messageId"] for line in lines] == late
    assert [line["notStarted"] for line in lines] == [1, 1]
    assert queue.attempts() == GOOD[:3]


@fault(
    "`sys.exit` or a panic of an extension module in a Lambda's batch",
    "only its message returns",
)
@pytest.mark.parametrize("end", ["exit", "panic"])
def test_lambda_answers_after_any_error(site: Site, end: str) -> None:
    bad = {"name": "bad", "end": end}
    *_, response = invoke(site, site.queue(), bad, {"name": "good"})
    assert response == {"batchItemFailures": [{"itemIdentifier": "id-0"}]}


@fault(
    "a batch size or a timeout of a Lambda with which some messages never start",
    "each make target refuses it with a sentence",
)
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"timeout": 5}, "timeout is 5: use 10 to 900"),
        ({"timeout": 10, "batch_size": 10}, "use 6 or less"),
        ({"batch_size": 20}, "or a batch_window of 1 or more"),
        ({"batch_size": "many"}, "use a whole number"),
    ],
)
def test_unsafe_batch_is_refused(
    baked: Project, settings: dict[str, int | str], message: str
) -> None:
    config = baked.path / "config" / "deploy.yml"
    text = config.read_text(encoding="utf-8")
    changed = text.replace("  worker: {}\n", f"  worker: {json.dumps(settings)}\n")
    assert changed != text
    config.write_text(changed, encoding="utf-8")
    refused = baked.make("plan", "ENV=dev", check=False)
    assert refused.returncode != 0
    assert message in refused.stdout
    assert "Traceback" not in refused.stdout
