"""The messages in flight: which are processed, extended, deleted and returned."""

import threading
from typing import Any

import pytest

import in_flight
import message_queue
import slow_start
from in_flight import InFlight
from message_queue import MessageQueue, ReceivedMessage
from tests.context import bare_context
from tests.mock.aws import MockSqs


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace the clock by a list whose only item is the time."""
    now = [1000.0]
    for module in (in_flight, message_queue, slow_start):
        monkeypatch.setattr(module, "monotonic", lambda: now[0])
    monkeypatch.setattr(in_flight, "RETRY_DELAY", 0.001)
    monkeypatch.setattr(in_flight, "BATCH_DELAY", 0.001)
    return now


@pytest.fixture
def queue() -> MessageQueue:
    """Return a queue with a visibility timeout of 30 seconds."""
    result = MessageQueue(bare_context("--read_queue=worker-pending"))
    result.connect()
    return result


@pytest.fixture
def sqs(queue: MessageQueue) -> MockSqs:
    """Return the double of SQS."""
    double: MockSqs = queue._sqs
    return double


@pytest.fixture
def held(queue: MessageQueue) -> InFlight:
    """Return the messages in flight of a poller with one worker."""
    return InFlight(queue, workers=1, batch_size=10)


def receive(queue: MessageQueue, *bodies: str) -> list[ReceivedMessage]:
    """Send messages to the queue, and receive them."""
    queue._sqs.send(*bodies)
    return [queue.receive(1, wait=0)[0] for _ in bodies]


def run(held: InFlight, *messages: ReceivedMessage) -> None:
    """Add messages whose function is called at once."""
    for message in messages:
        assert held.add(message)
        message.start()


def acknowledge(held: InFlight) -> None:
    """Let the acknowledger run until it has nothing left to do."""
    held.start()
    held.stop()
    with held.changed:
        while not held.is_stopped():
            assert held.changed.wait(10)


def bodies(messages: Any) -> list[str]:
    """Return the bodies of some messages of SQS."""
    return [each["Body"] for each in messages]


def test_done_messages_are_deleted_and_failed_ones_return(
    queue: MessageQueue, sqs: MockSqs, held: InFlight
) -> None:
    a, b, c, d = receive(queue, *"abcd")
    run(held, a, b, c, d)
    assert held.ids() == {a.id, b.id, c.id, d.id}
    for message, return_after in ((a, None), (b, 7), (c, 900)):
        held.finish(message, return_after)
    assert held.unfinished() == [d]
    acknowledge(held)
    assert held.ids() == {d.id}
    assert bodies(sqs.visible) == ["b", "c"]
    assert bodies(sqs.in_flight.values()) == ["d"]
    assert sqs.return_delays == [7, 900]


def test_requests_have_up_to_ten_messages(
    queue: MessageQueue, sqs: MockSqs, held: InFlight
) -> None:
    messages = receive(queue, *"abcdefghijkl")
    run(held, *messages)
    for message in messages:
        held.finish(message, None)
    acknowledge(held)
    assert not sqs.in_flight
    assert sqs.requests["delete_message_batch"] == 2


@pytest.mark.parametrize(
    ("outcome", "delays"), [(10, [0]), (None, [])], ids=["failed", "done"]
)
def test_outcome_after_the_grace_period(
    queue: MessageQueue,
    held: InFlight,
    sqs: MockSqs,
    outcome: int | None,
    delays: list[int],
) -> None:
    """A message that has been given back is deleted if it is done after all."""
    [message] = receive(queue, "a")
    run(held, message)
    held.finish(message, 0)
    held.finish(message, outcome)
    acknowledge(held)
    assert sqs.return_delays == delays
    assert not sqs.in_flight


def test_redelivery_of_failed_message_is_processed(
    queue: MessageQueue, sqs: MockSqs, held: InFlight
) -> None:
    [first] = receive(queue, "a")
    run(held, first)
    held.finish(first, 7)
    sqs.redeliver()
    [second] = queue.receive(1, wait=0)
    assert held.add(second)
    acknowledge(held)
    assert held.unfinished() == [second]
    assert not sqs.return_delays


def test_redelivery_of_running_message_renews_it(
    queue: MessageQueue, sqs: MockSqs, held: InFlight, clock: list[float]
) -> None:
    [first] = receive(queue, "a")
    run(held, first)
    clock[0] += 31
    sqs.redeliver()
    [second] = queue.receive(1, wait=0)
    assert not held.add(second)
    assert held.unfinished() == [first]
    assert first.lease.time_left() == 30
    held.finish(first, None)
    acknowledge(held)
    assert not sqs.in_flight


def test_memory_of_done_messages_is_bounded(
    queue: MessageQueue,
    sqs: MockSqs,
    held: InFlight,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "function")
    monkeypatch.setattr(in_flight, "MAX_REMEMBERED", 2)
    messages = receive(queue, *"abc")
    run(held, *messages)
    sqs.redeliver()
    for message in messages:
        held.finish(message, None)
    acknowledge(held)
    redelivered = [queue.receive(1, wait=0)[0] for _ in messages]
    assert [held.add(each) for each in redelivered] == [True, False, False]
    assert caplog.messages == [
        f"message message-{number} was done before: deleted" for number in (2, 3)
    ]
    acknowledge(held)
    assert bodies(sqs.in_flight.values()) == ["a"]


@pytest.mark.parametrize(("seconds", "requests"), [(29, 3), (30, 1)])
def test_delete_is_repeated_while_message_is_hidden(
    queue: MessageQueue,
    sqs: MockSqs,
    held: InFlight,
    clock: list[float],
    seconds: float,
    requests: int,
) -> None:
    [message] = receive(queue, "a")
    run(held, message)
    held.finish(message, None)
    sqs.refused = [("delete", "a")] * 2
    clock[0] += seconds
    acknowledge(held)
    assert sqs.requests["delete_message_batch"] == requests
    assert not held.ids()


@pytest.mark.parametrize(("seconds", "is_extended"), [(10, False), (11, True)])
def test_visibility_is_extended_after_a_third(
    queue: MessageQueue,
    sqs: MockSqs,
    held: InFlight,
    clock: list[float],
    seconds: float,
    is_extended: bool,
) -> None:
    [message] = receive(queue, "a")
    run(held, message)
    clock[0] += seconds
    acknowledge(held)
    assert sqs.extended.is_set() is is_extended
    assert message.lease.time_left() == (30 if is_extended else 30 - seconds)


@pytest.mark.parametrize(("hours", "is_extended"), [(10.9, True), (11, False)])
def test_visibility_is_not_extended_beyond_limit_of_sqs(
    queue: MessageQueue,
    sqs: MockSqs,
    held: InFlight,
    clock: list[float],
    hours: float,
    is_extended: bool,
) -> None:
    [message] = receive(queue, "a")
    run(held, message)
    clock[0] += hours * 3600
    acknowledge(held)
    assert sqs.extended.is_set() is is_extended


def test_failed_extension_leaves_the_lease(
    queue: MessageQueue, sqs: MockSqs, held: InFlight, clock: list[float]
) -> None:
    messages = receive(queue, "a", "b")
    run(held, *messages)
    clock[0] += 15
    sqs.refused = [("extend", "a")]
    acknowledge(held)
    assert [each.lease.time_left() for each in messages] == [15, 30]


def test_message_that_returns_is_not_extended(
    queue: MessageQueue, sqs: MockSqs, held: InFlight, clock: list[float]
) -> None:
    [message] = receive(queue, "a")
    run(held, message)
    clock[0] += 15
    held.finish(message, 7)
    sqs.refused = [("return", "a")]
    acknowledge(held)
    assert not sqs.extended.is_set()
    assert sqs.return_delays == [7]


@pytest.mark.parametrize(("messages", "capacity"), [(11, 10), (12, 0)])
def test_nothing_is_received_while_many_wait_for_requests(
    queue: MessageQueue, held: InFlight, messages: int, capacity: int
) -> None:
    for message in receive(queue, *map(str, range(messages))):
        run(held, message)
        held.finish(message, None)
    assert held.capacity() == capacity
    acknowledge(held)
    assert not held.ids()


def test_message_that_may_have_killed_a_worker_is_held_alone(
    queue: MessageQueue, sqs: MockSqs
) -> None:
    held = InFlight(queue, workers=4, batch_size=10)
    for message in receive(queue, *map(str, range(9))):
        run(held, message)
        held.finish(message, None)
    assert held.capacity() == 10
    sqs.send("a", ApproximateReceiveCount="1", ApproximateFirstReceiveTimestamp="0")
    held.add(queue.receive(1, wait=0)[0])
    assert held.capacity() == 0


def test_acknowledger_does_not_keep_the_process(held: InFlight) -> None:
    assert held.is_stopped()
    before = set(threading.enumerate())
    held.start()
    assert not held.is_stopped()
    [thread] = set(threading.enumerate()) - before
    assert (thread.name, thread.daemon) == ("acknowledger", True)
    held.stop()
    thread.join(10)
    assert held.is_stopped()


@pytest.mark.parametrize(("seconds", "is_stuck"), [(900, False), (901, True)])
def test_function_is_stuck_if_it_never_asks_for_time(
    queue: MessageQueue,
    held: InFlight,
    clock: list[float],
    seconds: float,
    is_stuck: bool,
) -> None:
    a, b, c = receive(queue, *"abc")
    run(held, a, b)
    held.add(c)  # it waits for a worker
    clock[0] += seconds
    b.lease.get_remaining_time_in_millis()
    assert held.find_stuck_messages(900) == (["message message-1"] if is_stuck else [])
    assert held.find_stuck(900) == held.find_stuck_messages(900)


def test_end_of_message_wakes_the_receiver(queue: MessageQueue, held: InFlight) -> None:
    woken: list[bool] = []
    is_waiting = threading.Event()

    def wait() -> None:
        with held.changed:
            is_waiting.set()
            woken.append(held.changed.wait(10))

    [message] = receive(queue, "a")
    run(held, message)
    thread = threading.Thread(target=wait)
    thread.start()
    assert is_waiting.wait(10)
    held.finish(message, None)
    thread.join(10)
    assert woken == [True]
