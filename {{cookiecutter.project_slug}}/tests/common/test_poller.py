"""The poller: messages, visibility, heartbeat, outages, shutdown."""

import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from box import Box

import heartbeat
import in_flight
import message_queue
import poller
from context import CustomContext
from errors import UnreachableError
from message_queue import Lease, QueueError
from poller import Poller
from settings import SettingsError
from tests.context import bare_context
from tests.mock.aws import MockSqs

Handle = Callable[[str, str, CustomContext], None]


class Work:
    """A handler of messages. It fails the first time that a body is `bad`."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, message: str, body: str, context: CustomContext) -> None:
        """Process a message."""
        assert 0 < context.time_remaining() <= 30
        self.seen.append(body)
        if body == "bad" and self.seen.count("bad") == 1:
            raise ValueError("bad message")


@pytest.fixture
def context() -> CustomContext:
    """Return a context whose poller stops when the queue is empty."""
    return bare_context("--read_queue=worker-pending", "--drain", "--poll_interval=0")


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "MAX_PAUSE", 0.001)
    monkeypatch.setattr(in_flight, "BATCH_DELAY", 0.001)
    monkeypatch.setattr(heartbeat, "INTERVAL", 0.001)


@pytest.fixture
def _short_visibility(context: CustomContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the visibility of messages end after 0.06 seconds."""
    context.sqs.visibility = 0
    monkeypatch.setattr(message_queue, "MIN_VISIBILITY", 0.06)


def poll(context: CustomContext, handle: Handle, stop: threading.Event) -> bool:
    """Poll the context's queue; return whether all started messages finished."""
    return Poller(lambda: context, handle, stop).poll()


def test_done_messages_are_deleted(context: CustomContext) -> None:
    bodies = [str(number) for number in range(25)]
    context.sqs.send(*bodies)
    work = Work()
    assert poll(context, work, threading.Event())
    assert work.seen == bodies
    assert not context.sqs.visible
    assert not context.sqs.in_flight
    assert context.sqs.requests["delete_message_batch"] < 15


def test_only_failed_message_returns(context: CustomContext) -> None:
    context.sqs.send("a", "bad", "c")
    work = Work()
    assert poll(context, work, threading.Event())
    assert work.seen == ["a", "bad", "c", "bad"]
    assert context.sqs.return_delays == [10]


def test_retry_delay_doubles_with_each_receive(context: CustomContext) -> None:
    context.sqs.send("bad")
    context.sqs.visible[0]["Attributes"] = {"ApproximateReceiveCount": "3"}
    poll(context, Work(), threading.Event())
    assert context.sqs.return_delays == [40]


def test_stop_finishes_running_message(context: CustomContext) -> None:
    stop = threading.Event()
    context.sqs.send("a", "b", "c")
    assert poll(context, lambda *_: stop.set(), stop)
    assert sorted(each["Body"] for each in context.sqs.visible) == ["b", "c"]
    assert not context.sqs.in_flight


def test_message_past_grace_period_returns() -> None:
    context = bare_context("--read_queue=worker-pending", "--grace=0")
    stop, end = threading.Event(), threading.Event()

    def handle(*_: object) -> None:
        stop.set()
        end.wait(10)

    context.sqs.send("a")
    assert not poll(context, handle, stop)
    assert [message["Body"] for message in context.sqs.visible] == ["a"]
    end.set()


def test_stop_returns_queued_messages() -> None:
    """They return at once, while a running message still has its grace period."""
    context = bare_context("--read_queue=worker-pending", "--grace=10")
    stop = threading.Event()
    visible_at_end: list[str] = []

    def handle(*_: object) -> None:
        stop.set()
        assert context.sqs.returned.wait(10)
        visible_at_end.extend(each["Body"] for each in context.sqs.visible)

    context.sqs.send("a", "b", "c")
    assert poll(context, handle, stop)
    assert "b" in visible_at_end
    assert sorted(each["Body"] for each in context.sqs.visible) == ["b", "c"]


def test_once_stops_after_one_batch() -> None:
    context = bare_context("--read_queue=worker-pending", "--once")
    context.sqs.send(*"abcdefghijklmnop")
    work = Work()
    assert poll(context, work, threading.Event())
    assert work.seen == list("abcdefghij")
    assert len(context.sqs.visible) == 6


@pytest.mark.usefixtures("_short_visibility")
def test_visibility_is_extended_while_running(context: CustomContext) -> None:
    context.sqs.send("a")
    seen = []

    def handle(message: str, body: str, context: CustomContext) -> None:
        sqs: MockSqs = context.sqs
        seen.append(sqs.extended.wait(10))

    assert poll(context, handle, threading.Event())
    assert seen == [True]


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether a condition holds within 10 seconds."""
    deadline = monotonic() + 10
    while not (value := condition()) and monotonic() < deadline:
        threading.Event().wait(0.001)
    return value


@pytest.mark.usefixtures("_short_visibility")
def test_heartbeat_stops_when_function_is_stuck(
    context: CustomContext, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A busy function asks for the time left, a stuck one does not."""
    file = tmp_path / "heartbeat"
    context.var = Box(context.var, heartbeat=str(file), stuck_after=0.01)
    context.sqs.send("a")
    seen = []

    def is_beating() -> bool:
        file.unlink(missing_ok=True)
        threading.Event().wait(0.003)
        return file.exists()

    def handle(message: str, body: str, context: CustomContext) -> None:
        busy_until = monotonic() + 0.02
        while monotonic() < busy_until:
            context.time_remaining()
        seen.append(eventually(lambda: context.time_remaining() >= 0 and is_beating()))
        seen.append(eventually(lambda: "stuck: message message-1" in caplog.text))
        seen.append(eventually(lambda: not is_beating()))

    assert poll(context, handle, threading.Event())
    assert seen == [True, True, True]


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
    stop = threading.Event()

    def delete_message_batch(**_: object) -> dict[str, object]:
        assert eventually(lambda: "stuck: acknowledger" in caplog.text)
        stop.set()
        return {}

    context.var = Box(context.var, heartbeat=str(tmp_path / "heartbeat"))
    context.sqs.delete_message_batch = delete_message_batch
    context.sqs.send("a")
    assert poll(context, Work(), stop)
    assert stop.is_set()


def test_unwritable_heartbeat_is_an_error(tmp_path: Path) -> None:
    args = ("--read_queue=worker-pending", f"--heartbeat={tmp_path}/no/where")
    with pytest.raises(SettingsError, match="no/where cannot be written"):
        poll(bare_context(*args), Work(), threading.Event())


def test_fifo_group_stops_at_first_failure() -> None:
    context = bare_context("--read_queue=https://sqs.example/q.fifo", "--once")
    context.sqs.send("a", "bad", "c", "d")
    for message, group in zip(context.sqs.visible, "1112", strict=True):
        message["Attributes"] = {"MessageGroupId": group}
    work = Work()
    poll(context, work, threading.Event())
    assert work.seen == ["a", "bad", "d"]


def test_polling_resumes_after_outage(context: CustomContext) -> None:
    context.sqs.send("a")
    seen: list[str] = []

    def handle(message: str, body: str, context: CustomContext) -> None:
        seen.append(body)
        if len(seen) == 1:
            raise UnreachableError("the database cannot be reached")

    assert poll(context, handle, threading.Event())
    assert seen == ["a", "a"]
    assert context.sqs.return_delays == [1]


class ClosedError(Exception):
    """A connection was closed before the response, as botocore raises it."""

    response = None


def test_failed_sqs_request_is_retried(context: CustomContext) -> None:
    context.sqs.failures = [ConnectionError("refused"), ClosedError("in mid-request")]
    context.sqs.send("a")
    work = Work()
    assert poll(context, work, threading.Event())
    assert work.seen == ["a"]


class ClientError(Exception):
    """An error as botocore raises it."""

    def __init__(self, code: str) -> None:
        self.response = {"Error": {"Code": code}}


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


def test_lease_returns_time_left() -> None:
    lease = Lease(0)
    assert lease.get_remaining_time_in_millis() == 0
    lease.extend(60)
    assert 59_000 < lease.get_remaining_time_in_millis() <= 60_000
