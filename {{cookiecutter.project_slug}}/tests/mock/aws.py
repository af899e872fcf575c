"""Test double of boto3: S3, SQS and Secrets Manager in memory.

They accept the calls that AWS accepts: botocore's models of the services give the names
and types of arguments and responses.
"""

# The arguments have the names that boto3 gives them.
# ruff: noqa: N803

import hashlib
import io
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from time import time
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from tests.mock.service_model import operation

FIRST_MODIFIED = datetime(2026, 1, 5, 8, tzinfo=UTC)  # each version a second later
MAX_BYTES = 1_048_576  # of the bodies in a request to SQS
MAX_ENTRIES = 10  # of a batch request
MAX_KEY_BYTES = 1024
MAX_VISIBILITY = 43_200  # seconds
MAX_DELAY = 900  # seconds
MAX_WAIT = 20  # seconds of a long poll
TOO_LONG = "AWS.SimpleQueueService.BatchRequestTooLong"
TOO_MANY = "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"


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


class RefusedError(ClientError):  # type: ignore[misc] # botocore has no types
    """An answer of AWS that is an error."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__({"Error": {"Code": code, "Message": message}}, "mock")


class NotFoundError(RefusedError):
    """There is no such object, version or secret."""


class MockS3:
    """S3. The latest version of an object is the last one, None stands for a deletion.

    Attributes:
        versions: the bodies of each object's versions, by bucket and key.
        options: the other arguments of the latest `put_object`, such as `Metadata`.
        is_versioned: whether the buckets keep versions. Otherwise no response has an
            ID of one.
    """

    service = "s3"
    exceptions = SimpleNamespace(ClientError=ClientError, NoSuchKey=NotFoundError)

    def __init__(self) -> None:
        self.versions: dict[tuple[str, str], list[bytes | None]] = defaultdict(list)
        self.options: dict[tuple[str, str], dict[str, Any]] = {}
        self.is_versioned = True

    @operation
    def put_object(
        self,
        Bucket: str,
        Key: str,
        Body: Any = b"",
        **options: Any,
    ) -> dict[str, str]:
        """Add a version of an object; with `IfNoneMatch="*"` only if there is none."""
        if len(Key.encode()) > MAX_KEY_BYTES:
            raise RefusedError("KeyTooLongError", "Your key is too long")
        versions = self.versions[Bucket, Key]
        is_there = bool(versions) and versions[-1] is not None
        if options.get("IfNoneMatch") == "*" and is_there:
            raise RefusedError("PreconditionFailed", Key)
        body = Body.read() if hasattr(Body, "read") else Body
        if not self.is_versioned:
            versions.clear()
        versions.append(body.encode() if isinstance(body, str) else bytes(body))
        self.options[Bucket, Key] = options
        head = self._describe(Bucket, Key, len(versions))
        return {name: head[name] for name in ("ETag", "VersionId") if name in head}

    @operation
    def get_object(
        self,
        Bucket: str,
        Key: str,
        VersionId: str = "",
        IfMatch: str = "",
    ) -> dict[str, Any]:
        """Return a version of an object as a stream."""
        body, head = self._find(Bucket, Key, VersionId, "NoSuchKey")
        if IfMatch not in ("", head["ETag"], head["ETag"].strip('"')):
            raise RefusedError("PreconditionFailed", f"s3://{Bucket}/{Key}")
        return {**head, "Body": io.BytesIO(body), "ContentLength": len(body)}

    @operation
    def head_object(
        self,
        Bucket: str,
        Key: str,
        VersionId: str = "",
    ) -> dict[str, Any]:
        """Return the ID of a version, and what was put with it."""
        return self._find(Bucket, Key, VersionId, "404")[1]

    @operation
    def delete_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        """Delete an object, if there is one. Its versions remain."""
        versions = self.versions[Bucket, Key]
        if not self.is_versioned:
            versions.clear()
            return {}
        versions.append(None)
        return {"DeleteMarker": True, "VersionId": name_version(len(versions))}

    @operation
    def list_objects_v2(
        self,
        Bucket: str,
        Prefix: str = "",
        StartAfter: str = "",
        ContinuationToken: str = "",
        MaxKeys: int = 1000,
    ) -> dict[str, Any]:
        """Return a page of the objects. Like S3, omit `Contents` if there are none."""
        start = ContinuationToken or StartAfter
        keys = sorted(
            key
            for (bucket, key), versions in self.versions.items()
            if bucket == Bucket and versions and versions[-1] is not None
            if key.startswith(Prefix) and key > start
        )
        page = keys[: min(MaxKeys, 1000)]
        response: dict[str, Any] = {
            "KeyCount": len(page),
            "IsTruncated": len(keys) > len(page),
        }
        if page:
            response["Contents"] = [self._summarize(Bucket, key) for key in page]
        if len(keys) > len(page):
            response["NextContinuationToken"] = page[-1]
        return response

    @operation
    def list_buckets(self, MaxBuckets: int) -> dict[str, Any]:
        """Return no buckets."""
        return {"Buckets": []}

    def get_paginator(self, name: str) -> "MockPaginator":
        """Return the pages of `list_objects_v2`."""
        assert name == "list_objects_v2", f"no double of the pages of {name}"
        return MockPaginator(self)

    def _find(
        self, bucket: str, key: str, version: str, missing: str
    ) -> tuple[bytes, dict[str, Any]]:
        """Return the body of a version, the latest by default, and its description.

        Raises:
            NotFoundError: there is none, with the code `missing`.
        """
        versions = self.versions[bucket, key]
        names = [name_version(number) for number in range(1, len(versions) + 1)]
        if version and version not in names:
            raise NotFoundError("NoSuchVersion", f"s3://{bucket}/{key}?{version}")
        number = names.index(version) + 1 if version else len(names)
        body = versions[number - 1] if number else None
        if body is None:
            raise NotFoundError(missing, f"s3://{bucket}/{key}")
        return body, self._describe(bucket, key, number)

    def _describe(self, bucket: str, key: str, number: int) -> dict[str, Any]:
        versions = self.versions[bucket, key]
        options = self.options.get((bucket, key), {})
        digest = hashlib.md5(versions[number - 1] or b"", usedforsecurity=False)
        described = {
            "ETag": f'"{digest.hexdigest()}"',
            "LastModified": FIRST_MODIFIED + timedelta(seconds=number - 1),
            "ContentType": options.get("ContentType", "binary/octet-stream"),
            "Metadata": options.get("Metadata", {}),
        }
        version = {"VersionId": name_version(number)} if self.is_versioned else {}
        return described | version

    def _summarize(self, bucket: str, key: str) -> dict[str, Any]:
        versions = self.versions[bucket, key]
        body = versions[-1] or b""
        described = self._describe(bucket, key, len(versions))
        shown = {name: described[name] for name in ("LastModified", "ETag")}
        return {"Key": key, "Size": len(body), **shown}


def name_version(number: int) -> str:
    """Return the ID of an object's first, second, … version."""
    return f"version-{number:04}"


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
    return {"Body": body, "ContentLength": size, "LastModified": FIRST_MODIFIED}


class BrokenStream(io.BytesIO):
    """A body whose connection is lost before its end."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the bytes that there are, then fail."""
        if block := super().read(size):
            return block
        raise ConnectionError("connection reset by peer")


class MockSecrets:
    """Secrets Manager."""

    service = "secretsmanager"

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}

    @operation
    def get_secret_value(self, SecretId: str) -> dict[str, str]:
        """Return a secret."""
        if SecretId not in self.secrets:
            raise NotFoundError("ResourceNotFoundException", SecretId)
        return {"SecretString": self.secrets[SecretId]}


class MockSqs:
    """A queue to receive from, and all queues that are sent to.

    A received message stays in flight until it is deleted or returned. Of a queue whose
    name ends in `.fifo`, messages of a group are received in order, and none while
    another one of the group is in flight.

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
        waits: seconds that each request waits for messages.
        visibility: the queue's visibility timeout, in seconds.
        redrive_policy: empty if the queue has no dead-letter queue.
        return_delays: delay in seconds of each message returned to the queue.
        extended: set when a message's visibility was extended.
        returned: set when a message was returned.
    """

    service = "sqs"

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
        self.waits: list[int] = []
        self.visibility = 30
        self.return_delays: list[int] = []
        self.extended = threading.Event()
        self.returned = threading.Event()
        self._handles: set[str] = set()
        self._never = threading.Event()

    def send(self, *bodies: str, **attributes: str) -> None:
        """Send messages to the queue, with SQS's own attributes."""
        for body in bodies:
            number = next(self._numbers)
            message = {"MessageId": f"message-{number}", "Body": body}
            self.visible.append({**message, "Attributes": attributes})

    @operation
    def send_message(self, QueueUrl: str, **entry: Any) -> dict[str, str]:
        """Send a message to a queue."""
        response = self._send(QueueUrl, [{"Id": "0", **entry}])
        for failed in response.get("Failed", []):
            raise RefusedError(failed["Code"])
        [sent] = response["Successful"]
        return {name: sent[name] for name in sent if name != "Id"}

    @operation
    def send_message_batch(
        self,
        QueueUrl: str,
        Entries: list[dict[str, Any]],
    ) -> dict[str, Any]:
        """Send messages to a queue. A FIFO queue drops those it has, as SQS does."""
        self.requests["send_message_batch"] += 1
        require_batch(Entries)
        if sum(len(each["MessageBody"].encode()) for each in Entries) > MAX_BYTES:
            raise RefusedError(TOO_LONG)
        return self._send(QueueUrl, Entries)

    def _send(self, url: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
        queue = url.rpartition("/")[2]
        response: dict[str, Any] = {}
        for entry in entries:
            body = entry["MessageBody"]
            if code := self._refuse(queue, entry):
                add_failure(response, entry, code, is_sender_fault=True)
            elif ("send", body) in self.refused:
                self.refused.remove(("send", body))
                add_failure(response, entry, "InternalError")
            else:
                self._store(queue, entry)
                digest = hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
                number = str(next(self._numbers))
                sent = {"MessageId": number, "MD5OfMessageBody": digest}
                response.setdefault("Successful", []).append(
                    {"Id": entry["Id"], **sent}
                )
        return response

    def _refuse(self, queue: str, entry: dict[str, Any]) -> str:
        """Return why SQS never accepts an entry, or an empty string.

        See https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
        """
        delay, body = entry.get("DelaySeconds", 0), entry["MessageBody"]
        if body in self.invalid:
            return "InvalidMessageContents"
        if not body or not 0 <= delay <= MAX_DELAY:
            return "InvalidParameterValue"
        if queue.endswith(".fifo"):
            if not (
                entry.get("MessageGroupId") and entry.get("MessageDeduplicationId")
            ):
                return "MissingParameter"
            return "InvalidParameterValue" if "DelaySeconds" in entry else ""
        return "InvalidParameterValue" if "MessageDeduplicationId" in entry else ""

    def _store(self, queue: str, entry: dict[str, Any]) -> None:
        known = [each.get("MessageDeduplicationId") for each in self.entries[queue]]
        duplicate = entry.get("MessageDeduplicationId")
        if duplicate is None or duplicate not in known:
            self.entries[queue].append(entry)
            self.sent[queue].append(entry["MessageBody"])

    def redeliver(self) -> None:
        """Let the visibility timeouts of all messages in flight end."""
        for message in self.in_flight.values():
            self._make_visible(message)
        self.in_flight.clear()

    def _make_visible(self, message: dict[str, Any]) -> None:
        """Put a message back: in a group into its place, otherwise at the end."""
        self.visible.append(message)
        if "MessageGroupId" in message["Attributes"]:
            self.visible.sort(key=lambda each: int(each["MessageId"].split("-")[1]))

    @operation
    def get_queue_url(self, QueueName: str) -> dict[str, str]:
        """Return a URL for any name."""
        if self.failures:
            raise self.failures.pop(0)
        return {"QueueUrl": f"https://sqs.example/{QueueName}"}

    @operation
    def get_queue_attributes(
        self,
        QueueUrl: str,
        AttributeNames: list[str],
    ) -> dict[str, dict[str, str]]:
        """Return the attributes that are asked for. Those without a value are left out.

        Raises:
            RefusedError: the double has no such attribute.
        """
        known = {
            "VisibilityTimeout": str(self.visibility),
            "ApproximateNumberOfMessages": str(len(self.visible)),
            "ApproximateNumberOfMessagesNotVisible": str(len(self.in_flight)),
            "ApproximateNumberOfMessagesDelayed": "0",
            "RedrivePolicy": self.redrive_policy,
        }
        for name in AttributeNames:
            if name not in (*known, "All"):
                raise RefusedError("InvalidAttributeName", name)
        return {"Attributes": select(known, AttributeNames)}

    @operation
    def receive_message(
        self,
        QueueUrl: str,
        MaxNumberOfMessages: int = 1,
        WaitTimeSeconds: int = 0,
        MessageSystemAttributeNames: tuple[str, ...] | list[str] = (),
        MessageAttributeNames: tuple[str, ...] | list[str] = (),
    ) -> dict[str, Any]:
        """Return messages. Like SQS, omit `Messages` if there are none.

        An empty queue is polled for a moment, so that other threads can run.

        Raises:
            RefusedError: a limit is exceeded.
        """
        if self.failures:
            raise self.failures.pop(0)
        if not 1 <= MaxNumberOfMessages <= MAX_ENTRIES:
            raise RefusedError("InvalidParameterValue", "MaxNumberOfMessages")
        if not 0 <= WaitTimeSeconds <= MAX_WAIT:
            raise RefusedError("InvalidParameterValue", "WaitTimeSeconds")
        self.waits.append(WaitTimeSeconds)
        chosen = self._choose(QueueUrl, MaxNumberOfMessages)
        if not chosen:
            self._never.wait(0.001)
            return {}
        self.limits.append(MaxNumberOfMessages)
        received = [self._deliver(each) for each in chosen]
        self.visible = [each for each in self.visible if each not in chosen]
        self.in_flight |= {message["ReceiptHandle"]: message for message in received}
        return {
            "Messages": [
                show_message(each, MessageSystemAttributeNames, MessageAttributeNames)
                for each in received
            ]
        }

    def _choose(self, url: str, limit: int) -> list[dict[str, Any]]:
        """Return the messages to deliver next."""
        busy: set[str] = set()
        if url.endswith(".fifo"):
            attributes = [each["Attributes"] for each in self.in_flight.values()]
            busy = {each.get("MessageGroupId", "") for each in attributes}
        free = [
            each
            for each in self.visible
            if not busy or each["Attributes"].get("MessageGroupId", "") not in busy
        ]
        return free[:limit]

    def _deliver(self, message: dict[str, Any]) -> dict[str, Any]:
        attributes = dict(message["Attributes"])
        receives = int(attributes.get("ApproximateReceiveCount", 0)) + 1
        attributes["ApproximateReceiveCount"] = str(receives)
        attributes.setdefault(
            "ApproximateFirstReceiveTimestamp", str(round(time() * 1000))
        )
        receipt = f"receipt {next(self._numbers)}"
        self._handles.add(receipt)
        return {**message, "ReceiptHandle": receipt, "Attributes": attributes}

    @operation
    def delete_message_batch(
        self,
        QueueUrl: str,
        Entries: list[dict[str, Any]],
    ) -> dict[str, Any]:
        """Delete messages. Like SQS, ignore those deleted before."""
        self.requests["delete_message_batch"] += 1
        require_batch(Entries)
        response: dict[str, Any] = {}
        for entry in Entries:
            if code := self._find_failure("delete", entry):
                add_failure(response, entry, code)
            else:
                self.in_flight.pop(entry["ReceiptHandle"], None)
                response.setdefault("Successful", []).append({"Id": entry["Id"]})
        return response

    @operation
    def change_message_visibility_batch(
        self,
        QueueUrl: str,
        Entries: list[dict[str, Any]],
    ) -> dict[str, Any]:
        """Extend the visibility of messages by the full timeout, or return them."""
        require_batch(Entries)
        response: dict[str, Any] = {}
        for entry in Entries:
            seconds, receipt = entry["VisibilityTimeout"], entry["ReceiptHandle"]
            is_extension = seconds == self.visibility
            code = self._find_failure("extend" if is_extension else "return", entry)
            if not code and receipt not in self.in_flight:
                code = "MessageNotInflight"
            if not 0 <= seconds <= MAX_VISIBILITY:
                code = "InvalidParameterValue"
            if code:
                add_failure(response, entry, code)
                continue
            response.setdefault("Successful", []).append({"Id": entry["Id"]})
            if is_extension:
                self.extended.set()
            else:
                self.return_delays.append(seconds)
                self._make_visible(self.in_flight.pop(receipt))
                self.returned.set()
        return response

    def _find_failure(self, name: str, entry: dict[str, Any]) -> str:
        """Return the code with which an entry of a batch fails, or an empty string."""
        receipt = entry["ReceiptHandle"]
        if receipt not in self._handles:
            return "ReceiptHandleIsInvalid"
        refused = (name, self.in_flight.get(receipt, {"Body": ""})["Body"])
        if refused not in self.refused:
            return ""
        self.refused.remove(refused)
        return "InternalError"


def require_batch(entries: list[dict[str, Any]]) -> None:
    """Check what holds for the entries of each batch request.

    Raises:
        RefusedError: there are none, or too many, or two with the same ID.
    """
    if not entries:
        raise RefusedError("AWS.SimpleQueueService.EmptyBatchRequest")
    if len(entries) > MAX_ENTRIES:
        raise RefusedError(TOO_MANY)
    if len({each["Id"] for each in entries}) < len(entries):
        raise RefusedError("AWS.SimpleQueueService.BatchEntryIdsNotDistinct")


def add_failure(
    response: dict[str, Any],
    entry: dict[str, Any],
    code: str,
    is_sender_fault: bool = False,
) -> None:
    """Add an entry that has failed to the response of a batch request."""
    failure = {"Id": entry["Id"], "Code": code, "SenderFault": is_sender_fault}
    response.setdefault("Failed", []).append(failure)


def show_message(
    message: dict[str, Any],
    system_names: tuple[str, ...] | list[str],
    names: tuple[str, ...] | list[str],
) -> dict[str, Any]:
    """Return a message with those attributes only that a request asks for."""
    shown = {name: message[name] for name in ("MessageId", "ReceiptHandle", "Body")}
    if attributes := select(message["Attributes"], system_names):
        shown["Attributes"] = attributes
    if own := select(message.get("MessageAttributes", {}), names):
        shown["MessageAttributes"] = own
    return shown


def select(
    attributes: dict[str, Any], names: tuple[str, ...] | list[str]
) -> dict[str, Any]:
    """Return the attributes of these names, or of any with "All", that have a value."""
    wanted = attributes if "All" in names else names
    return {name: attributes[name] for name in wanted if attributes.get(name)}
