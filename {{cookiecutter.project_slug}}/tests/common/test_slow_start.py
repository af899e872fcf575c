"""The slow start: how many messages a poller may hold."""

from time import time

import pytest

from message_queue import ReceivedMessage
from slow_start import RECENT, SlowStart
from tests.tables import for_each


def message(receives: int = 1, age: float = 0) -> ReceivedMessage:
    """Return a message.

    Args:
        receives: how often it was received.
        age: seconds since it was first received.
    """
    attributes = {
        "ApproximateReceiveCount": str(receives),
        "ApproximateFirstReceiveTimestamp": str(round((time() - age) * 1000)),
    }
    fields = {"MessageId": "m", "Body": "", "ReceiptHandle": "r"}
    return ReceivedMessage({**fields, "Attributes": attributes}, 30)


def limit_after(successes: int, seconds: float = 0.01, workers: int = 4) -> int:
    """Return the limit after some messages that took some seconds."""
    slow_start = SlowStart(workers, 10, visibility_timeout=0)
    for _ in range(successes):
        slow_start.record_done(message(), seconds)
    return slow_start.room([])


def running(seconds: float) -> ReceivedMessage:
    """Return a message that has been running for some seconds."""
    result = message()
    result.start()
    result.started_at -= seconds
    return result


def test_limit_grows_with_each_success() -> None:
    assert [limit_after(successes) for successes in range(4)] == [1, 2, 3, 4]


def test_limit_is_workers_and_a_batch() -> None:
    assert limit_after(100) == 13


@for_each(("seconds", "limit"), [(0.2, 5), (0.5, 2), (2, 1), (60, 1)])
def test_limit_is_what_starts_within_a_second(seconds: float, limit: int) -> None:
    assert limit_after(100, seconds, workers=1) == limit


def test_one_slow_message_limits_the_next_ones() -> None:
    slow_start = SlowStart(1, 10, visibility_timeout=0)
    for seconds in (*[0.001] * 20, 5):
        slow_start.record_done(message(), seconds)
    assert slow_start.room([]) == 1


@for_each(
    ("received", "limit"),
    [
        (message(receives=1), 13),
        (message(receives=2, age=10), 4),  # another worker returned it
        (message(receives=2, age=40), 1),  # its worker may have died
    ],
)
def test_redelivery_takes_the_limit_back(received: ReceivedMessage, limit: int) -> None:
    slow_start = SlowStart(4, 10, visibility_timeout=0)
    for _ in range(20):
        slow_start.record_done(message(), 0.01)
    slow_start.record_receive(received)
    assert slow_start.room([]) == limit


def test_running_message_is_part_of_the_limit() -> None:
    assert SlowStart(4, 10, visibility_timeout=0).room([running(0.5)]) == 0


def test_slow_messages_do_not_keep_workers_idle() -> None:
    slow_start = SlowStart(3, 10, visibility_timeout=0)
    assert slow_start.room([running(2)]) == 1
    assert slow_start.room([running(2), running(0.5)]) == 0
    assert slow_start.room([running(2), running(2)]) == 1
    assert slow_start.room([running(2)] * 3) == 0


def test_nothing_is_queued_behind_a_slow_message() -> None:
    slow_start = SlowStart(4, 10, visibility_timeout=0)
    for _ in range(20):
        slow_start.record_done(message(), 0.01)
    assert slow_start.room([running(2)]) == 3


def test_nothing_is_received_while_all_workers_are_busy() -> None:
    slow_start = SlowStart(4, 10, visibility_timeout=0)
    for _ in range(20):
        slow_start.record_done(message(), 0.01)
    assert slow_start.room([running(0.01)] * 4) == 0
    assert slow_start.room([running(0.01)] * 3) == 10


def test_slow_message_is_forgotten_after_some_quick_ones() -> None:
    slow_start = SlowStart(1, 10, visibility_timeout=0)
    slow_start.record_done(message(), 5)
    for _ in range(RECENT - 1):
        slow_start.record_done(message(), 0.001)
    assert slow_start.room([]) == 1
    slow_start.record_done(message(), 0.001)
    assert slow_start.room([]) == 10


def test_empty_queue_takes_the_limit_back_to_one() -> None:
    slow_start = SlowStart(4, 10, visibility_timeout=0)
    for _ in range(20):
        slow_start.record_done(message(), 0.01)
    slow_start.record_empty_queue()
    assert slow_start.room([]) == 1


@pytest.mark.parametrize(("seconds", "room"), [(0.02, 13), (0.021, 1)])
def test_new_poller_asks_for_one_slow_message(seconds: float, room: int) -> None:
    """Messages of a poller that died come back together."""
    slow_start = SlowStart(4, 10, visibility_timeout=30)
    for _ in range(20):
        slow_start.record_done(message(), seconds)
    assert slow_start.room([]) == room


def test_failure_takes_the_limit_back_to_workers() -> None:
    slow_start = SlowStart(4, 10, visibility_timeout=0)
    for _ in range(20):
        slow_start.record_done(message(), 0.01)
    slow_start.record_failure(0.01)
    assert slow_start.room([]) == 4


def test_slow_failure_makes_a_new_poller_cautious() -> None:
    slow_start = SlowStart(4, 10, visibility_timeout=30)
    for _ in range(20):
        slow_start.record_done(message(), 0.01)
    slow_start.record_failure(0.1)
    assert slow_start.room([]) == 1


def test_redeliveries_let_the_limit_grow_slowly() -> None:
    """One that kills the worker may be among them."""
    slow_start = SlowStart(4, 10, visibility_timeout=0)
    for _ in range(8):
        slow_start.record_done(message(receives=2, age=40), 0.01)
    assert slow_start.room([]) == 1
    for _ in range(8):
        slow_start.record_done(message(receives=2, age=40), 0.01)
    assert slow_start.room([]) == 2
