"""Sends messages to the queues of other functions."""

import json
import random
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from context import CustomContext

# Limits of SQS, see
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
MAX_ENTRIES = 10
MAX_BYTES = 1_048_576  # of one message, and of all messages in a request
MAX_DELAY = 900  # seconds

ATTEMPTS = 6
FIRST_PAUSE = 0.2  # seconds; doubles with each attempt
TIME_RESERVE = 1.0  # seconds that remain for the function after a pause
DEFAULT_GROUP = "default"

Entry = dict[str, Any]


class SendError(RuntimeError):
    """SQS has not accepted some of the messages, even when they were sent again."""


class UndeclaredReceiverError(PermissionError):
    """The function does not declare that it sends to a function."""


class Sender:
    """Sends messages for a context, each in one of the queues in `send_queues`."""

    def __init__(self, context: "CustomContext") -> None:
        self._context = context
        self._urls: dict[str, str] = {}
        self._message: Any = None
        self._seed = ""
        self._positions: Counter[str] = Counter()

    def send(self, name: str, bodies: Iterable[Any], group: str, delay: int) -> int:
        """See `CustomContext.send`."""
        queue = self._find_queue(name)
        is_fifo = queue.endswith(".fifo")
        _check(bodies, delay, is_fifo)
        options: Entry = {"DelaySeconds": delay} if delay else {}
        if group or is_fifo:
            options["MessageGroupId"] = group or DEFAULT_GROUP
        texts: Iterable[str] = (_as_text(body, name) for body in bodies)
        if isinstance(bodies, list | tuple):
            texts = list(texts)  # a bad one raises before anything is sent
        entries = self._make_entries(texts, name, options, is_fifo)
        sent, failures = 0, Counter[str]()
        # One at a time keeps a FIFO group in order: SQS may refuse any entry of a
        # request, and accept a later one.
        for batch in _make_batches(entries, 1 if is_fifo else MAX_ENTRIES):
            self._context.require_time()
            failed = self._send_batch(self._find_url(queue), batch)
            sent += len(batch) - len(failed)
            failures.update(each["Code"] for each in failed)
            if failed and (is_fifo or _is_unavailable(batch, failed)):
                break
        if failures:
            raise SendError(_describe_rest(name, sent, failures, texts))
        return sent

    def _find_queue(self, name: str) -> str:
        queues = self._context.var.send_queues
        if name not in queues:
            own = self._context.function_name or "the function"
            line = f"sends_to: [{', '.join([*queues, name])}]"
            raise UndeclaredReceiverError(
                f"{own} may not send to {name}: write `{line}` for {own} in "
                "config/deploy.yml"
            )
        return str(queues[name])

    def _find_url(self, queue: str) -> str:
        if queue not in self._urls:
            response = self._context.sqs.get_queue_url(QueueName=queue)
            self._urls[queue] = response["QueueUrl"]
        return self._urls[queue]

    def _make_entries(
        self, texts: Iterable[str], name: str, options: Entry, is_fifo: bool
    ) -> Iterator[Entry]:
        for text in texts:
            entry = {"MessageBody": text, **options}
            if is_fifo:
                entry["MessageDeduplicationId"] = self._deduplication_id(text, name)
            yield entry

    def _deduplication_id(self, text: str, name: str) -> str:
        """Return an ID that a repetition of the current message sends again.

        It is a hash of the current message's ID, of how many messages have been sent
        to the receiver for it, and of the text. Without a message, nothing is repeated.
        """
        if not self._seed or self._message is not self._context.message:
            self._message = self._context.message
            self._seed = self._message.id if self._message else uuid.uuid4().hex
            self._positions.clear()
        self._positions[name] += 1
        identity = [self._seed, name, self._positions[name], text]
        return sha256(json.dumps(identity).encode()).hexdigest()

    def _send_batch(self, url: str, batch: list[Entry]) -> list[Entry]:
        """Send a batch, and its failed entries again.

        Returns:
            The errors of the entries that were not sent: `Code` and `SenderFault`.
        """
        errors: list[Entry] = []
        for attempt in range(ATTEMPTS):
            if attempt and not self._pause(attempt):
                break
            entries = [{"Id": str(at), **entry} for at, entry in enumerate(batch)]
            response = self._context.sqs.send_message_batch(
                QueueUrl=url, Entries=entries
            )
            failed = response.get("Failed", [])
            errors += [each for each in failed if each.get("SenderFault")]
            again = [each for each in failed if not each.get("SenderFault")]
            if not again:
                return errors
            batch = [batch[int(each["Id"])] for each in again]
        return errors + again

    def _pause(self, attempt: int) -> bool:
        """Wait before another attempt; return False if there is no time for it."""
        longest = FIRST_PAUSE * 2.0**attempt
        pause = random.uniform(longest / 2, longest)  # noqa: S311 - jitter
        if self._context.time_remaining() < pause + TIME_RESERVE:
            return False
        time.sleep(pause)
        return True


def _is_unavailable(batch: list[Entry], failed: list[Entry]) -> bool:
    """Whether SQS accepted no entry, and not only because of what is in them."""
    has_sent = len(failed) < len(batch)
    return not has_sent and not all(each.get("SenderFault") for each in failed)


def _describe_rest(
    name: str, sent: int, failures: Counter[str], texts: Iterable[str]
) -> str:
    """Describe the messages that were not sent, also those that were not tried."""
    codes = ", ".join(f"{code} ({failures[code]})" for code in failures)
    remaining, unknown = failures.total(), ""
    if isinstance(texts, list):
        remaining = len(texts) - sent
    else:
        unknown = " of those that were tried"
    return f"messages to {name}: {sent} sent, {remaining} not sent{unknown}: {codes}"


def _check(bodies: Any, delay: int, is_fifo: bool) -> None:
    """Check the arguments of `send`.

    Raises:
        TypeError: `bodies` is a single one.
        ValueError: SQS refuses the delay.
    """
    if isinstance(bodies, str | bytes | dict):
        raise TypeError("bodies is a single one: pass a list, as in [body]")
    if not 0 <= delay <= MAX_DELAY:
        raise ValueError(f"delay is {delay}: use 0 to {MAX_DELAY} seconds")
    if delay and is_fifo:
        raise ValueError("a FIFO queue delays all of its messages or none: omit delay")


def _as_text(body: Any, name: str) -> str:
    """Return a body as text.

    Raises:
        ValueError: it is empty, longer than SQS accepts, or no JSON.
        TypeError: it cannot be written as JSON.
    """
    text = body if isinstance(body, str) else json.dumps(body, allow_nan=False)
    size = len(text.encode())
    if size > MAX_BYTES:
        raise ValueError(
            f"a message to {name} has {size:,} bytes, but SQS accepts {MAX_BYTES:,}: "
            "put it into S3 and send its key"
        )
    if not text:
        raise ValueError(f"a message to {name} is empty, which SQS refuses")
    return text


def _make_batches(entries: Iterable[Entry], limit: int) -> Iterator[list[Entry]]:
    """Yield batches of up to `limit` entries and `MAX_BYTES`."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        entry_size = len(entry["MessageBody"].encode())
        if batch and (len(batch) == limit or size + entry_size > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += entry_size
    if batch:
        yield batch
