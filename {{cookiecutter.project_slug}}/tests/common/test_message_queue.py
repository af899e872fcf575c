"""The queue: its messages, their leases, and responses to batch requests."""

import time
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

import message_queue
from context import CustomContext
from message_queue import Lease, MessageQueue, QueueError, ReceivedMessage
from tests.context import bare_context
from tests.tables import for_each


@pytest.fixture
def context() -> CustomContext:
    """Return a context that polls a queue."""
    return bare_context("--read_queue=worker-pending")


def received(receives: int = 1, age: float = 0, receipt: str = "r") -> ReceivedMessage:
    """Return a message of a queue with a visibility timeout of 30 seconds.

    Args:
        receives: how often it was received.
        age: seconds since it was first received.
        receipt: its receipt handle.
    """
    attributes = {
        "ApproximateReceiveCount": str(receives),
        "ApproximateFirstReceiveTimestamp": str(round((time.time() - age) * 1000)),
    }
    fields = {"MessageId": "m", "Body": "", "ReceiptHandle": receipt}
    return ReceivedMessage({**fields, "Attributes": attributes}, 30)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace the clock by a list whose only item is the time."""
    now = [1000.0]
    monkeypatch.setattr(message_queue, "monotonic", lambda: now[0])
    return now


def test_lease_returns_time_left(clock: list[float]) -> None:
    lease = Lease(60)
    clock[0] += 20
    assert (lease.time_left(), lease.get_remaining_time_in_millis()) == (40, 40_000)
    assert lease.last_asked == clock[0]
    clock[0] += 60
    assert (lease.time_left(), lease.get_remaining_time_in_millis()) == (0, 0)
    lease.extend(30)
    assert lease.time_left() == 30


def test_message_runs_from_its_start(clock: list[float]) -> None:
    message = received()
    clock[0] += 5
    assert message.seconds_running() == 0
    message.start()
    clock[0] += 3
    assert message.seconds_running() == 3
    assert message.lease.last_asked == 1005
    assert message.lease.time_left() == 22


def test_redelivery_renews_receipt_and_lease(clock: list[float]) -> None:
    message = received()
    clock[0] += 25
    message.renew(received(receipt="r2"))
    assert (message.receipt_handle, message.lease.time_left()) == ("r2", 30)


@for_each(
    ("receives", "age", "expected"), [(1, 60, False), (2, 29, False), (2, 31, True)]
)
def test_late_redelivery_may_follow_crash(
    receives: int, age: float, expected: bool
) -> None:
    assert received(receives, age).may_follow_crash is expected


def test_first_delivery_follows_no_crash() -> None:
    fields = {"MessageId": "m", "Body": "", "ReceiptHandle": "r"}
    assert not ReceivedMessage(fields, 30).may_follow_crash


@pytest.mark.parametrize("name", ["worker-pending", "https://sqs.example/worker"])
def test_queue_is_found_by_name_or_url(name: str) -> None:
    queue = MessageQueue(bare_context(f"--read_queue={name}"))
    assert queue.connect()
    assert queue.url == f"https://sqs.example/{name.rpartition('/')[2]}"
    assert not queue.is_fifo


def test_queue_has_its_attributes(context: CustomContext) -> None:
    queue = MessageQueue(context)
    context.sqs.visibility = 45
    queue.connect()
    assert (queue.visibility_timeout, queue.has_dead_letters) == (45, True)
    context.sqs.visibility, context.sqs.redrive_policy = 0, ""
    queue.connect()
    assert (queue.visibility_timeout, queue.has_dead_letters) == (1, False)


def test_message_has_attributes_of_sender(context: CustomContext) -> None:
    context.sqs.send("a", SentTimestamp="1767600000000")
    context.sqs.visible[0]["MessageAttributes"] = {
        "tenant": {"StringValue": "shop", "DataType": "String"}
    }
    queue = MessageQueue(context)
    queue.connect()
    [message] = queue.receive(1, wait=0)
    assert message.message.attributes["tenant"] == "shop"
    assert message.message.attributes["SentTimestamp"] == "1767600000000"
    assert 29 < message.lease.time_left() <= 30


def test_all_kinds_of_messages_are_counted(
    context: CustomContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = count(1)

    def get_queue_attributes(AttributeNames: list[str], **_: Any) -> Any:  # noqa: N803 - of boto3
        return {"Attributes": {name: str(next(numbers)) for name in AttributeNames}}

    monkeypatch.setattr(context.sqs, "get_queue_attributes", get_queue_attributes)
    assert MessageQueue(context).count_messages() == 1 + 2 + 3


@pytest.mark.parametrize(("operation", "seconds"), [("extend", 30), ("return", 0)])
def test_refused_entry_fails_alone(
    context: CustomContext,
    caplog: pytest.LogCaptureFixture,
    operation: str,
    seconds: int,
) -> None:
    queue = MessageQueue(context)
    context.sqs.send(*"abcdefghijkl")
    messages = queue.receive(10, wait=0) + queue.receive(10, wait=0)
    context.sqs.refused = [(operation, "b"), (operation, "l")]
    failed = queue.change_visibility(messages, seconds)
    assert [message.body for message in failed] == ["b", "l"]
    for number in (2, 12):
        line = f"visibility_batch failed for message-{number}: InternalError"
        assert line in caplog.text


def test_entry_without_answer_has_failed(context: CustomContext) -> None:
    queue = MessageQueue(context)
    context.sqs.send("a", "b")
    messages = queue.receive(10, wait=0)
    context.sqs.delete_message_batch = lambda **_: {"Successful": [{"Id": "1"}]}
    assert [message.body for message in queue.delete(messages)] == ["a"]


def test_failed_request_fails_its_batch(
    context: CustomContext, caplog: pytest.LogCaptureFixture
) -> None:
    queue = MessageQueue(context)
    context.sqs.send(*"abcdefghijkl")
    messages = queue.receive(10, wait=0) + queue.receive(10, wait=0)
    delete, errors = context.sqs.delete_message_batch, [ConnectionError("refused")]

    def fail_once(**arguments: Any) -> Any:
        if errors:
            raise errors.pop()
        return delete(**arguments)

    context.sqs.delete_message_batch = fail_once
    assert [message.body for message in queue.delete(messages)] == list("abcdefghij")
    assert len(context.sqs.in_flight) == 10
    assert "failed for message-1, message-2, " in caplog.text
    assert caplog.text.rstrip().endswith("message-10: ConnectionError: refused")


class ClosedError(Exception):
    """A connection was closed before the response, as botocore raises it."""

    response = None


def refusal(code: str, message: str = "") -> Exception:
    """Return an answer of SQS that is an error."""
    error: Exception = ClientError(
        {"Error": {"Code": code, "Message": message}}, "ReceiveMessage"
    )
    return error


@for_each(
    ("error", "remedy"),
    [
        (refusal("AWS.SimpleQueueService.NonExistentQueue"), "no queue worker-pending"),
        (refusal("QueueDoesNotExist"), "no queue worker-pending: correct --read_queue"),
        (refusal("AccessDeniedException"), "access to worker-pending is denied: allow"),
        (refusal("KMS.AccessDeniedException"), "the key that encrypts worker-pending"),
        (refusal("InvalidSignatureException", "does not match"), "secret key is wrong"),
        (NoCredentialsError(), "there are no AWS credentials"),
    ],
)
def test_permanent_error_names_remedy(
    context: CustomContext, error: Exception, remedy: str
) -> None:
    with pytest.raises(QueueError, match=remedy):
        MessageQueue(context).raise_if_permanent(error)


@for_each(
    "error",
    [
        refusal("InternalError"),
        refusal("InvalidSignatureException", "Signature expired: 2026… is now earlier"),
        ConnectionError("refused"),
        ClosedError("in mid-request"),
    ],
)
def test_passing_error_may_be_retried(context: CustomContext, error: Exception) -> None:
    MessageQueue(context).raise_if_permanent(error)


def test_remedy_names_url_once_connected(context: CustomContext) -> None:
    queue = MessageQueue(context)
    queue.connect()
    with pytest.raises(QueueError, match=r"no queue https://sqs\.example/worker"):
        queue.raise_if_permanent(refusal("QueueDoesNotExist"))
