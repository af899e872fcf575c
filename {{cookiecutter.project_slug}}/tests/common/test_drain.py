"""The end of `--drain`: when nothing is left that the poller could do."""

from types import SimpleNamespace
from typing import Any

import pytest

from drain import Drain, DrainError
from message_queue import ReceivedMessage


def received(message_id: str, receives: int) -> ReceivedMessage:
    """Return a message that has been received so often."""
    attributes = {"ApproximateReceiveCount": str(receives)}
    fields = {"MessageId": message_id, "Body": "", "ReceiptHandle": "r"}
    return ReceivedMessage({**fields, "Attributes": attributes}, 30)


def make_drain(has_dead_letters: bool = False, messages: int = 0) -> Any:
    """Return a drain of a queue with this number of messages, none in flight."""
    queue: Any = SimpleNamespace(
        has_dead_letters=has_dead_letters, count_messages=lambda: messages
    )
    in_flight: Any = SimpleNamespace(
        ids=lambda: in_flight.known, known=set(), find_stuck_messages=lambda _: []
    )
    return Drain(queue, in_flight, 900), in_flight


def test_empty_queue_is_drained() -> None:
    drain, _ = make_drain()
    assert drain.may_be_done([])
    assert drain.is_done()
    assert not drain.is_stuck()
    drain.raise_if_incomplete()


def test_messages_left_or_in_flight_are_awaited() -> None:
    drain, _ = make_drain(messages=1)
    assert not drain.may_be_done([received("m1", 1)])
    assert not drain.is_done()
    drain, in_flight = make_drain()
    in_flight.known = {"m1"}
    assert not drain.is_done()


def test_message_is_left_after_three_failures() -> None:
    drain, in_flight = make_drain(messages=1)
    drain.record_failure(received("m1", 2))
    assert not drain.may_be_done([received("m1", 3)])
    drain.record_failure(received("m1", 3))
    assert drain.may_be_done([received("m1", 4)])
    in_flight.known = {"m1"}
    assert drain.is_done()
    with pytest.raises(DrainError, match=r"after 3 receives or more: m1$"):
        drain.raise_if_incomplete()


def test_dead_letter_queue_takes_failures() -> None:
    drain, _ = make_drain(has_dead_letters=True)
    drain.record_failure(received("m1", 3))
    assert not drain.may_be_done([received("m1", 4)])
    drain.raise_if_incomplete()


def test_message_done_at_last_is_no_failure() -> None:
    drain, _ = make_drain()
    drain.record_failure(received("m1", 3))
    drain.record_done(received("m1", 4))
    drain.raise_if_incomplete()


def test_stuck_functions_are_named_in_order() -> None:
    drain, in_flight = make_drain()
    in_flight.find_stuck_messages = lambda _: ["message m2", "message m1"]
    assert drain.is_stuck()
    in_flight.find_stuck_messages = lambda _: []
    assert drain.is_stuck()
    with pytest.raises(DrainError, match=r"ended: stuck: message m1, message m2$"):
        drain.raise_if_incomplete()
