"""The poller: what becomes of messages."""

import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from box import Box

import poller
from context import CustomContext
from poller import Lease, Poller, PollerError
from settings import SettingsError
from tests.context import bare_context
from tests.mock.aws import MockSqs

Handle = Callable[[str, str, CustomContext], None]


class Work:
    """Handles messages; a body of `bad` fails the first time."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, message: str, body: str, context: CustomContext) -> None:
        """Handle a message."""
        assert 0 < context.time_remaining() <= 30
        self.seen.append(body)
        if body == "bad" and self.seen.count("bad") == 1:
            raise ValueError("bad message")


@pytest.fixture
def context() -> CustomContext:
    """Return a context whose queue is polled until it is empty."""
    return bare_context("--read_queue=worker-pending", "--drain", "--poll_interval=0")


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "LONGEST_PAUSE", 0.001)
    monkeypatch.setattr(poller, "LINGER", 0.001)
    monkeypatch.setattr(poller, "BEAT", 0.001)


def poll(context: CustomContext, handle: Handle, stop: threading.Event) -> bool:
    """Poll the context's queue."""
    return Poller(lambda: context, handle, stop).poll()


def test_messages_that_are_done_are_deleted(context: CustomContext) -> None:
    bodies = [str(number) for number in range(25)]
    context.sqs.send(*bodies)
    work = Work()
    assert poll(context, work, threading.Event())
    assert work.seen == bodies
    assert not context.sqs.waiting
    assert not context.sqs.in_flight
    assert context.sqs.requests["delete_message_batch"] < 15


def test_message_that_fails_comes_back_and_the_others_are_done_once(
    context: CustomContext,
) -> None:
    context.sqs.send("a", "bad", "c")
    work = Work()
    assert poll(context, work, threading.Event())
    assert work.seen == ["a", "bad", "c", "bad"]
    assert context.sqs.hidden_for == [10]


def test_message_comes_back_later_each_time(context: CustomContext) -> None:
    context.sqs.send("bad")
    context.sqs.waiting[0]["Attributes"] = {"ApproximateReceiveCount": "3"}
    poll(context, Work(), threading.Event())
    assert context.sqs.hidden_for == [40]


def test_stop_finishes_the_message_in_hand_and_gives_the_others_back(
    context: CustomContext,
) -> None:
    stop = threading.Event()
    context.sqs.send("a", "b", "c")
    assert poll(context, lambda *_: stop.set(), stop)
    assert sorted(each["Body"] for each in context.sqs.waiting) == ["b", "c"]
    assert not context.sqs.in_flight


def test_message_that_takes_longer_than_the_grace_time_is_given_back() -> None:
    context = bare_context("--read_queue=worker-pending", "--grace=0")
    stop, end = threading.Event(), threading.Event()

    def handle(*_: object) -> None:
        stop.set()
        end.wait(10)

    context.sqs.send("a")
    assert not poll(context, handle, stop)
    assert [message["Body"] for message in context.sqs.waiting] == ["a"]
    end.set()


def test_what_waits_is_given_back_at_once_while_a_message_takes_its_grace_time() -> (
    None
):
    context = bare_context("--read_queue=worker-pending", "--grace=10")
    stop = threading.Event()
    waiting_when_done: list[str] = []

    def handle(*_: object) -> None:
        stop.set()
        assert context.sqs.given_back.wait(10)
        waiting_when_done.extend(each["Body"] for each in context.sqs.waiting)

    context.sqs.send("a", "b", "c")
    assert poll(context, handle, stop)
    assert "b" in waiting_when_done
    assert sorted(each["Body"] for each in context.sqs.waiting) == ["b", "c"]


def test_once_ends_after_one_batch() -> None:
    context = bare_context("--read_queue=worker-pending", "--once")
    context.sqs.send(*"abcdefghijklmnop")
    work = Work()
    assert poll(context, work, threading.Event())
    assert work.seen == list("abcdefghij")
    assert len(context.sqs.waiting) == 6


class QuickPoller(Poller):
    """Takes the visibility for a fraction of the second that it is at least."""

    def _find_queue(self) -> bool:
        super()._find_queue()
        self._visibility = 0.06
        return True


def test_visibility_is_extended_while_a_message_is_in_hand(
    context: CustomContext,
) -> None:
    context.sqs.visibility = 0
    context.sqs.send("a")
    seen = []

    def handle(message: str, body: str, context: CustomContext) -> None:
        sqs: MockSqs = context.sqs
        seen.append(sqs.extended.wait(10))

    assert QuickPoller(lambda: context, handle, threading.Event()).poll()
    assert seen == [True]


def eventually(holds: Callable[[], bool]) -> bool:
    """Tell whether a condition comes to hold."""
    end = monotonic() + 10
    while not (value := holds()) and monotonic() < end:
        threading.Event().wait(0.001)
    return value


def test_heart_beats_while_a_function_is_busy_and_not_while_it_is_stuck(
    context: CustomContext, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "heartbeat"
    context.var = Box(context.var, heartbeat=str(file), stuck_after=0.01)
    context.sqs.visibility = 0
    context.sqs.send("a")
    seen = []

    def beats() -> bool:
        file.unlink(missing_ok=True)
        threading.Event().wait(0.003)
        return file.exists()

    def handle(message: str, body: str, context: CustomContext) -> None:
        busy_until = monotonic() + 0.02
        while monotonic() < busy_until:
            context.time_remaining()
        seen.append(eventually(lambda: context.time_remaining() >= 0 and beats()))
        seen.append(eventually(lambda: "stuck: message message-1" in caplog.text))
        seen.append(eventually(lambda: not beats()))

    assert QuickPoller(lambda: context, handle, threading.Event()).poll()
    assert seen == [True, True, True]


def test_next_message_is_worked_on_while_sqs_deletes_the_one_before(
    context: CustomContext,
) -> None:
    work, delete = Work(), context.sqs.delete_message_batch

    def delete_message_batch(**words: Any) -> dict[str, Any]:
        assert eventually(lambda: work.seen == ["a", "b"])
        answer: dict[str, Any] = delete(**words)
        return answer

    context.var = Box(context.var, poll_batch_size=1)
    context.sqs.delete_message_batch = delete_message_batch
    context.sqs.send("a", "b")
    assert poll(context, work, threading.Event())
    assert not context.sqs.in_flight


def test_heart_stops_when_nobody_tells_sqs_what_became_of_messages(
    context: CustomContext,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(poller, "LONGEST_SILENCE", 0.01)
    end = threading.Event()

    def delete_message_batch(**_: object) -> dict[str, object]:
        assert eventually(lambda: "stuck: keeper" in caplog.text)
        end.set()
        return {}

    context.var = Box(context.var, heartbeat=str(tmp_path / "heartbeat"))
    context.sqs.delete_message_batch = delete_message_batch
    context.sqs.send("a")
    assert poll(context, Work(), end)
    assert end.is_set()


def test_heartbeat_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    words = ("--read_queue=worker-pending", f"--heartbeat={tmp_path}/no/where")
    with pytest.raises(SettingsError, match="no/where cannot be written"):
        poll(bare_context(*words), Work(), threading.Event())


def test_fifo_group_stops_at_its_first_failure() -> None:
    context = bare_context("--read_queue=https://sqs.example/q.fifo", "--once")
    context.sqs.send("a", "bad", "c", "d")
    for message, group in zip(context.sqs.waiting, "1112", strict=True):
        message["Attributes"] = {"MessageGroupId": group}
    work = Work()
    poll(context, work, threading.Event())
    assert work.seen == ["a", "bad", "d"]


def test_outage_pauses_and_ends_without_a_restart(context: CustomContext) -> None:
    context.sqs.send("a")
    seen: list[str] = []

    def handle(message: str, body: str, context: CustomContext) -> None:
        seen.append(body)
        if len(seen) == 1:
            raise ConnectionError("the database is away")

    assert poll(context, handle, threading.Event())
    assert seen == ["a", "a"]
    assert context.sqs.hidden_for == [1]


class ClosedError(Exception):
    """A connection that was closed before the answer, as botocore tells it."""

    response = None


def test_sqs_that_fails_is_asked_again(context: CustomContext) -> None:
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
    ("code", "told"),
    [
        ("AWS.SimpleQueueService.NonExistentQueue", "there is no queue worker-pending"),
        ("AccessDeniedException", "access to worker-pending is denied"),
        ("ExpiredTokenException", "the credentials have expired"),
    ],
)
def test_error_that_waiting_does_not_mend_ends_with_a_sentence(
    context: CustomContext, code: str, told: str
) -> None:
    context.sqs.failures = [ClientError(code)]
    with pytest.raises(PollerError, match=told):
        poll(context, Work(), threading.Event())


def test_lease_tells_the_time_left() -> None:
    lease = Lease(0)
    assert lease.get_remaining_time_in_millis() == 0
    lease.extend(60)
    assert 59_000 < lease.get_remaining_time_in_millis() <= 60_000
