"""Looks at the queues of functions, brings dead letters back, empties a queue."""

import argparse
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

import sizes
from place import Place, answer, parser
from sizes import Refusal

COUNTS = {
    "ApproximateNumberOfMessages": "waiting",
    "ApproximateNumberOfMessagesNotVisible": "in flight",
    "ApproximateNumberOfMessagesDelayed": "delayed",
}
KINDS = ("pending", "dead-letter")
BODY_LIMIT = 4000
TASK_SECONDS = 1  # between two questions
HIDDEN_SECONDS = 120  # for what is moved by hand


def show(place: Place, options: argparse.Namespace) -> int:
    """Print what each function's queues hold; return 0.

    To see a message is to receive it, which counts: one that is received too often
    becomes a dead letter. Dead letters can be looked at as often as one likes.
    """
    for function in [options.function] if options.function else sizes.names():
        for kind in KINDS:
            url = place.queue(function, kind)
            found = counts(place, url)
            told = ", ".join(f"{found[each]} {COUNTS[each]}" for each in COUNTS)
            print(f"{place.named(function, kind)}: {told}")
            if found["ApproximateNumberOfMessages"] and (
                kind == "dead-letter" or options.peek
            ):
                peek(place, url)
    return 0


def counts(place: Place, url: str) -> dict[str, int]:
    """Return how many messages a queue holds, by the names of `COUNTS`."""
    found = place.client("sqs").get_queue_attributes(
        QueueUrl=url, AttributeNames=list(COUNTS)
    )["Attributes"]
    return {name: int(found[name]) for name in COUNTS}


def peek(place: Place, url: str) -> None:
    """Print the newest of up to ten messages; all ten can be received again at once."""
    found = place.client("sqs").receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=10,
        VisibilityTimeout=0,
        WaitTimeSeconds=1,  # else only some of SQS's servers are asked
        MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
    )
    messages = found.get("Messages", [])
    if not messages:
        return
    newest = max(messages, key=lambda each: int(each["Attributes"]["SentTimestamp"]))
    about, body = newest["Attributes"], newest["Body"]
    sent = datetime.fromtimestamp(int(about["SentTimestamp"]) / 1000).astimezone()
    print(
        f"  the newest of {len(messages)}: sent {sent:%Y-%m-%d %H:%M:%S}, received "
        f"{about['ApproximateReceiveCount']} times, with this one\n"
        f"  {body[:BODY_LIMIT]}{'…' if len(body) > BODY_LIMIT else ''}"
    )


def redrive(place: Place, options: argparse.Namespace) -> int:
    """Move the dead letters of a function back to its queue; return the exit code.

    SQS itself moves them, and counts their receives anew. An emulator that cannot is
    helped by hand.
    """
    sqs = place.client("sqs")
    dead = place.queue(options.function, "dead-letter")
    pending = place.queue(options.function, "pending")
    count = counts(place, dead)["ApproximateNumberOfMessages"]
    name = place.named(options.function, "dead-letter")
    if not count:
        print(f"{name} has no messages.")
        return 0
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
    try:
        sqs.start_message_move_task(SourceArn=arn["Attributes"]["QueueArn"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidAction":
            raise
        print("This SQS has no redrive of its own: each is sent, then deleted.")
        steps = move(sqs, dead, pending, count)
    else:
        steps = progress(sqs, arn["Attributes"]["QueueArn"])
    for moved in steps:
        print(f"moved {moved} of {count}", flush=True)
    return 0


def progress(sqs: Any, arn: str) -> Iterator[int]:
    """Yield how many messages the newest task of a queue has moved, until it ends.

    Raises:
        Refusal: the task has failed; what it has not moved is where it was.
    """
    before = -1
    while True:
        [task] = sqs.list_message_move_tasks(SourceArn=arn, MaxResults=1)["Results"]
        moved = task.get("ApproximateNumberOfMessagesMoved", 0)
        if moved != before:
            yield moved
        before = moved
        if task["Status"] == "COMPLETED":
            return
        if task["Status"] in ("FAILED", "CANCELLED"):
            reason = task.get("FailureReason", "somebody has ended it")
            raise Refusal(f"SQS has stopped after {moved} messages: {reason}")
        threading.Event().wait(TASK_SECONDS)


def move(sqs: Any, source: str, target: str, count: int) -> Iterator[int]:
    """Move messages, at most so many; yield how many have been moved.

    Each is sent before it is deleted: one that is moved at a bad moment is there
    twice, none is lost.
    """
    moved = 0
    while moved < count:
        messages = sqs.receive_message(
            QueueUrl=source,
            MaxNumberOfMessages=min(10, count - moved),
            VisibilityTimeout=HIDDEN_SECONDS,
            WaitTimeSeconds=1,
            MessageAttributeNames=["All"],
        ).get("Messages", [])
        if not messages:
            return
        for each in messages:
            attributes = each.get("MessageAttributes", {})
            sqs.send_message(
                QueueUrl=target, MessageBody=each["Body"], MessageAttributes=attributes
            )
            sqs.delete_message(QueueUrl=source, ReceiptHandle=each["ReceiptHandle"])
        moved += len(messages)
        yield moved


def purge(place: Place, options: argparse.Namespace) -> int:
    """Delete all messages of a queue, if that is confirmed; return the exit code."""
    name = place.named(options.function, options.queue)
    url = place.queue(options.function, options.queue)
    found = counts(place, url)
    told = ", ".join(f"{found[each]} {COUNTS[each]}" for each in COUNTS)
    asked = f"This deletes for good all messages of {name}: {told}."
    if not options.confirm:
        if not sys.stdin.isatty():
            raise Refusal(
                f"{asked} Nothing is deleted: no terminal can be asked; say "
                f"CONFIRM={options.function}"
            )
        options.confirm = input(f"{asked}\nThe function's name, if that is wanted: ")
    if options.confirm.strip() != options.function:
        raise Refusal(f"that is not {options.function}: nothing is deleted")
    sqs = place.client("sqs")
    try:
        sqs.purge_queue(QueueUrl=url)
    except sqs.exceptions.PurgeQueueInProgress:
        raise Refusal(f"{name} is purged already: SQS wants 60 s between two") from None
    print(f"All messages of {name} are deleted, within a minute.")
    return 0


WORDS = {"show": show, "redrive": redrive, "purge": purge}


if __name__ == "__main__":
    words = parser(__doc__, *WORDS)
    words.add_argument("--function", default="")
    words.add_argument("--peek", action="store_true", help="show a waiting message")
    words.add_argument("--queue", choices=KINDS, default="pending")
    words.add_argument("--confirm", default="")
    given = words.parse_args()
    sys.exit(answer(given, WORDS[given.word]))
