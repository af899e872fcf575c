"""An SQS queue: its messages, and the requests that a poller sends."""

import logging
from time import monotonic, time
from typing import Any

from context import CustomContext
from errors import describe, is_clock_skew
from message import Message

logger = logging.getLogger("function")

MAX_BATCH = 10  # messages in one request, a limit of SQS
MIN_VISIBILITY = 1.0  # seconds
COUNTS = [
    f"ApproximateNumberOfMessages{suffix}" for suffix in ("", "NotVisible", "Delayed")
]

KMS_REMEDY = (
    "access to the key that encrypts {queue} is denied: allow the role kms:Decrypt"
)
# Errors that no retry can fix, with their remedies.
REMEDIES = {
    "NonExistentQueue": "there is no queue {queue}: correct --read_queue",
    "QueueDoesNotExist": "there is no queue {queue}: correct --read_queue",
    "AccessDenied": "access to {queue} is denied: allow the role sqs:ReceiveMessage, "
    "DeleteMessage, ChangeMessageVisibility, GetQueueUrl and GetQueueAttributes",
    "ExpiredToken": "the AWS credentials have expired: renew them and restart",
    "InvalidClientTokenId": "AWS does not know the credentials: check them",
    "UnrecognizedClient": "AWS does not know the credentials: check them",
    "SignatureDoesNotMatch": "the AWS secret key is wrong: check the credentials",
    "InvalidSignature": "the AWS secret key is wrong: check the credentials",
    "KMS.AccessDenied": KMS_REMEDY,
    "KmsAccessDenied": KMS_REMEDY,
    "NoCredentials": "there are no AWS credentials: set them in the environment",
    "InvalidRegion": "there is no such AWS region: correct --region or AWS_REGION",
    "NoRegion": "there is no AWS region: set --region or AWS_REGION",
}


class QueueError(RuntimeError):
    """The queue cannot be polled, and retries will not help."""


class Lease:
    """The time until a message becomes visible to other consumers.

    It is the context's `parent`, in place of AWS's context object.
    """

    def __init__(self, seconds: float) -> None:
        self.extend(seconds)
        self.last_asked = monotonic()

    def extend(self, seconds: float) -> None:
        """Let the lease end this many seconds from now."""
        self._end = monotonic() + seconds

    def time_left(self) -> float:
        """Return the seconds left."""
        return max(0, self._end - monotonic())

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds left, as AWS's context object does.

        A function that asks is alive: `last_asked` is the time of the last call.
        """
        self.last_asked = monotonic()
        return round(self.time_left() * 1000)


class ReceivedMessage:
    """A message in flight.

    Once it `is_finished`, `return_after` is the delay in seconds before the message is
    visible again, or None if the message is done and can be deleted.
    """

    def __init__(self, message: dict[str, Any], visibility_timeout: float) -> None:
        self.id: str = message["MessageId"]
        self.body: str = message["Body"]
        self.receipt_handle: str = message["ReceiptHandle"]
        self.attributes: dict[str, str] = message.get("Attributes", {})
        self.message = Message.from_sqs(
            self.id, self.body, self.attributes, message.get("MessageAttributes", {})
        )
        self.receive_count = self.message.receive_count
        self.received_at = monotonic()
        self.started_at = self.received_at
        self.lease = Lease(visibility_timeout)
        self.is_started = False
        self.is_finished = False
        self.return_after: int | None = None
        self.may_follow_crash = self._is_older_than(visibility_timeout)

    def start(self) -> None:
        """Note that the function is called now."""
        self.started_at = self.lease.last_asked = monotonic()
        self.is_started = True

    def seconds_running(self) -> float:
        """Return for how long the function has been running."""
        return monotonic() - self.started_at if self.is_started else 0

    def finish(self, return_after: int | None) -> None:
        """Note the outcome: return the message after some seconds, or delete it."""
        self.return_after = return_after
        self.is_finished = True

    def renew(self, redelivered: "ReceivedMessage") -> None:
        """Take over the receipt handle and the lease of a redelivery."""
        self.receipt_handle = redelivered.receipt_handle
        self.lease.extend(redelivered.lease.time_left())

    def _is_older_than(self, visibility_timeout: float) -> bool:
        """Whether it was received before, so long ago that its lease may have ended.

        A worker that fails returns the message sooner. One that dies does not.
        """
        first = self.attributes.get("ApproximateFirstReceiveTimestamp", "0")  # ms
        age = time() - int(first) / 1000
        return self.receive_count > 1 and age >= visibility_timeout


class MessageQueue:
    """The queue that the setting `read_queue` names, by name or URL."""

    def __init__(self, context: CustomContext) -> None:
        self._context = context
        self._name: str = context.var.read_queue
        self.url = ""
        self.visibility_timeout = 30.0
        self.has_dead_letters = False
        self.is_fifo = self._name.endswith(".fifo")

    def connect(self) -> bool:
        """Look up the queue's URL and visibility timeout; return True."""
        if "://" in self._name:
            self.url = self._name
        else:
            response = self._sqs.get_queue_url(QueueName=self._name)
            self.url = response["QueueUrl"]
        attributes = self._read_attributes("VisibilityTimeout", "RedrivePolicy")
        timeout = int(attributes["VisibilityTimeout"])
        self.visibility_timeout = max(MIN_VISIBILITY, timeout)
        self.has_dead_letters = bool(attributes.get("RedrivePolicy"))
        return True

    def receive(self, limit: int, wait: int) -> list[ReceivedMessage]:
        """Receive up to `limit` messages; wait up to `wait` seconds for the first."""
        response = self._sqs.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=limit,
            WaitTimeSeconds=wait,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        messages = response.get("Messages", [])
        return [ReceivedMessage(each, self.visibility_timeout) for each in messages]

    def count_messages(self) -> int:
        """Return about how many messages there are: visible, in flight or delayed."""
        attributes = self._read_attributes(*COUNTS)
        return sum(int(attributes[name]) for name in COUNTS)

    def delete(self, messages: list[ReceivedMessage]) -> list[ReceivedMessage]:
        """Delete messages; return those that could not be deleted."""
        return self._send_batches("delete_message_batch", messages)

    def change_visibility(
        self, messages: list[ReceivedMessage], seconds: int
    ) -> list[ReceivedMessage]:
        """Hide messages from now on; return those for which that failed."""
        return self._send_batches(
            "change_message_visibility_batch", messages, VisibilityTimeout=seconds
        )

    def raise_if_permanent(self, error: Exception) -> None:
        """Raise if no retry can fix an error of SQS.

        Raises:
            QueueError: its message names the remedy.
        """
        # botocore sets the response of a closed connection to None
        response = getattr(error, "response", None) or {}
        code = str(response.get("Error", {}).get("Code", type(error).__name__))
        code = code.removeprefix("AWS.SimpleQueueService.")
        code = code.removesuffix("Exception").removesuffix("Error")
        if code in REMEDIES and not is_clock_skew(error):
            name = self.url or self._name
            raise QueueError(REMEDIES[code].format(queue=name)) from error

    @property
    def _sqs(self) -> Any:
        return self._context.polling_sqs

    def _send_batches(
        self, action: str, messages: list[ReceivedMessage], **fields: Any
    ) -> list[ReceivedMessage]:
        """Send requests of up to `MAX_BATCH` entries; return the messages that failed.

        SQS answers each entry on its own, so one that fails leaves the others alone.
        """
        failed = []
        for start in range(0, len(messages), MAX_BATCH):
            batch = messages[start : start + MAX_BATCH]
            done = self._send_batch(action, batch, fields)
            failed += [each for each in batch if each.id not in done]
        return failed

    def _send_batch(
        self, action: str, batch: list[ReceivedMessage], fields: dict[str, Any]
    ) -> set[str]:
        """Send one request; return the IDs of the messages for which it succeeded."""
        entries = [
            {"Id": str(number), "ReceiptHandle": message.receipt_handle, **fields}
            for number, message in enumerate(batch)
        ]
        try:
            send = getattr(self._sqs, action)
            response = send(QueueUrl=self.url, Entries=entries)
        except Exception as error:
            ids = ", ".join(message.id for message in batch)
            logger.warning("%s failed for %s: %s", action, ids, describe(error))
            return set()
        for entry in response.get("Failed", []):
            message_id = batch[int(entry["Id"])].id
            reason = entry.get("Message") or entry.get("Code")
            logger.warning("%s failed for %s: %s", action, message_id, reason)
        return {batch[int(entry["Id"])].id for entry in response.get("Successful", [])}

    def _read_attributes(self, *names: str) -> dict[str, str]:
        response = self._sqs.get_queue_attributes(
            QueueUrl=self.url, AttributeNames=list(names)
        )
        attributes: dict[str, str] = response["Attributes"]
        return attributes
