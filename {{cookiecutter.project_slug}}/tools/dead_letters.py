"""Receive dead letters, send them again, and delete them. Nothing is lost by a kill."""

from collections.abc import Callable, Container, Generator, Iterator
from contextlib import closing
from hashlib import sha256
from typing import Any

from lib import events
from tools.environment import Environment, client
from tools.errors import UserError

VISIBILITY_SECONDS = 120  # for which a message that was received is hidden
MAX_REPEATED = 10  # receives without a message that was not received before

Message = dict[str, Any]  # as boto3 returns it


def receive_all(url: str, done: Container[str] = ()) -> Generator[Message]:
    """Yield each message of a queue once, and then let all be received again.

    Of a group in a FIFO queue, these are the first ten.

    Args:
        url: the queue's URL.
        done: IDs of messages that were deleted meanwhile.
    """
    sqs, held, repeated = client("sqs"), dict[str, str](), 0
    try:
        while repeated < MAX_REPEATED:
            found = sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=10,
                VisibilityTimeout=VISIBILITY_SECONDS,
                WaitTimeSeconds=1,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["MessageGroupId", "SentTimestamp"],
            ).get("Messages", [])
            if not found:
                return
            fresh = [each for each in found if each["MessageId"] not in held]
            held |= {each["MessageId"]: each["ReceiptHandle"] for each in found}
            repeated = 0 if fresh else repeated + 1
            yield from fresh
    finally:
        for name, receipt in held.items():
            if name not in done:
                sqs.change_message_visibility(
                    QueueUrl=url, ReceiptHandle=receipt, VisibilityTimeout=0
                )


def read_body(environment: Environment, func: str, message: str) -> str:
    """Return the body of a dead letter, which stays in its queue.

    Args:
        environment: the one that was entered.
        func: the function.
        message: the message's ID.

    Raises:
        UserError: it is not in the dead-letter queue, or that queue does not exist.
    """
    url = environment.find_queue_url(func, "dead-letter")
    with closing(receive_all(url)) as messages:
        for each in messages:
            if each["MessageId"] == message:
                return str(each["Body"])
    raise explain_absent(environment, func, message)


def explain_absent(environment: Environment, func: str, message: str) -> UserError:
    """Return the error for a message that is no dead letter."""
    queue = environment.queue_name(func, "dead-letter")
    return UserError(f"MESSAGE={message} is not in {queue}")


def take(
    environment: Environment,
    func: str,
    chosen: set[str],
    use: Callable[[Message], None] = lambda message: None,
) -> Iterator[int]:
    """Use and then delete dead letters; yield how many, after every ten and the last.

    A kill between the two leaves the dead letter, so that nothing is lost.

    Args:
        environment: the one that was entered.
        func: the function.
        chosen: the messages' IDs.
        use: called with each message before it is deleted.

    Raises:
        UserError: some of them are not in the queue any more.
    """
    url, done = environment.find_queue_url(func, "dead-letter"), set[str]()
    with closing(receive_all(url, done)) as messages:
        for each in messages:
            if each["MessageId"] in chosen:
                use(each)
                client("sqs").delete_message(
                    QueueUrl=url, ReceiptHandle=each["ReceiptHandle"]
                )
                done.add(each["MessageId"])
                if len(done) == len(chosen) or len(done) % 10 == 0:
                    yield len(done)
            if len(done) == len(chosen):
                return
    if len(chosen) == 1:
        raise explain_absent(environment, func, *chosen)
    raise UserError(
        f"{environment.queue_name(func, 'dead-letter')} no longer has "
        f"{len(chosen) - len(done)} of {len(chosen)} messages, or another receiver has "
        f"them for up to {VISIBILITY_SECONDS} s: see 'make dead FUNC={func}'"
    )


def resend(message: Message, destination: str, body: str = "") -> str:
    """Send a received message to a queue, with its attributes and group; return its ID.

    Args:
        message: the message.
        destination: URL of the queue.
        body: its body instead of its own.
    """
    group = message.get("Attributes", {}).get("MessageGroupId")
    options = {"MessageGroupId": group} if group else {}
    if group and destination.endswith(".fifo"):
        # a repetition is the same message, unless its body has changed
        identity = f"{message['MessageId']}{body}".encode()
        options["MessageDeduplicationId"] = sha256(identity).hexdigest()
    sent = client("sqs").send_message(
        QueueUrl=destination,
        MessageBody=body or message["Body"],
        MessageAttributes=message.get("MessageAttributes", {}),
        **options,
    )
    return str(sent["MessageId"])


def list_objects(environment: Environment, func: str) -> set[tuple[str, str]]:
    """Return key and version, ETag or nothing of each object that dead letters name.

    Raises:
        UserError: the queue does not exist.
    """
    url = environment.find_queue_url(func, "dead-letter")
    named: set[tuple[str, str]] = set()
    with closing(receive_all(url)) as messages:
        for each in messages:
            try:
                objects = events.objects(each["Body"])
            except events.EventError:
                continue
            named |= {(each.key, each.version or each.etag) for each in objects}
    return named
