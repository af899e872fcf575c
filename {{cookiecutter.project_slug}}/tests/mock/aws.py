"""Test double of boto3: S3, SQS and Secrets Manager in memory."""

import io
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from types import SimpleNamespace
from typing import Any

MAX_BYTES = 1_048_576  # of the bodies in a request to SQS


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
        """Return the one client of a service.

        Raises:
            LookupError: there is no double of it.
        """
        self.created.append(service)
        if service not in self.clients:
            raise LookupError(
                f"there is no double of {service}: pass one, as in "
                f"void_context(clients=dict({service}=…)); see docs/testing.md"
            )
        return self.clients[service]


class RefusedError(Exception):
    """An answer of AWS that is an error, like botocore's `ClientError`."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.response = {"Error": {"Code": code, "Message": message}}


class NotFoundError(RefusedError):
    """There is no such object, version or secret."""


class MockS3:
    """S3 with versioned buckets. The latest version is the last one.

    Attributes:
        versions: the bodies of each object's versions, by bucket and key.
        options: the other arguments of the latest `put_object`, such as `Metadata`.
    """

    exceptions = SimpleNamespace(ClientError=RefusedError, NoSuchKey=NotFoundError)
    known_options = frozenset(
        (
            *("ACL", "CacheControl", "ChecksumAlgorithm", "ContentDisposition"),
            *("ContentEncoding", "ContentLanguage", "ContentType", "Expires"),
            *("IfNoneMatch", "Metadata", "SSEKMSKeyId", "ServerSideEncryption"),
            *("StorageClass", "Tagging"),
        )
    )

    def __init__(self) -> None:
        self.versions: dict[tuple[str, str], list[bytes]] = defaultdict(list)
        self.options: dict[tuple[str, str], dict[str, Any]] = {}

    def put_object(
        self,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        Body: Any = b"",  # noqa: N803
        **options: Any,
    ) -> dict[str, str]:
        """Add a version of an object; with `IfNoneMatch="*"` only if there is none."""
        if unknown := options.keys() - self.known_options:
            raise TypeError(f"put_object has no arguments {sorted(unknown)}")
        versions = self.versions[Bucket, Key]
        if options.get("IfNoneMatch") == "*" and versions:
            raise RefusedError("PreconditionFailed", Key)
        body = Body.read() if hasattr(Body, "read") else Body
        versions.append(body.encode() if isinstance(body, str) else bytes(body))
        self.options[Bucket, Key] = options
        return self.head_object(Bucket, Key)

    def get_object(
        self,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        VersionId: str = "",  # noqa: N803
        IfMatch: str = "",  # noqa: N803
    ) -> dict[str, Any]:
        """Return a version of an object as a stream; `IfMatch` is ignored."""
        versions = self.versions[Bucket, Key]
        if not versions:
            raise NotFoundError("NoSuchKey", f"s3://{Bucket}/{Key}")
        body = versions[int(VersionId or len(versions)) - 1]
        response = object_response(io.BytesIO(body), len(body))
        return response | self.head_object(Bucket, Key)

    def delete_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        """Delete an object, if there is one."""
        self.versions.pop((Bucket, Key), None)
        return {}

    def list_objects_v2(
        self,
        Bucket: str,  # noqa: N803
        Prefix: str = "",  # noqa: N803
        StartAfter: str = "",  # noqa: N803
        ContinuationToken: str = "",  # noqa: N803
        MaxKeys: int = 1000,  # noqa: N803
    ) -> dict[str, Any]:
        """Return a page of the objects. Like S3, omit `Contents` if there are none."""
        start = ContinuationToken or StartAfter
        keys = sorted(
            key
            for (bucket, key), versions in self.versions.items()
            if bucket == Bucket and versions and key.startswith(Prefix) and key > start
        )
        page = keys[:MaxKeys]
        response: dict[str, Any] = {
            "KeyCount": len(page),
            "IsTruncated": len(keys) > len(page),
        }
        if page:
            response["Contents"] = [self._summarize(Bucket, key) for key in page]
        if len(keys) > len(page):
            response["NextContinuationToken"] = page[-1]
        return response

    def get_paginator(self, operation: str) -> "MockPaginator":
        """Return the pages of `list_objects_v2`."""
        assert operation == "list_objects_v2", f"no double of the pages of {operation}"
        return MockPaginator(self)

    def _summarize(self, bucket: str, key: str) -> dict[str, Any]:
        body = self.versions[bucket, key][-1]
        response = object_response(io.BytesIO(body), len(body))
        modified, etag = response["LastModified"], self.head_object(bucket, key)["ETag"]
        return {"Key": key, "Size": len(body), "LastModified": modified, "ETag": etag}

    def list_buckets(self, MaxBuckets: int) -> dict[str, Any]:  # noqa: N803
        """Return no buckets."""
        return {"Buckets": []}

    def head_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        """Return the ID of the latest version, and what was put with it."""
        versions = self.versions[Bucket, Key]
        if not versions:
            raise NotFoundError("404", f"s3://{Bucket}/{Key}")
        options = self.options.get((Bucket, Key), {})
        return {
            "VersionId": str(len(versions)),
            "ETag": f'"{len(versions)}"',
            "ContentType": options.get("ContentType", "binary/octet-stream"),
            "Metadata": options.get("Metadata", {}),
        }


class MockPaginator:
    """The pages of `list_objects_v2`."""

    def __init__(self, s3: MockS3) -> None:
        self._s3 = s3

    def paginate(self, **arguments: Any) -> Iterator[dict[str, Any]]:
        """Yield all pages."""
        options = arguments.pop("PaginationConfig", {})
        if size := options.get("PageSize"):
            arguments["MaxKeys"] = size
        page = self._s3.list_objects_v2(**arguments)
        yield page
        while token := page.get("NextContinuationToken"):
            page = self._s3.list_objects_v2(ContinuationToken=token, **arguments)
            yield page


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
            raise NotFoundError("ResourceNotFoundException", SecretId)
        return {"SecretString": self.secrets[SecretId]}


class MockSqs:
    """A queue to receive from, and all queues that are sent to.

    A received message stays in flight until it is deleted or returned.

    Attributes:
        sent: the bodies sent to each queue, by its name.
        entries: the same messages with all arguments, such as `MessageGroupId`.
        visible: messages that can be received.
        in_flight: messages by their receipt handle, which is new with each delivery.
        failures: errors that the next requests raise.
        refused: operation and body of entries that fail once in a batch request. The
            operations are `send`, `delete`, `extend` and `return`.
        invalid: bodies that SQS never accepts.
        requests: number of requests, by name.
        limits: most messages asked for, in each request that returned some.
        visibility: the queue's visibility timeout, in seconds.
        redrive_policy: empty if the queue has no dead-letter queue.
        return_delays: delay in seconds of each message returned to the queue.
        extended: set when a message's visibility was extended.
        returned: set when a message was returned.
    """

    def __init__(self) -> None:
        self._numbers = count(1)
        self.sent: dict[str, list[str]] = defaultdict(list)
        self.entries: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.redrive_policy = '{"maxReceiveCount": 3}'
        self.invalid: list[str] = []
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

    def send_message(self, QueueUrl: str, **entry: Any) -> dict[str, str]:  # noqa: N803
        """Send a message to a queue."""
        response = self.send_message_batch(QueueUrl, [{"Id": "0", **entry}])
        for failed in response["Failed"]:
            raise RefusedError(failed["Code"])
        return {"MessageId": str(response["Successful"][0]["MessageId"])}

    def send_message_batch(
        self,
        QueueUrl: str,  # noqa: N803
        Entries: list[dict[str, Any]],  # noqa: N803
    ) -> dict[str, Any]:
        """Send messages to a queue. A FIFO queue drops those it has, as SQS does."""
        self.requests["send_message_batch"] += 1
        if len(Entries) > 10:
            raise RefusedError("AWS.SimpleQueueService.TooManyEntriesInBatchRequest")
        if sum(len(each["MessageBody"].encode()) for each in Entries) > MAX_BYTES:
            raise RefusedError("AWS.SimpleQueueService.BatchRequestTooLong")
        queue = QueueUrl.rpartition("/")[2]
        response: dict[str, Any] = {"Successful": [], "Failed": []}
        for entry in Entries:
            body, failure = entry["MessageBody"], {"Id": entry["Id"]}
            if body in self.invalid:
                failure |= {"Code": "InvalidMessageContents", "SenderFault": True}
                response["Failed"].append(failure)
            elif ("send", body) in self.refused:
                self.refused.remove(("send", body))
                failure |= {"Code": "InternalError", "SenderFault": False}
                response["Failed"].append(failure)
            else:
                number = str(next(self._numbers))
                response["Successful"].append({"Id": entry["Id"], "MessageId": number})
                self._store(queue, entry)
        return response

    def _store(self, queue: str, entry: dict[str, Any]) -> None:
        known = [each.get("MessageDeduplicationId") for each in self.entries[queue]]
        duplicate = entry.get("MessageDeduplicationId")
        if duplicate is None or duplicate not in known:
            self.entries[queue].append(entry)
            self.sent[queue].append(entry["MessageBody"])

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
                "RedrivePolicy": self.redrive_policy,
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
