"""The queue: responses to batch requests."""

import pytest

from message_queue import MessageQueue
from tests.context import bare_context


@pytest.mark.parametrize(("operation", "seconds"), [("extend", 30), ("return", 0)])
def test_refused_entry_fails_alone(operation: str, seconds: int) -> None:
    context = bare_context("--read_queue=worker-pending")
    queue = MessageQueue(context)
    context.sqs.send(*"abcdefghijkl")
    messages = queue.receive(10, wait=0) + queue.receive(10, wait=0)
    context.sqs.refused = [(operation, "b"), (operation, "l")]
    failed = queue.change_visibility(messages, seconds)
    assert [message.body for message in failed] == ["b", "l"]


def test_entry_without_answer_has_failed() -> None:
    context = bare_context("--read_queue=worker-pending")
    queue = MessageQueue(context)
    context.sqs.send("a", "b")
    messages = queue.receive(10, wait=0)
    context.sqs.delete_message_batch = lambda **_: {"Successful": [{"Id": "1"}]}
    assert [message.body for message in queue.delete(messages)] == ["a"]
