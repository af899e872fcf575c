"""An SQS queue: its messages, and the requests that a poller sends."""

import logging
from time import monotonic
from typing import Any

from context import CustomContext
from errors import is_clock_skew

logger = logging.getLogger("function")

MAX_BATCH = 10  # messages in one request, a limit of SQS
MIN_VISIBILITY = 1.0  # seconds
ATTRIBUTES = [
    *("ApproximateReceiveCount", "MessageGroupId", "SentTimestamp", "AWSTraceHeader")
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
        self.receive_count = int(self.attributes.get("ApproximateReceiveCount", 1))
        self.group: str = self.attributes.get("MessageGroupId", "")
        self.received_at = monotonic()
        self.lease = Lease(visibility_timeout)
        self.is_started = False
        self.is_finished = False
        self.return_after: int | None = None

    def start(self) -> None:
        """Note that the function is called now."""
        self.lease.last_asked = monotonic()
        self.is_started = True

    def finish(self, return_after: int | None) -> None:
        """Note the outcome: return the message after some seconds, or delete it."""
        self.return_after = return_after
        self.is_finished = True


class MessageQueue:
    """The queue that the setting `read_queue` names, by name or URL."""

    def __init__(self, context: CustomContext) -> None:
        self._context = context
        self._name: str = context.var.read_queue
        self.url = ""
        self.visibility_timeout = 30.0
        self.is_fifo = self._name.endswith(".fifo")

    def connect(self) -> bool:
        """Look up the queue's URL and visibility timeout; return True."""
        if "://" in self._name:
            self.url = self._name
        else:
            response = self._context.sqs.get_queue_url(QueueName=self._name)
            self.url = response["QueueUrl"]
        [timeout] = self._read_numbers("VisibilityTimeout")
        self.visibility_timeout = max(MIN_VISIBILITY, timeout)
        return True

    def receive(self, limit: int, wait: int) -> list[ReceivedMessage]:
        """Receive up to `limit` messages; wait up to `wait` seconds for the first."""
        response = self._context.sqs.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=limit,
            WaitTimeSeconds=wait,
            MessageSystemAttributeNames=ATTRIBUTES,
        )
        messages = response.get("Messages", [])
        return [ReceivedMessage(each, self.visibility_timeout) for each in messages]

    def is_empty(self) -> bool:
        """Whether the queue has no message: visible, in flight or delayed."""
        return not any(
            self._read_numbers(
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesNotVisible",
                "ApproximateNumberOfMessagesDelayed",
            )
        )

    def delete(self, messages: list[ReceivedMessage]) -> bool:
        """Delete up to `MAX_BATCH` messages; return whether all were deleted."""
        return self._send_batch("delete_message_batch", messages)

    def change_visibility(self, messages: list[ReceivedMessage], seconds: int) -> bool:
        """Hide up to `MAX_BATCH` messages from now on; return whether all were."""
        return self._send_batch(
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

    def _send_batch(
        self, action: str, messages: list[ReceivedMessage], **fields: Any
    ) -> bool:
        """Send one batch request; return whether it succeeded for all messages.

        A failure is logged and does no harm: the messages become visible again.
        """
        if not messages:
            return True
        entries = [
            {"Id": str(number), "ReceiptHandle": message.receipt_handle, **fields}
            for number, message in enumerate(messages)
        ]
        try:
            send = getattr(self._context.sqs, action)
            failed = send(QueueUrl=self.url, Entries=entries).get("Failed", [])
        except Exception as error:
            failed = [{"Message": f"{type(error).__name__}: {error}"}]
        for entry in failed:
            logger.warning("%s failed: %s", action, entry.get("Message"))
        return not failed

    def _read_numbers(self, *attributes: str) -> list[int]:
        response = self._context.sqs.get_queue_attributes(
            QueueUrl=self.url, AttributeNames=list(attributes)
        )
        return [int(response["Attributes"][name]) for name in attributes]
