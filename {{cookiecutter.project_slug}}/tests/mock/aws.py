"""Test double of boto3: S3, SQS and Secrets Manager in memory."""

import io
import threading
from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import count
from types import SimpleNamespace
from typing import Any


class MockBoto3:
    """The part of the module boto3 that a context uses.

    `clients` has the client of each service, `created` the services asked for.
    """

    def __init__(self) -> None:
        self.created: list[str] = []
        self.clients: dict[str, Any] = {
            "s3": MockS3(),
            "sqs": MockSqs(),
            "secretsmanager": MockSecrets(),
        }

    def client(self, service: str, **_: Any) -> Any:
        """Return the one client of a service."""
        self.created.append(service)
        return self.clients[service]


class NotFoundError(Exception):
    """There is no such object, version or secret."""


class MockS3:
    """S3 with versioned buckets. The latest version is the last one."""

    exceptions = SimpleNamespace(ClientError=NotFoundError)

    def __init__(self) -> None:
        self.versions: dict[tuple[str, str], list[bytes]] = defaultdict(list)

    def put_object(self, Bucket: str, Key: str, Body: bytes) -> dict[str, str]:  # noqa: N803
        """Add a version of an object."""
        versions = self.versions[Bucket, Key]
        versions.append(Body)
        return {"VersionId": str(len(versions))}

    def get_object(
        self,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        VersionId: str = "",  # noqa: N803
        IfMatch: str = "",  # noqa: N803
    ) -> dict[str, Any]:
        """Return a version of an object as a stream; `IfMatch` is ignored."""
        self.head_object(Bucket, Key)
        versions = self.versions[Bucket, Key]
        body = versions[int(VersionId or len(versions)) - 1]
        return object_response(io.BytesIO(body), len(body))

    def list_buckets(self, MaxBuckets: int) -> dict[str, Any]:  # noqa: N803
        """Return no buckets."""
        return {"Buckets": []}

    def head_object(self, Bucket: str, Key: str) -> dict[str, str]:  # noqa: N803
        """Return the ID of the latest version."""
        versions = self.versions[Bucket, Key]
        if not versions:
            raise NotFoundError(f"s3://{Bucket}/{Key}")
        return {"VersionId": str(len(versions)), "ETag": f'"{len(versions)}"'}


def object_response(body: io.BytesIO, size: int) -> dict[str, Any]:
    """Return the response of `get_object`."""
    modified = datetime(2026, 1, 5, 8, tzinfo=UTC)
    return {"Body": body, "ContentLength": size, "LastModified": modified}


class BrokenStream(io.BytesIO):
    """A body whose connection is lost before its end."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the bytes that there are, then fail."""
        if block := super().read(size):
            return block
        raise ConnectionError("connection reset by peer")


class MockSecrets:
    """Secrets Manager."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}

    def get_secret_value(self, SecretId: str) -> dict[str, str]:  # noqa: N803
        """Return a secret."""
        if SecretId not in self.secrets:
            raise NotFoundError(SecretId)
        return {"SecretString": self.secrets[SecretId]}


class MockSqs:
    """One queue. A received message stays in flight until it is deleted or returned.

    Attributes:
        visible: messages that can be received.
        in_flight: messages by their receipt handle, which is new with each delivery.
        failures: errors that the next requests raise.
        refused: operation and body of entries that fail once in a batch request.
        requests: number of requests, by name.
        limits: most messages asked for, in each request that returned some.
        visibility: the queue's visibility timeout, in seconds.
        return_delays: delay in seconds of each message returned to the queue.
        extended: set when a message's visibility was extended.
        returned: set when a message was returned.
    """

    def __init__(self) -> None:
        self._numbers = count(1)
        self.visible: list[dict[str, Any]] = []
        self.in_flight: dict[str, dict[str, Any]] = {}
        self.failures: list[Exception] = []
        self.refused: list[tuple[str, str]] = []
        self.requests: Counter[str] = Counter()
        self.limits: list[int] = []
        self.visibility = 30
        self.return_delays: list[int] = []
        self.extended = threading.Event()
        self.returned = threading.Event()
        self._never = threading.Event()

    def send(self, *bodies: str, **attributes: str) -> None:
        """Send messages to the queue, with SQS's own attributes."""
        for body in bodies:
            name = f"message-{next(self._numbers)}"
            message = {"MessageId": name, "Body": body, "Attributes": attributes}
            self.visible.append(message)

    def redeliver(self) -> None:
        """Let the visibility timeouts of all messages in flight end."""
        self.visible += self.in_flight.values()
        self.in_flight.clear()

    def get_queue_url(self, QueueName: str) -> dict[str, str]:  # noqa: N803
        """Return a URL for any name."""
        if self.failures:
            raise self.failures.pop(0)
        return {"QueueUrl": f"https://sqs.example/{QueueName}"}

    def get_queue_attributes(self, **_: Any) -> dict[str, dict[str, str]]:
        """Return the attributes that a poller asks for."""
        return {
            "Attributes": {
                "VisibilityTimeout": str(self.visibility),
                "ApproximateNumberOfMessages": str(len(self.visible)),
                "ApproximateNumberOfMessagesNotVisible": str(len(self.in_flight)),
                "ApproximateNumberOfMessagesDelayed": "0",
            }
        }

    def receive_message(self, MaxNumberOfMessages: int, **_: Any) -> dict[str, Any]:  # noqa: N803
        """Return messages. Like SQS, omit `Messages` if there are none.

        An empty queue is polled for a moment, so that other threads can run.
        """
        if self.failures:
            raise self.failures.pop(0)
        if not self.visible:
            self._never.wait(0.001)
            return {}
        self.limits.append(MaxNumberOfMessages)
        received = [self._deliver(each) for each in self.visible[:MaxNumberOfMessages]]
        del self.visible[:MaxNumberOfMessages]
        self.in_flight |= {message["ReceiptHandle"]: message for message in received}
        return {"Messages": received}

    def _deliver(self, message: dict[str, Any]) -> dict[str, Any]:
        attributes = dict(message["Attributes"])
        receives = int(attributes.get("ApproximateReceiveCount", 0)) + 1
        attributes["ApproximateReceiveCount"] = str(receives)
        receipt = f"receipt {next(self._numbers)}"
        return {**message, "ReceiptHandle": receipt, "Attributes": attributes}

    def delete_message_batch(self, Entries: list[Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        """Delete messages. Like SQS, ignore those deleted before."""
        self.requests["delete_message_batch"] += 1
        response = self._answer("delete", Entries)
        for entry in response["Successful"]:
            self.in_flight.pop(entry["ReceiptHandle"], None)
        return response

    def change_message_visibility_batch(
        self,
        Entries: list[Any],  # noqa: N803
        **_: Any,
    ) -> dict[str, Any]:
        """Extend the visibility of messages by the full timeout, or return them."""
        is_extension = Entries[0]["VisibilityTimeout"] == self.visibility
        response = self._answer("extend" if is_extension else "return", Entries)
        for entry in response["Successful"]:
            if is_extension:
                self.extended.set()
            else:
                self.return_delays.append(entry["VisibilityTimeout"])
                self.visible.append(self.in_flight.pop(entry["ReceiptHandle"]))
                self.returned.set()
        return response

    def _answer(self, operation: str, entries: list[Any]) -> dict[str, Any]:
        """Return a response in which the refused entries fail."""
        response: dict[str, Any] = {"Successful": [], "Failed": []}
        for entry in entries:
            message = self.in_flight.get(entry["ReceiptHandle"], {"Body": ""})
            refused = (operation, message["Body"])
            if refused in self.refused:
                self.refused.remove(refused)
                response["Failed"].append({**entry, "Code": "InternalError"})
            else:
                response["Successful"].append(entry)
        return response
