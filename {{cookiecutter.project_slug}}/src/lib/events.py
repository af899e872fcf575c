"""What a message says: which objects have landed in S3.

Four forms of message name them: the plain form of a person or script, S3's own
notification, either inside an SNS notification, and EventBridge's event. See
https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
https://docs.aws.amazon.com/sns/latest/dg/sns-sqs-as-subscriber.html
"""

import json
from typing import Any, NamedTuple
from urllib.parse import unquote_plus


class EventError(ValueError):
    """A message that names no object in any known form."""


class S3Object(NamedTuple):
    """One object; `version` and `etag` say which state of it, where they are known."""

    bucket: str
    key: str
    version: str = ""
    etag: str = ""

    @property
    def request(self) -> dict[str, str]:
        """Arguments of `get_object` that yield this state of the object or an error."""
        wanted = {"Bucket": self.bucket, "Key": self.key}
        if self.version:
            wanted["VersionId"] = self.version
        elif self.etag:
            wanted["IfMatch"] = self.etag
        return wanted

    @property
    def id(self) -> str:
        """Name of this state of the object: 64 hexadecimal digits."""
        from hashlib import sha256  # brings OpenSSL, which an import need not wait for

        state = self.version or self.etag
        return sha256(json.dumps([self.bucket, self.key, state]).encode()).hexdigest()

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def objects(event: str) -> list[S3Object]:
    """Return the objects that a message names; S3's test message names none.

    Args:
        event: body of the message, as JSON.

    Raises:
        EventError: the message is no JSON, or of no known form.
    """
    try:
        message = json.loads(event)
        if message.get("Type") == "Notification":
            message = json.loads(message["Message"])
        if message.get("Event") == "s3:TestEvent":
            return []
        if "Records" in message:
            return [_from_s3(record["s3"]) for record in message["Records"]]
        if "detail" in message:
            return [_from_eventbridge(message["detail"])]
        return [S3Object(**message)]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EventError(f"message of unknown form: {error!r}") from error


def resolved(found: S3Object, s3: Any) -> S3Object:
    """Return the object in the state that it has now, if the message tells of none.

    Args:
        found: what the message says.
        s3: client that is asked.
    """
    if found.version or found.etag:
        return found
    try:
        answer = s3.head_object(Bucket=found.bucket, Key=found.key)
    except Exception as error:
        error.add_note(str(found))
        raise
    etag = answer["ETag"].strip('"')
    return found._replace(version=answer.get("VersionId", ""), etag=etag)


def _from_s3(entity: dict[str, Any]) -> S3Object:
    found = entity["object"]
    return S3Object(
        entity["bucket"]["name"],
        unquote_plus(found["key"]),
        found.get("versionId", ""),
        found.get("eTag", ""),
    )


def _from_eventbridge(detail: dict[str, Any]) -> S3Object:
    found = detail["object"]
    return S3Object(
        detail["bucket"]["name"],
        found["key"],
        found.get("version-id", ""),
        found.get("etag", ""),
    )
