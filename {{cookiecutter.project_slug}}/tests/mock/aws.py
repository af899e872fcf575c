"""What stands for boto3 in the unit tests: S3 and SQS in memory."""

import io
import threading
from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import count
from types import SimpleNamespace
from typing import Any


class MockBoto3:
    """As much of the module boto3 as a context needs.

    Its clients are in `clients`; `made` names those that were asked for.
    """

    def __init__(self) -> None:
        self.made: list[str] = []
        self.clients: dict[str, Any] = {
            "s3": MockS3(),
            "sqs": MockSqs(),
            "secretsmanager": MockSecrets(),
        }

    def client(self, service: str, **_: Any) -> Any:
        """Return the one client of a service."""
        self.made.append(service)
        return self.clients[service]


class NotThereError(Exception):
    """S3 has no such object, or not in that state."""


class MockS3:
    """S3 with versions, the latest last."""

    exceptions = SimpleNamespace(ClientError=NotThereError)

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
    ) -> dict[str, Any]:
        """Return a version of an object as a stream."""
        self.head_object(Bucket, Key)
        versions = self.versions[Bucket, Key]
        body = versions[int(VersionId or len(versions)) - 1]
        return answer(io.BytesIO(body), len(body))

    def list_buckets(self, MaxBuckets: int) -> dict[str, Any]:  # noqa: N803
        """Answer, as a service does that can be reached."""
        return {"Buckets": []}

    def head_object(self, Bucket: str, Key: str) -> dict[str, str]:  # noqa: N803
        """Return the latest version's name."""
        versions = self.versions[Bucket, Key]
        if not versions:
            raise NotThereError(f"s3://{Bucket}/{Key}")
        return {"VersionId": str(len(versions)), "ETag": f'"{len(versions)}"'}


def answer(body: io.BytesIO, size: int) -> dict[str, Any]:
    """Return what `get_object` answers."""
    modified = datetime(2026, 1, 5, 8, tzinfo=UTC)
    return {"Body": body, "ContentLength": size, "LastModified": modified}


class BrokenStream(io.BytesIO):
    """A body whose connection ends before it does."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Yield what is there, then fail."""
        if block := super().read(size):
            return block
        raise ConnectionError("connection reset by peer")


class MockSecrets:
    """Secrets by their names; one that is not there is a refusal."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}

    def get_secret_value(self, SecretId: str) -> dict[str, str]:  # noqa: N803
        """Return a secret's text."""
        if SecretId not in self.secrets:
            raise NotThereError(SecretId)
        return {"SecretString": self.secrets[SecretId]}


class MockSqs:
    """One queue; a message that was received stays hidden until it is given back.

    `failures` are raised by the next requests, `hidden_for` has the seconds that
    messages were given back with; `extended` and `given_back` tell that some were.
    """

    def __init__(self) -> None:
        self._numbers = count(1)
        self.waiting: list[dict[str, Any]] = []
        self.in_flight: dict[str, dict[str, Any]] = {}
        self.failures: list[Exception] = []
        self.requests: Counter[str] = Counter()
        self.visibility = 30
        self.hidden_for: list[int] = []
        self.extended = threading.Event()
        self.given_back = threading.Event()
        self._never = threading.Event()

    def send(self, *bodies: str) -> None:
        """Put messages on the queue."""
        for body in bodies:
            name = f"message-{next(self._numbers)}"
            self.waiting.append(
                {"MessageId": name, "ReceiptHandle": f"receipt of {name}", "Body": body}
            )

    def get_queue_url(self, QueueName: str) -> dict[str, str]:  # noqa: N803
        """Return a URL, whatever the name."""
        if self.failures:
            raise self.failures.pop(0)
        return {"QueueUrl": f"https://sqs.example/{QueueName}"}

    def get_queue_attributes(self, **_: Any) -> dict[str, dict[str, str]]:
        """Return the attributes that a poller asks for."""
        return {
            "Attributes": {
                "VisibilityTimeout": str(self.visibility),
                "ApproximateNumberOfMessages": str(len(self.waiting)),
                "ApproximateNumberOfMessagesNotVisible": str(len(self.in_flight)),
                "ApproximateNumberOfMessagesDelayed": "0",
            }
        }

    def receive_message(self, MaxNumberOfMessages: int, **_: Any) -> dict[str, Any]:  # noqa: N803
        """Hand out messages; without any, the answer names none, as SQS's does.

        Before that it pauses, as a long poll does, so that other threads go on.
        """
        if self.failures:
            raise self.failures.pop(0)
        if not self.waiting:
            self._never.wait(0.001)
        taken = self.waiting[:MaxNumberOfMessages]
        del self.waiting[:MaxNumberOfMessages]
        self.in_flight |= {message["ReceiptHandle"]: message for message in taken}
        return {"Messages": taken} if taken else {}

    def delete_message_batch(self, Entries: list[Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        """Forget messages."""
        self.requests["delete_message_batch"] += 1
        for entry in Entries:
            del self.in_flight[entry["ReceiptHandle"]]
        return {"Successful": Entries}

    def change_message_visibility_batch(
        self,
        Entries: list[Any],  # noqa: N803
        **_: Any,
    ) -> dict[str, Any]:
        """Extend the visibility of messages, or give them back."""
        for entry in Entries:
            if entry["VisibilityTimeout"] == self.visibility:
                self.extended.set()
            else:
                self.hidden_for.append(entry["VisibilityTimeout"])
                self.waiting.append(self.in_flight.pop(entry["ReceiptHandle"]))
                self.given_back.set()
        return {"Successful": Entries}
