"""Messages that name objects in S3.

A message names objects in one of four forms: a plain form for people and scripts, S3's
own notification, that notification inside one of SNS, and EventBridge's event. See
https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
https://docs.aws.amazon.com/sns/latest/dg/sns-sqs-as-subscriber.html
"""

import json
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

NULL_VERSION = "null"


class EventError(ValueError):
    """A message names no object in any known form."""


class S3Object(NamedTuple):
    """An object in S3, and its version ID or ETag if known."""

    bucket: str
    key: str
    version: str = ""
    etag: str = ""

    @property
    def request(self) -> dict[str, str]:
        """Arguments for `get_object`: it returns this very version, or fails."""
        arguments = {"Bucket": self.bucket, "Key": self.key}
        if self.version:
            arguments["VersionId"] = self.version
        elif self.etag:
            arguments["IfMatch"] = self.etag
        return arguments

    @property
    def id(self) -> str:
        """Hash of bucket, key and version: 64 hexadecimal digits."""
        identity = [self.bucket, self.key, self.version or self.etag]
        return sha256(json.dumps(identity).encode()).hexdigest()

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def objects(event: str) -> list[S3Object]:
    """Return the objects that a message names.

    S3's test message, sent when a notification is set up, names none.

    Args:
        event: body of the message, as JSON. The plain form is
            `{"bucket": …, "key": …}`, optionally with `"version"` or `"etag"`.

    Raises:
        EventError: the message is not JSON, or of an unknown form.
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
        raise EventError(f"message of an unknown form: {error!r}") from error


def pin_version(s3_object: S3Object, s3: Any) -> S3Object:
    """Return the object with its current version, unless it has a version or ETag.

    The version `null`, of buckets whose versioning is suspended, is overwritten by the
    next one. It counts as none.

    Args:
        s3_object: the object, as a message names it.
        s3: client for S3.

    Raises:
        ClientError: there is no such object (an error of botocore).
    """
    if s3_object.version == NULL_VERSION:
        s3_object = s3_object._replace(version="")
    if s3_object.version or s3_object.etag:
        return s3_object
    try:
        return _fetch_current(s3_object, s3)
    except Exception as error:
        error.add_note(str(s3_object))
        raise


def is_current(s3_object: S3Object, s3: Any) -> bool:
    """Return whether S3 has this version, or this ETag, as the current one.

    Args:
        s3_object: the object, with its version or ETag.
        s3: client for S3.

    Raises:
        ClientError: S3 does not say (an error of botocore).
    """
    try:
        current = _fetch_current(s3_object, s3)
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] == "404":
            return False
        raise
    if s3_object.version:
        return s3_object.version == current.version
    return s3_object.etag == current.etag


def _fetch_current(s3_object: S3Object, s3: Any) -> S3Object:
    response = s3.head_object(Bucket=s3_object.bucket, Key=s3_object.key)
    version = response.get("VersionId", "")
    if version == NULL_VERSION:
        version = ""
    return s3_object._replace(version=version, etag=response["ETag"].strip('"'))


def _from_s3(entity: dict[str, Any]) -> S3Object:
    fields = entity["object"]
    return S3Object(
        entity["bucket"]["name"],
        unquote_plus(fields["key"]),  # EventBridge does not encode keys
        fields.get("versionId", ""),
        fields.get("eTag", ""),
    )


def _from_eventbridge(detail: dict[str, Any]) -> S3Object:
    fields = detail["object"]
    return S3Object(
        detail["bucket"]["name"],
        fields["key"],
        fields.get("version-id", ""),
        fields.get("etag", ""),
    )
