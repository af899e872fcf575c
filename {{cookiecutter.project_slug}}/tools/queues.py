"""Show the queues of functions, redrive dead letters, and purge a queue."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import sleep

from botocore.exceptions import ClientError

from tools import causes, confirmation, dead_letters, send, shim_resources
from tools.counts import count
from tools.environment import Environment, client, enter
from tools.errors import UserError
from tools.project import functions, require_function

COUNTS = {
    "ApproximateNumberOfMessages": "waiting",
    "ApproximateNumberOfMessagesNotVisible": "in flight",
    "ApproximateNumberOfMessagesDelayed": "delayed",
}
KINDS = ("pending", "dead-letter")
BODY_LIMIT = 4000
NO_FILE = Path()
POLL_SECONDS = 1


def show(func: str, env: str, peek: bool) -> int:
    """Print how many messages the queues hold, and the newest message; return 0.

    Looking at a message is a receive, and too many receives make a dead letter. So a
    waiting message on AWS is shown only on request. Dead letters can be looked at as
    often as you like.

    Args:
        func: one function, or empty for all.
        env: an environment of `config/deploy.yml`; empty for the shim.
        peek: whether to look at waiting messages on AWS.

    Raises:
        UserError: a queue does not exist.
    """
    if func:
        require_function(func)
    environment = enter(env)
    if not env:
        shim_resources.update()
    for name in [func] if func else functions():
        show_queues(environment, name, peek or not environment.is_on_aws)
        if not env:
            show_local_deployment(name)
    return 0


def show_queues(environment: Environment, func: str, peek: bool) -> None:
    """Print the counts of a function's queues and, on request, a waiting message."""
    for kind in KINDS:
        url = environment.find_queue_url(func, kind)
        counts = count_messages(url)
        print(f"{environment.queue_name(func, kind)}: {describe_counts(counts)}")
        is_visible = counts["ApproximateNumberOfMessages"]
        if is_visible and (peek or kind == "dead-letter"):
            print_newest(url)


def show_local_deployment(func: str) -> None:
    """Print the queues that `make deploy ENV=local` created, if it did."""
    local = Environment("local")
    name = local.queue_name(func, "pending")
    if client("sqs").list_queues(QueueNamePrefix=name).get("QueueUrls"):
        show_queues(local, func, peek=True)


def count_messages(url: str) -> dict[str, int]:
    """Return how many messages a queue holds, with the keys of `COUNTS`."""
    found = client("sqs").get_queue_attributes(
        QueueUrl=url, AttributeNames=list(COUNTS)
    )["Attributes"]
    return {name: int(found[name]) for name in COUNTS}


def describe_counts(counts: dict[str, int]) -> str:
    """Return the counts as text, such as `3 waiting, 1 in flight, 0 delayed`."""
    return ", ".join(f"{counts[name]} {label}" for name, label in COUNTS.items())


def print_newest(url: str) -> None:
    """Print the newest of up to ten messages, which stay visible."""
    found = client("sqs").receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=10,
        VisibilityTimeout=0,
        WaitTimeSeconds=1,  # long polling asks all of SQS's servers
        MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
    )
    messages = found.get("Messages", [])
    if not messages:
        return
    newest = max(messages, key=lambda each: int(each["Attributes"]["SentTimestamp"]))
    attributes, body = newest["Attributes"], newest["Body"]
    sent = datetime.fromtimestamp(int(attributes["SentTimestamp"]) / 1000, UTC)
    print(
        f"  the newest of {len(messages)}: sent {sent:%Y-%m-%dT%H:%M:%SZ}, "
        f"ID {newest['MessageId']}, receive "
        f"count {attributes['ApproximateReceiveCount']}, this one included\n"
        f"  {body[:BODY_LIMIT]}{'…' if len(body) > BODY_LIMIT else ''}"
    )


def redrive(
    func: str,
    env: str,
    cause: str = "",
    message: str = "",
    body: str = "",
    file: Path = NO_FILE,
) -> int:
    """Move a function's dead letters back to its queue; return 0.

    SQS moves all of them itself and resets their receive counts. Where an emulator
    cannot, and where only some are to be moved, each message is sent again and then
    deleted.

    Args:
        func: the function.
        env: an environment of `config/deploy.yml`; empty for the shim.
        cause: only those with this cause, see `causes.show`.
        message: only the one with this ID.
        body: what to send instead of this message's body, or empty.
        file: a file with this, or an empty path.

    Raises:
        UserError: a queue or a message does not exist, or SQS stopped moving.
    """
    require_function(func)
    is_edited = bool(body) or file != NO_FILE
    if is_edited and not message:
        raise UserError("BODY= and FILE= replace the body of one message: add MESSAGE=")
    environment = enter(env)
    function = environment.functions[func]
    text = send.read_body(func, function, body, file) if is_edited else ""
    if not env:
        shim_resources.update()
    pending = environment.find_queue_url(func, "pending")
    dead_letter = environment.find_queue_url(func, "dead-letter")
    if cause or message:
        chosen = causes.choose(environment, func, cause, message)

        def move(letter: dead_letters.Message) -> None:
            sent = dead_letters.resend(letter, pending, text)
            if message:
                print(f"sent {message} again as message {sent}", flush=True)

        for moved in dead_letters.take(environment, func, chosen, move):
            print(f"moved {moved} of {len(chosen)}", flush=True)
        return 0
    count = count_messages(dead_letter)["ApproximateNumberOfMessages"]
    if not count:
        print(f"{environment.queue_name(func, 'dead-letter')} has no messages.")
        return 0
    for moved in move_dead_letters(dead_letter, pending, count):
        print(f"moved {moved} of {count}", flush=True)
    return 0


def move_dead_letters(dead_letter: str, pending: str, count: int) -> Iterator[int]:
    """Move dead letters; return an iterator over how many have been moved so far.

    Args:
        dead_letter: URL of the dead-letter queue.
        pending: URL of the queue that they come from.
        count: how many there are.

    Raises:
        UserError: SQS stopped moving.
    """
    sqs = client("sqs")
    found = sqs.get_queue_attributes(QueueUrl=dead_letter, AttributeNames=["QueueArn"])
    arn = found["Attributes"]["QueueArn"]
    try:
        sqs.start_message_move_task(SourceArn=arn)
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidAction":
            raise
        print(
            "This emulator has no redrive: sending each message again, then deleting "
            "the dead letter.",
            flush=True,
        )
        return move_messages(dead_letter, pending, count)
    return watch_move_task(arn)


def watch_move_task(arn: str) -> Iterator[int]:
    """Yield how many messages a queue's newest move task has moved, until it ends.

    Raises:
        UserError: the task failed; the rest of the messages is where it was.
    """
    sqs, before = client("sqs"), -1
    while True:
        [task] = sqs.list_message_move_tasks(SourceArn=arn, MaxResults=1)["Results"]
        moved = task.get("ApproximateNumberOfMessagesMoved", 0)
        if moved != before:
            yield moved
        before = moved
        if task["Status"] == "COMPLETED":
            return
        if task["Status"] in ("FAILED", "CANCELLED"):
            reason = task.get("FailureReason", "the task was cancelled")
            raise UserError(f"SQS stopped after {count(moved, 'message')}: {reason}")
        sleep(POLL_SECONDS)


def move_messages(source: str, destination: str, count: int) -> Iterator[int]:
    """Move messages between queues; yield how many have been moved so far.

    A message is sent before it is deleted, so an interruption can duplicate one but
    never lose it.

    Args:
        source: URL of the queue to empty.
        destination: URL of the queue to send to.
        count: how many messages to move at most.
    """
    sqs, moved = client("sqs"), 0
    while moved < count:
        messages = sqs.receive_message(
            QueueUrl=source,
            MaxNumberOfMessages=min(10, count - moved),
            VisibilityTimeout=dead_letters.VISIBILITY_SECONDS,
            WaitTimeSeconds=1,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["MessageGroupId"],
        ).get("Messages", [])
        if not messages:
            return
        for each in messages:
            dead_letters.resend(each, destination)
            sqs.delete_message(QueueUrl=source, ReceiptHandle=each["ReceiptHandle"])
        moved += len(messages)
        yield moved


def purge(
    func: str, env: str, queue: str, cause: str, message: str, confirm: str
) -> int:
    """Delete all messages of a queue, or some dead letters, when confirmed; return 0.

    Args:
        func: the function.
        env: an environment of `config/deploy.yml`; empty for the shim.
        queue: "pending" or "dead-letter".
        cause: only dead letters with this cause, see `causes.show`.
        message: only the dead letter with this ID.
        confirm: the function's name, or empty to ask on the terminal.

    Raises:
        UserError: it is not confirmed, or the queue or a message does not exist.
    """
    require_function(func)
    if (cause or message) and queue != "dead-letter":
        raise UserError("CAUSE= and MESSAGE= need QUEUE=dead-letter")
    environment = enter(env)
    if not env:
        shim_resources.update()
    name = environment.queue_name(func, queue)
    url = environment.find_queue_url(func, queue)
    if cause or message:
        chosen = causes.choose(environment, func, cause, message)
        messages = count(len(chosen), "message")
        question = f"This permanently deletes {messages} of {name}."
        confirmation.require(question, func, "the function's name", confirm)
        for deleted in dead_letters.take(environment, func, chosen):
            print(f"deleted {deleted} of {len(chosen)}", flush=True)
        return 0
    counts = describe_counts(count_messages(url))
    question = f"This permanently deletes all messages of {name}: {counts}."
    confirmation.require(question, func, "the function's name", confirm)
    sqs = client("sqs")
    try:
        sqs.purge_queue(QueueUrl=url)
    except sqs.exceptions.PurgeQueueInProgress:
        raise UserError(
            f"{name} is being purged already: SQS allows it once in 60 s"
        ) from None
    print(f"SQS deletes all messages of {name} within a minute.")
    return 0
