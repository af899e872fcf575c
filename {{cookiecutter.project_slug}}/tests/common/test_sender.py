"""`context.send`: limits of SQS, failed entries, order, and repetitions."""

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import sender
from context import CustomContext
from message import Message
from sender import MAX_BYTES, SendError, UndeclaredReceiverError
from tests.context import bare_context

QUEUES = "--send_queues=part=part-pending,sorted=sorted-pending.fifo"
ORDERED = "sorted-pending.fifo"


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> CustomContext:
    """Return a context that may send to `part` and to the FIFO queue of `sorted`."""
    monkeypatch.setattr(sender, "FIRST_PAUSE", 0)
    return bare_context(QUEUES, message=Message("m1"))


def test_bodies_are_sent_in_batches(context: CustomContext) -> None:
    bodies = (str(number) for number in range(25))
    assert context.send("part", bodies) == 25
    assert context.sqs.sent["part-pending"] == [str(number) for number in range(25)]
    assert context.sqs.requests["send_message_batch"] == 3


def test_values_become_json(context: CustomContext) -> None:
    context.send("part", [{"key": "a"}, [1, None], "text"])
    assert context.sqs.sent["part-pending"] == ['{"key": "a"}', "[1, null]", "text"]


def test_nothing_to_send_is_no_request(context: CustomContext) -> None:
    assert context.send("part", []) == 0
    assert not context.sqs.requests


def test_request_has_at_most_1_mib(context: CustomContext) -> None:
    half = "ä" * (MAX_BYTES // 4)
    assert context.send("part", [half, half, half, "x" * MAX_BYTES, "y"]) == 5
    assert context.sqs.requests["send_message_batch"] == 4
    assert context.send("part", [half] * 4) == 4
    assert context.sqs.requests["send_message_batch"] == 6


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("ä" * (MAX_BYTES // 2) + "x", "has 1,048,577 bytes, but SQS accepts 1,048,57"),
        ("", "is empty"),
        (float("nan"), "not JSON compliant"),
    ],
)
def test_refused_body_is_named(context: CustomContext, body: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        context.send("part", ["good", body])
    assert not context.sqs.sent


@pytest.mark.parametrize("bodies", ["text", b"text", {"key": "a"}])
def test_single_body_is_an_error(
    context: CustomContext, bodies: str | bytes | dict[str, str]
) -> None:
    with pytest.raises(TypeError, match=r"pass a list, as in \[body\]"):
        context.send("part", bodies)


def test_failed_entries_are_sent_again(context: CustomContext) -> None:
    context.sqs.refused = [("send", "b"), ("send", "b"), ("send", "c")]
    assert context.send("part", list("abcd")) == 4
    assert sorted(context.sqs.sent["part-pending"]) == list("abcd")
    assert not context.sqs.refused


def test_remaining_failures_are_counted(context: CustomContext) -> None:
    context.sqs.refused = [("send", "secret b")] * 99
    context.sqs.invalid = ["secret c"]
    bodies = ["a", "secret b", "secret c", *"defghijklmn"]
    with pytest.raises(SendError) as raised:
        context.send("part", bodies)
    assert str(raised.value) == (
        "messages to part: 12 sent, 2 not sent: InvalidMessageContents (1), "
        "InternalError (1)"
    )
    assert sorted(context.sqs.sent["part-pending"]) == ["a", *"defghijklmn"]


def test_entry_at_fault_is_sent_once(context: CustomContext) -> None:
    context.sqs.invalid = ["a"]
    with pytest.raises(SendError, match=r"0 sent, 1 not sent: .*Contents \(1\)$"):
        context.send("part", ["a"])
    assert context.sqs.requests["send_message_batch"] == 1


def test_entries_at_fault_stop_no_others(context: CustomContext) -> None:
    context.sqs.invalid = ["bad"]
    bodies = ["bad"] * 10 + ["good"] * 15
    with pytest.raises(SendError, match="15 sent, 10 not sent: "):
        context.send("part", bodies)
    with pytest.raises(SendError, match="15 sent, 10 not sent of those that were"):
        context.send("part", iter(bodies))
    assert context.sqs.sent["part-pending"] == ["good"] * 30


def test_unavailable_queue_ends_sending(context: CustomContext) -> None:
    context.sqs.refused = [("send", "a")] * 999
    with pytest.raises(SendError, match="0 sent, 30 not sent: InternalError"):
        context.send("part", ["a"] * 30)
    assert context.sqs.requests["send_message_batch"] == sender.ATTEMPTS


def test_retries_end_with_the_time(
    context: CustomContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    context.parent = SimpleNamespace(get_remaining_time_in_millis=lambda: 1000)
    monkeypatch.setattr(sender, "FIRST_PAUSE", 0.1)
    context.sqs.refused = [("send", "a")] * 99
    with pytest.raises(SendError):
        context.send("part", ["a"])
    assert context.sqs.requests["send_message_batch"] == 1


def test_pauses_between_attempts_double(
    context: CustomContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(sender, "FIRST_PAUSE", 0.2)
    monkeypatch.setattr("sender.random.uniform", lambda low, high: high - low / 2)
    monkeypatch.setattr("sender.time.sleep", pauses.append)
    context.sqs.refused = [("send", "a")] * 4
    assert context.send("part", ["a"]) == 1
    assert pauses == pytest.approx([0.3, 0.6, 1.2, 2.4])


def test_no_batch_is_started_without_time(context: CustomContext) -> None:
    context.parent = SimpleNamespace(get_remaining_time_in_millis=lambda: 500)
    with pytest.raises(TimeoutError):
        context.send("part", ["a"])
    assert not context.sqs.sent


def test_undeclared_receiver_is_refused(context: CustomContext) -> None:
    with pytest.raises(UndeclaredReceiverError) as raised:
        context.send("other", ["a"])
    line = "`sends_to: [part, sorted, other]`"
    text = str(raised.value)
    assert text.startswith(f"the function may not send to other: write {line} for the")
    context.function_name = "enrich"
    with pytest.raises(
        UndeclaredReceiverError, match=r"^enrich may not .* for enrich in"
    ):
        context.send("other", ["a"])


def test_queue_is_looked_up_once(
    context: CustomContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []

    def get_queue_url(QueueName: str) -> dict[str, str]:  # noqa: N803 - of boto3
        names.append(QueueName)
        return {"QueueUrl": f"https://sqs.example/{QueueName}"}

    monkeypatch.setattr(context.sqs, "get_queue_url", get_queue_url)
    for name in ("part", "part", "sorted", "part"):
        context.send(name, ["a"])
    assert names == ["part-pending", ORDERED]


def test_options_reach_sqs(context: CustomContext) -> None:
    context.send("part", ["a"], group="tenant", delay=900)
    [entry] = context.sqs.entries["part-pending"]
    assert (entry["MessageGroupId"], entry["DelaySeconds"]) == ("tenant", 900)
    assert "MessageDeduplicationId" not in entry


def test_only_fifo_queue_has_a_group_by_default(context: CustomContext) -> None:
    context.send("part", ["a"])
    assert context.sqs.entries["part-pending"] == [{"Id": "0", "MessageBody": "a"}]
    context.send("sorted", ["a"])
    assert context.sqs.entries[ORDERED][0]["MessageGroupId"] == "default"


@pytest.mark.parametrize(
    ("name", "delay", "message"),
    [("part", 901, "use 0 to 900"), ("part", -1, "use 0 to"), ("sorted", 1, "FIFO")],
)
def test_refused_delay_is_named(
    context: CustomContext, name: str, delay: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        context.send(name, ["a"], delay=delay)


def test_fifo_group_keeps_its_order(context: CustomContext) -> None:
    context.sqs.refused = [("send", body) for body in "ac"]
    context.send("sorted", list("abcde"), group="g")
    assert context.sqs.sent[ORDERED] == list("abcde")
    assert {each["MessageGroupId"] for each in context.sqs.entries[ORDERED]} == {"g"}


def test_fifo_group_stops_at_first_failure(context: CustomContext) -> None:
    context.sqs.invalid = ["b"]
    with pytest.raises(SendError, match="to sorted: 1 sent, 2 not sent: "):
        context.send("sorted", list("abc"))
    assert context.sqs.sent[ORDERED] == ["a"]


def repeat(context: CustomContext, *message_ids: str) -> list[str]:
    """Send the same bodies for some messages; return what SQS accepted."""
    for message_id in message_ids:
        context.message = Message(message_id)
        context.send("sorted", ["a", "a"])
        context.send("sorted", iter(["b"]))
    return list(context.sqs.sent[ORDERED])


def test_repeated_message_sends_nothing_twice(context: CustomContext) -> None:
    assert repeat(context, "m1", "m1") == ["a", "a", "b"]


def test_other_message_sends_the_same_bodies(context: CustomContext) -> None:
    assert repeat(context, "m1", "m2") == ["a", "a", "b"] * 2


def test_without_a_message_nothing_is_a_repetition() -> None:
    context = bare_context(QUEUES)
    for _ in range(2):
        context.send("sorted", ["a"])
    other = bare_context(QUEUES, boto3=context._boto3)
    other.send("sorted", ["a"])
    assert context.sqs.sent[ORDERED] == ["a", "a", "a"]


def test_generator_is_not_read_ahead(context: CustomContext) -> None:
    read = threading.Event()

    def bodies() -> Iterator[str]:
        yield from "abcdefghij"
        yield "k"
        assert context.sqs.sent["part-pending"] == list("abcdefghij")
        read.set()

    context.send("part", bodies())
    assert read.is_set()
