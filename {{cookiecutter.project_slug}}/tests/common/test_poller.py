"""The poller: messages, visibility, heartbeat, outages, shutdown."""

import threading
from asyncio import CancelledError
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from box import Box

import errors
import heartbeat
import in_flight
import message_queue
import poller
import slow_start
from context import CustomContext
from drain import DrainError
from errors import UnreachableError
from message import Message
from message_queue import QueueError, ReceivedMessage
from poller import Poller
from settings import SettingsError
from tests.context import bare_context
from tests.mock.aws import MockBoto3, MockSqs

Handle = Callable[[ReceivedMessage, CustomContext], None]


class Work:
    """A handler of messages. It fails the first time that a body is `bad`."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, message: ReceivedMessage, context: CustomContext) -> None:
        """Process a message."""
        assert 0 < context.time_remaining() <= 30
        self.seen.append(message.body)
        if message.body == "bad" and self.seen.count("bad") == 1:
            raise ValueError("bad message")


@pytest.fixture
def context() -> CustomContext:
    """Return a context whose poller stops when the queue is empty."""
    return bare_context("--read_queue=worker-pending", "--drain", "--poll_interval=0")


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "MAX_PAUSE", 0.001)
    monkeypatch.setattr(poller, "CHECK_INTERVAL", 0.005)
    monkeypatch.setattr(in_flight, "BATCH_DELAY", 0.001)
    monkeypatch.setattr(in_flight, "RETRY_DELAY", 0.001)
    monkeypatch.setattr(heartbeat, "INTERVAL", 0.001)


@pytest.fixture
def _short_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a running message make room for the next one after 0.01 seconds."""
    monkeypatch.setattr(slow_start, "START_WITHIN", 0.01)


@pytest.fixture
def _short_visibility(context: CustomContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the visibility of messages end after 0.06 seconds."""
    context.sqs.visibility = 0
    monkeypatch.setattr(message_queue, "MIN_VISIBILITY", 0.06)


def poll(context: CustomContext, handle: Handle, stop: threading.Event) -> bool:
    """Poll; return whether all messages finished. It must end within a minute."""
    is_late = threading.Event()

    def end() -> None:
        is_late.set()
        stop.set()

    deadline = threading.Timer(60, end)
    deadline.start()
    try:
        return Poller(lambda: context, handle, stop).poll()
    finally:
        deadline.cancel()
        assert not is_late.is_set(), "the poller did not end"


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether a condition holds within a minute."""
    deadline = monotonic() + 60
    while not (value := condition()) and monotonic() < deadline:
        sleep(0.001)
    return value


class ClientError(Exception):
    """An error as botocore raises it."""

    def __init__(self, code: str) -> None:
        self.response = {"Error": {"Code": code}}


class Panic(BaseException):
    """An error like the `PanicException` of extension modules in Rust."""


def test_done_messages_are_deleted(
    context: CustomContext, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "function")
    bodies = [str(number) for number in range(25)]
    context.sqs.send(*bodies)
    work = Work()
    assert poll(context, work, threading.Event())
    assert work.seen == bodies
    assert not context.sqs.visible
    assert not context.sqs.in_flight
    assert context.sqs.requests["delete_message_batch"] < 15
    assert caplog.messages == ["polling https://sqs.example/worker-pending"]


def test_poller_waits_as_long_as_its_setting() -> None:
    context = bare_context("--read_queue=worker-pending", "--poll_interval=7", "--once")
    context.sqs.send("a")
    assert poll(context, Work(), threading.Event())
    assert context.sqs.waits == [7]


def test_draining_poller_waits_for_up_to_a_second() -> None:
    context = bare_context(
        "--read_queue=worker-pending", "--poll_interval=7", "--drain"
    )
    context.sqs.send("a")
    assert poll(context, Work(), threading.Event())
    assert set(context.sqs.waits) == {1}


def test_contexts_are_closed_at_the_end() -> None:
    args = ("--read_queue=worker-pending", "--poll_interval=0", "--once")
    boto3, contexts = MockBoto3(), []

    def make_context() -> CustomContext:
        contexts.append(bare_context(*args, boto3=boto3))
        return contexts[-1]

    boto3.clients["sqs"].send("a")

    def handle(message: ReceivedMessage, context: CustomContext) -> None:
        assert context is contexts[1]
        assert not context.rds.is_closed

    assert Poller(make_context, handle, threading.Event()).poll()
    assert contexts[1].rds.is_closed


def test_only_failed_message_returns(context: CustomContext) -> None:
    context.sqs.send("a", "bad", "c")
    work = Work()
    assert poll(context, work, threading.Event())
    assert work.seen == ["a", "bad", "c", "bad"]
    assert context.sqs.return_delays == [10]


@pytest.mark.parametrize(("receives", "delay"), [(3, 40), (7, 640), (8, 900)])
def test_retry_delay_doubles_with_each_receive(
    context: CustomContext, receives: int, delay: int
) -> None:
    context.sqs.send("bad", ApproximateReceiveCount=str(receives - 1))
    poll(context, Work(), threading.Event())
    assert context.sqs.return_delays == [delay]


def test_stop_finishes_running_message(context: CustomContext) -> None:
    stop = threading.Event()
    context.sqs.send("a", "b", "c")
    assert poll(context, lambda *_: stop.set(), stop)
    assert sorted(each["Body"] for each in context.sqs.visible) == ["b", "c"]
    assert not context.sqs.in_flight


def test_message_past_grace_period_returns(caplog: pytest.LogCaptureFixture) -> None:
    context = bare_context("--read_queue=worker-pending", "--grace=0")
    stop, end = threading.Event(), threading.Event()

    def handle(*_: object) -> None:
        stop.set()
        end.wait(10)

    context.sqs.send("a")
    assert not poll(context, handle, stop)
    assert [message["Body"] for message in context.sqs.visible] == ["a"]
    assert context.sqs.return_delays == [0]
    assert "message-1 returned to the queue: the grace period ended" in caplog.text
    end.set()


def test_stop_starts_no_message_of_a_busy_worker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its queued messages return, while the running one has its grace period."""
    context = bare_context("--read_queue=worker-pending", "--grace=10")
    monkeypatch.setattr(poller, "START_WITHIN", 0.001)
    stop, work = threading.Event(), Work()

    def handle(message: ReceivedMessage, context: CustomContext) -> None:
        work(message, context)
        if message.body == "b":
            stop.set()
            assert context.sqs.returned.wait(10)

    context.sqs.send(*"abcdefgh")
    assert poll(context, handle, stop)
    assert work.seen == ["a", "b"]
    assert not context.sqs.in_flight
    assert "message-3 returned to the queue: no worker was idle" in caplog.text


def test_stop_leaves_a_second_to_start_messages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those that are in flight already, if their worker becomes idle by then."""
    context = bare_context("--read_queue=worker-pending", "--grace=10")
    monkeypatch.setattr(poller, "START_WITHIN", 10)
    stop, work = threading.Event(), Work()

    def handle(message: ReceivedMessage, context: CustomContext) -> None:
        work(message, context)
        if message.body == "b":
            stop.set()
            assert not context.sqs.returned.wait(0.05)

    context.sqs.send(*"abcdefgh")
    assert poll(context, handle, stop)
    assert work.seen == ["a", "b", "c"]
    assert len(context.sqs.visible) == 5


def test_once_stops_after_one_batch() -> None:
    context = bare_context("--read_queue=worker-pending", "--once")
    context.sqs.send(*"abcdefghijklmnop")
    work = Work()
    assert poll(context, work, threading.Event())
    assert work.seen == list("abcdefghij")
    assert len(context.sqs.visible) == 6


def test_poller_asks_for_more_after_each_success(context: CustomContext) -> None:
    context.sqs.send(*map(str, range(40)))
    assert poll(context, Work(), threading.Event())
    assert context.sqs.limits[0] == 1
    assert context.sqs.limits == sorted(context.sqs.limits)
    assert context.sqs.limits[-1] == 10


def test_poller_asks_for_one_after_a_failure(context: CustomContext) -> None:
    context.sqs.send("a", "b", "bad", "c", "d", "e")
    assert poll(context, Work(), threading.Event())
    assert context.sqs.limits[:4] == [1, 2, 1, 2]


def test_poller_goes_on_when_the_queue_is_empty() -> None:
    """Then it asks for one message, as at its start."""
    context = bare_context("--read_queue=worker-pending", "--poll_interval=0")
    stop, receive = threading.Event(), context.sqs.receive_message
    later = ["", "i", "", "j", ""]

    def receive_message(**arguments: Any) -> dict[str, Any]:
        response: dict[str, Any] = receive(**arguments)
        if not response and not context.sqs.in_flight:
            if not later:
                stop.set()
            elif body := later.pop(0):
                context.sqs.send(body)
        return response

    context.sqs.send(*"abcdefgh")
    context.sqs.receive_message = receive_message
    work = Work()
    assert poll(context, work, stop)
    assert work.seen == list("abcdefghij")
    assert context.sqs.limits[-3] > 1
    assert context.sqs.limits[-2:] == [1, 1]


def test_poller_asks_for_one_message_per_worker() -> None:
    """Without successes, a poller never holds a message that no worker has started."""
    args = ("--read_queue=worker-pending", "--workers=3")
    context, stop = bare_context(*args, "--grace=0"), threading.Event()
    started = threading.Semaphore(0)

    def handle(message: ReceivedMessage, context: CustomContext) -> None:
        started.release()
        stop.wait(10)

    context.sqs.send(*"abcdefgh")
    polling = threading.Thread(target=poll, args=(context, handle, stop))
    polling.start()
    assert started.acquire(timeout=10)
    assert eventually(lambda: len(context.sqs.in_flight) == 1)
    stop.set()
    polling.join(10)
    assert sum(context.sqs.limits) == 1


def test_failed_delete_is_sent_again(context: CustomContext) -> None:
    context.sqs.refused = [("delete", "b"), ("delete", "b")]
    context.sqs.send("a", "b", "c")
    work = Work()
    assert poll(context, work, threading.Event())
    assert work.seen == ["a", "b", "c"]
    assert not context.sqs.in_flight
    assert not context.sqs.refused


def test_failed_return_is_sent_again(context: CustomContext) -> None:
    context.sqs.refused = [("return", "bad")]
    context.sqs.send("bad")
    work = Work()
    assert poll(context, work, threading.Event())
    assert work.seen == ["bad", "bad"]
    assert context.sqs.return_delays == [10]


def test_done_message_delivered_again_is_deleted(context: CustomContext) -> None:
    work, delete = Work(), context.sqs.delete_message_batch

    def lose_first_request(**arguments: Any) -> dict[str, Any]:
        context.sqs.redeliver()
        context.sqs.delete_message_batch = delete
        return {}

    context.sqs.delete_message_batch = lose_first_request
    context.sqs.send("a")
    assert poll(context, work, threading.Event())
    assert work.seen == ["a"]
    assert not context.sqs.in_flight


@pytest.mark.usefixtures("_short_start")
def test_running_message_is_not_run_twice(context: CustomContext) -> None:
    context.var = Box(context.var, workers=2)
    work = Work()

    def handle(message: ReceivedMessage, context: CustomContext) -> None:
        work(message, context)
        if message.body == "b":
            assert eventually(lambda: len(context.sqs.in_flight) == 1)
            context.sqs.redeliver()
            assert eventually(lambda: not context.sqs.visible)

    context.sqs.send("a", "b")
    assert poll(context, handle, threading.Event())
    assert sorted(work.seen) == ["a", "b"]
    assert not context.sqs.in_flight


@pytest.mark.parametrize("error", [SystemExit(3), CancelledError(), Panic("oops")])
def test_any_error_fails_only_its_message(
    context: CustomContext, error: BaseException
) -> None:
    """Errors like `SystemExit` are no subclasses of `Exception`."""
    errors, work = [error], Work()

    def handle(message: ReceivedMessage, context: CustomContext) -> None:
        work(message, context)
        if message.body == "a" and errors:
            raise errors.pop()

    context.sqs.send("a", "b")
    assert poll(context, handle, threading.Event())
    assert sorted(work.seen) == ["a", "a", "b"]
    assert not context.sqs.in_flight


def test_error_before_the_function_fails_message(
    context: CustomContext, caplog: pytest.LogCaptureFixture
) -> None:
    errors = [OSError(24, "Too many open files")]
    contexts = iter([context])

    def make_context() -> CustomContext:
        if (first := next(contexts, None)) is None and errors:
            raise errors.pop()
        return first or context

    context.sqs.send("a")
    work = Work()
    assert Poller(make_context, work, threading.Event()).poll()
    assert work.seen == ["a"]
    assert context.sqs.return_delays == [10]
    assert "message-1 failed before the function started: OSError" in caplog.text
    [line] = [each for each in caplog.records if hasattr(each, "metrics")]
    assert line.__dict__["metrics"] == {"notStarted": 1}
    assert line.exc_info  # it is a bug


def test_message_done_at_grace_end_is_deleted() -> None:
    context = bare_context("--read_queue=worker-pending", "--grace=0")
    stop, delete = threading.Event(), context.sqs.delete_message_batch

    def delete_after_stop(**arguments: Any) -> dict[str, Any]:
        assert stop.wait(10)
        response: dict[str, Any] = delete(**arguments)
        return response

    def handle(message: ReceivedMessage, context: CustomContext) -> None:
        if message.body == "l":
            stop.set()

    context.sqs.delete_message_batch = delete_after_stop
    context.sqs.send(*"abcdefghijklmnopqrst")
    poll(context, handle, stop)
    assert len(context.sqs.visible) <= 20 - 12 + 1
    assert not {each["Body"] for each in context.sqs.visible} & set("abcdefghijk")


@pytest.mark.usefixtures("_short_start")
def test_hung_function_and_deleted_queue_end() -> None:
    args = ("--read_queue=worker-pending", "--grace=0", "--workers=2")
    context, end = bare_context(*args), threading.Event()
    left: list[bool] = []

    def handle(message: ReceivedMessage, context: CustomContext) -> None:
        if message.body == "b":
            context.sqs.failures = [ClientError("QueueDoesNotExist")]
            left.append(end.wait(10))

    context.sqs.send("a", "b")
    with pytest.raises(QueueError, match="there is no queue"):
        poll(context, handle, threading.Event())
    assert not left
    end.set()


def test_sqs_that_never_answers_is_left() -> None:
    context = bare_context("--read_queue=worker-pending", "--grace=0")
    stop, end = threading.Event(), threading.Event()

    def never_answer(**_: object) -> dict[str, object]:
        stop.set()
        end.wait(10)
        return {}

    context.sqs.receive_message = never_answer
    assert not poll(context, Work(), stop)
    end.set()


@pytest.mark.usefixtures("_short_visibility")
def test_visibility_is_extended_while_running(context: CustomContext) -> None:
    context.sqs.send("a")
    seen = []

    def handle(message: ReceivedMessage, context: CustomContext) -> None:
        sqs: MockSqs = context.sqs
        seen.append(sqs.extended.wait(10))

    assert poll(context, handle, threading.Event())
    assert seen == [True]


@pytest.mark.usefixtures("_short_visibility")
def test_heartbeat_stops_when_function_is_stuck(
    context: CustomContext, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A busy function asks for the time left, a stuck one does not."""
    file = tmp_path / "heartbeat"
    context.var = Box(
        context.var, heartbeat=str(file), stuck_after=0.01, drain=False, once=True
    )
    context.sqs.send("a")
    seen = []

    def is_beating() -> bool:
        file.unlink(missing_ok=True)
        sleep(0.003)
        return file.exists()

    def handle(message: ReceivedMessage, context: CustomContext) -> None:
        busy_until = monotonic() + 0.02
        while monotonic() < busy_until:
            context.time_remaining()
        seen.append(eventually(lambda: context.time_remaining() >= 0 and is_beating()))
        seen.append(eventually(lambda: "stuck: message message-1" in caplog.text))
        seen.append(eventually(lambda: not is_beating()))

    assert poll(context, handle, threading.Event())
    assert seen == [True, True, True]


@pytest.mark.usefixtures("_short_visibility")
def test_stuck_function_is_logged_without_file(
    context: CustomContext, caplog: pytest.LogCaptureFixture
) -> None:
    context.var = Box(context.var, stuck_after=0.01, drain=False, once=True)
    context.sqs.send("a")

    def handle(message: ReceivedMessage, context: CustomContext) -> None:
        assert eventually(lambda: "stuck: message message-1" in caplog.text)

    assert poll(context, handle, threading.Event())
    assert not context.sqs.return_delays


@pytest.mark.usefixtures("_short_start")
@pytest.mark.parametrize("workers", [1, 2])
def test_drain_ends_when_function_is_stuck(
    context: CustomContext, workers: int
) -> None:
    context.var = Box(context.var, stuck_after=0.05, grace=0, workers=workers)
    context.sqs.send("a")
    end = threading.Event()

    def handle(message: ReceivedMessage, context: CustomContext) -> None:
        end.wait()

    try:
        with pytest.raises(DrainError, match="ended: stuck: message message-1"):
            poll(context, handle, threading.Event())
    finally:
        end.set()


def test_drain_leaves_messages_that_always_fail(context: CustomContext) -> None:
    context.var = Box(context.var, retry_delay=0)
    context.sqs.redrive_policy = ""
    context.sqs.send("a", "bad")
    seen = []

    def handle(message: ReceivedMessage, context: CustomContext) -> None:
        seen.append(message.body)
        if message.body == "bad":
            raise ValueError("bad message")

    with pytest.raises(DrainError, match="after 3 receives or more: message-2"):
        poll(context, handle, threading.Event())
    assert seen.count("a") == 1
    assert seen.count("bad") >= 3


@pytest.mark.usefixtures("_short_start")
def test_drain_forgets_failures_of_message_that_is_done(context: CustomContext) -> None:
    context.var = Box(context.var, retry_delay=0, workers=2)
    context.sqs.redrive_policy = ""
    context.sqs.send("a", ApproximateReceiveCount="2")
    context.sqs.send("b")
    seen: list[str] = []

    def handle(message: ReceivedMessage, context: CustomContext) -> None:
        seen.append(message.body)
        if message.body == "b":
            assert eventually(lambda: seen.count("a") == 2)
        elif seen.count("a") == 1:
            raise ValueError("bad message")

    assert poll(context, handle, threading.Event())
    assert sorted(seen) == ["a", "a", "b"]


def test_next_message_runs_during_delete(context: CustomContext) -> None:
    work, delete = Work(), context.sqs.delete_message_batch

    def delete_message_batch(**arguments: Any) -> dict[str, Any]:
        assert eventually(lambda: work.seen == ["a", "b"])
        response: dict[str, Any] = delete(**arguments)
        return response

    context.var = Box(context.var, poll_batch_size=1)
    context.sqs.delete_message_batch = delete_message_batch
    context.sqs.send("a", "b")
    assert poll(context, work, threading.Event())
    assert not context.sqs.in_flight


def test_heartbeat_stops_when_sqs_hangs(
    context: CustomContext,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(heartbeat, "MAX_SILENCE", 0.01)
    stop, delete = threading.Event(), context.sqs.delete_message_batch

    def delete_message_batch(**arguments: Any) -> dict[str, Any]:
        assert eventually(lambda: "stuck: acknowledger" in caplog.text)
        stop.set()
        response: dict[str, Any] = delete(**arguments)
        return response

    context.var = Box(context.var, heartbeat=str(tmp_path / "heartbeat"))
    context.sqs.delete_message_batch = delete_message_batch
    context.sqs.send("a")
    assert poll(context, Work(), stop)
    assert stop.is_set()


def test_receiver_that_hangs_is_logged(
    context: CustomContext,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(heartbeat, "MAX_SILENCE", 0.01)
    receive = context.sqs.receive_message

    def receive_message(**arguments: Any) -> dict[str, Any]:
        assert eventually(lambda: "stuck: receiver" in caplog.text)
        response: dict[str, Any] = receive(**arguments)
        return response

    context.sqs.receive_message = receive_message
    assert poll(context, Work(), threading.Event())


def test_unwritable_heartbeat_is_an_error(tmp_path: Path) -> None:
    args = ("--read_queue=worker-pending", f"--heartbeat={tmp_path}/no/where")
    with pytest.raises(SettingsError, match="no/where cannot be written"):
        poll(bare_context(*args), Work(), threading.Event())


def test_fifo_queue_is_asked_for_one_message() -> None:
    """A second message of the group would spend a receive if the first one fails."""
    args = ("--drain", "--poll_interval=0", "--workers=4")
    context = bare_context("--read_queue=https://sqs.example/q.fifo", *args)
    context.sqs.send(*"abcdefgh", MessageGroupId="1")
    work = Work()
    assert poll(context, work, threading.Event())
    assert work.seen == list("abcdefgh")
    assert set(context.sqs.limits) == {1}


def test_groups_of_fifo_queue_are_received_one_by_one() -> None:
    args = ("--drain", "--poll_interval=0", "--poll_batch_size=10")
    context = bare_context("--read_queue=https://sqs.example/q.fifo", *args)
    for body in "abcdefgh":
        context.sqs.send(body, MessageGroupId=body)
    assert poll(context, Work(), threading.Event())
    assert set(context.sqs.limits) == {1}


def test_groups_of_fifo_queue_run_one_by_one() -> None:
    args = ("--drain", "--poll_interval=0", "--workers=2")
    context = bare_context("--read_queue=https://sqs.example/q.fifo", *args)
    for body in "abcdefgh":
        context.sqs.send(body, MessageGroupId=body)
    is_last_running, together = threading.Event(), []

    def handle(message: ReceivedMessage, _: CustomContext) -> None:
        if message.body == "h":
            is_last_running.set()
        elif message.body == "g":
            together.append(is_last_running.wait(0.05))

    assert poll(context, handle, threading.Event())
    assert together == [False]


def test_groups_of_standard_queue_are_independent(context: CustomContext) -> None:
    context.sqs.send("a", "bad", "c", "d", "e", MessageGroupId="tenant")
    work = Work()
    assert poll(context, work, threading.Event())
    assert sorted(work.seen) == ["a", "bad", "bad", "c", "d", "e"]
    assert context.sqs.return_delays == [10]


def test_polling_resumes_after_outage(
    context: CustomContext,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "function")
    context.sqs.send("a")
    seen: list[str] = []
    outage = UnreachableError("the database cannot be reached")
    answers: list[Exception | None] = [outage, outage, None]

    def check() -> None:
        if error := answers.pop(0):
            raise error

    monkeypatch.setattr(context.rds, "check", check)

    def handle(message: ReceivedMessage, context: CustomContext) -> None:
        seen.append(message.body)
        if len(seen) == 1:
            raise outage

    assert poll(context, handle, threading.Event())
    assert seen == ["a", "a"]
    assert context.sqs.return_delays == [1]
    assert not answers
    assert (
        caplog.messages.count(
            "waiting for S3 or the database: UnreachableError: the database cannot be "
            "reached"
        )
        == 1
    )
    assert "resumed" in caplog.messages


class PartnerError(Exception):
    """The error of an HTTP client that a project declares."""


@pytest.mark.parametrize(
    "outage", [PartnerError("no route"), UnreachableError("DynamoDB does not respond")]
)
def test_outage_of_other_service_delays_its_messages(
    context: CustomContext, monkeypatch: pytest.MonkeyPatch, outage: Exception
) -> None:
    """The database responds, so the others go on."""
    monkeypatch.setattr(errors, "_client_errors", {"http": (PartnerError,)})
    context.sqs.send("down", ApproximateReceiveCount="1")
    context.sqs.send("a", "b")
    assert context.rds
    seen: list[str] = []

    def handle(message: ReceivedMessage, _: CustomContext) -> None:
        seen.append(message.body)
        if message.body == "down" and seen.count("down") < 3:
            raise outage

    assert poll(context, handle, threading.Event())
    assert sorted(seen) == ["a", "b", "down", "down", "down"]
    assert context.sqs.return_delays == [20, 40]


def test_context_has_current_message(context: CustomContext) -> None:
    context.sqs.send("a", SentTimestamp="1767600000000", MessageGroupId="tenant")
    messages: list[Message | None] = []
    assert poll(context, lambda _, own: messages.append(own.message), threading.Event())
    [message] = messages
    assert message
    assert (message.body, message.receive_count, message.group) == ("a", 1, "tenant")
    assert message.sent_at == datetime(2026, 1, 5, 8, tzinfo=UTC)


class ClosedError(Exception):
    """A connection was closed before the response, as botocore raises it."""

    response = None


def test_failed_sqs_request_is_retried(
    context: CustomContext, caplog: pytest.LogCaptureFixture
) -> None:
    context.sqs.failures = [ConnectionError("refused"), ClosedError("in mid-request")]
    context.sqs.send("a")
    work = Work()
    assert poll(context, work, threading.Event())
    assert work.seen == ["a"]
    assert "waiting for SQS: ConnectionError: refused" in caplog.messages


class Stop(threading.Event):
    """An event that records how long it was waited for, and waits for no time."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Return whether it is set."""
        self.waits.append(timeout or 0)
        return self.is_set()


def test_pauses_double_until_a_request_succeeds(
    context: CustomContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller, "MAX_PAUSE", 1)
    monkeypatch.setattr("poller.random.uniform", lambda low, high: high - low / 2)
    receive, errors = context.sqs.receive_message, [ConnectionError("refused")]

    def fail_once(**arguments: Any) -> Any:
        if errors:
            raise errors.pop()
        return receive(**arguments)

    context.sqs.failures = [ConnectionError("refused")] * 4  # of the lookup
    context.sqs.receive_message = fail_once
    stop = Stop()
    assert poll(context, Work(), stop)
    assert stop.waits == pytest.approx([0.3, 0.6, 0.75, 0.75, 0.3])


def test_refused_endpoint_stops_the_poller(context: CustomContext) -> None:
    context.sqs.failures = [SettingsError("boto3 refuses the endpoint of sqs")]
    with pytest.raises(SettingsError, match="boto3 refuses the endpoint"):
        poll(context, Work(), threading.Event())


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("AWS.SimpleQueueService.NonExistentQueue", "there is no queue worker-pending"),
        ("AccessDeniedException", "access to worker-pending is denied"),
        ("ExpiredTokenException", "the AWS credentials have expired"),
    ],
)
def test_permanent_sqs_error_names_remedy(
    context: CustomContext, code: str, message: str
) -> None:
    context.sqs.failures = [ClientError(code)]
    with pytest.raises(QueueError, match=message):
        poll(context, Work(), threading.Event())
