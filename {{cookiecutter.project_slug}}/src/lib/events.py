"""Messages that name objects in S3.

A message names objects in one of three forms: a plain form for people and scripts, S3's
own notification, and EventBridge's event, also without its envelope (`$.detail`). Each
may be inside notifications of SNS. See
https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
https://docs.aws.amazon.com/sns/latest/dg/sns-sqs-as-subscriber.html
"""

import json
import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from errors import BadInputError

NULL_VERSION = "null"
CREATED = "ObjectCreated:"
# Events of S3 that bring no new content. A restored object is not new either: the event
# of its creation has named it, and archives are also restored just to look at them. See
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html
IGNORED_NAMES = (
    *("ObjectRemoved:", "ObjectRestore:", "ObjectTagging:", "ObjectAcl:"),
    *("Replication:", "LifecycleExpiration:", "LifecycleTransition"),
    *("IntelligentTiering", "ReducedRedundancyLostObject"),
)
# The same in EventBridge, see
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html
IGNORED_TYPES = (
    *("Object Deleted", "Object Restore Initiated", "Object Restore Completed"),
    *("Object Restore Expired", "Object Storage Class Changed"),
    *("Object Access Tier Changed", "Object ACL Updated", "Object Tags Added"),
    *("Object Tags Deleted", "Async Copy Completion"),
)
# Fields of EventBridge's `$.detail` that only events without new content have.
IGNORED_DETAILS = {
    *("deletion-type", "restore-expiry-time", "source-storage-class"),
    *("destination-storage-class", "destination-access-tier"),
}

TYPE_NAMES = {
    dict: "an object",
    list: "an array",
    str: "text",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


SURROGATE = re.compile("[\ud800-\udfff]")


class EventError(BadInputError):
    """A message names no object in any known form. The text is safe to log."""

    def __str__(self) -> str:
        return f"the message names no object in a known form: {super().__str__()}"


class S3Object(NamedTuple):
    """An object in S3, and its version ID or ETag if known.

    `reload` asks for a version that was loaded before to be loaded again.
    """

    bucket: str
    key: str
    version: str = ""
    etag: str = ""
    reload: bool = False

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

    There are none in S3's test message, sent when a notification is set up, and in
    events of S3 that bring no new content, such as a deletion.

    Args:
        event: body of the message, as JSON. The plain form is
            `{"bucket": …, "key": …}`, optionally with `"version"` or `"etag"`, and
            with `"reload": true`. Further fields are ignored.

    Raises:
        EventError: the message is not JSON, or of an unknown form.
    """
    message = _parse(event)
    while message.get("Type") == "Notification":
        message = _parse(_field(message, "Message", str))
    if "key" in message:
        named = _from_fields(message, message, "bucket", "version", "etag")
        return [named._replace(reload=message.get("reload") is True)]
    if message.get("Event") == "s3:TestEvent":
        return []
    if "detail" in message:
        if message.get("detail-type") in IGNORED_TYPES:
            return []
        message = _field(message, "detail", dict)
    if "Records" in message:
        return _from_s3(_field(message, "Records", list))
    if "object" in message:
        return _from_eventbridge(message)
    raise EventError('"bucket" and "key" are missing')


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


def _from_s3(records: list[Any]) -> list[S3Object]:
    """Return the objects that S3's notification says were created."""
    found = []
    for record in records:
        if not isinstance(record, dict):
            raise EventError(f"an item of Records is {_type_name(record)}")
        name = str(record.get("eventName", CREATED)).removeprefix("s3:")
        if name.startswith(CREATED):
            entity = _field(record, "s3", dict)
            names = ("name", "versionId", "eTag")
            s3_object = _from_fields(
                _field(entity, "bucket", dict), _field(entity, "object", dict), *names
            )
            key = unquote_plus(s3_object.key)  # EventBridge does not encode keys
            found.append(s3_object._replace(key=key))
        elif not name.startswith(IGNORED_NAMES):
            raise EventError("the eventName of a record is unknown")
    return found


def _from_eventbridge(detail: dict[str, Any]) -> list[S3Object]:
    """Return the object of an event's `$.detail` if it was created."""
    if IGNORED_DETAILS & detail.keys():
        return []
    names = ("name", "version-id", "etag")
    bucket, fields = _field(detail, "bucket", dict), _field(detail, "object", dict)
    return [_from_fields(bucket, fields, *names)]


def _from_fields(
    bucket: dict[str, Any], fields: dict[str, Any], name: str, version: str, etag: str
) -> S3Object:
    """Return an object, given the names of its fields."""
    return S3Object(
        _field(bucket, name, str),
        _field(fields, "key", str),
        _field(fields, version, str, ""),
        _field(fields, etag, str, ""),
    )


def _parse(text: str) -> dict[str, Any]:
    """Parse a message, which may begin with a byte order mark.

    Numbers become floats, since `int` refuses very long ones.
    """
    text = text.strip("\ufeff \t\r\n")
    if not text:
        raise EventError("it is empty")
    try:
        message = json.loads(text, parse_int=float, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise EventError(f"it is not JSON ({place})") from None
    except RecursionError:
        raise EventError("its JSON is nested too deeply") from None
    if not isinstance(message, dict):
        raise EventError(f"it is {_type_name(message)} instead of an object")
    return message


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return a dictionary of pairs whose names must differ."""
    result: dict[str, Any] = {}
    for name, value in pairs:
        if name in result:
            raise EventError("a field occurs twice")
        result[name] = value
    return result


def _field(fields: dict[str, Any], name: str, kind: type, default: Any = None) -> Any:
    """Return a field of the right type that is not empty.

    Args:
        fields: the fields.
        name: name of the field.
        kind: type of the field.
        default: what to return for an absent or empty field. None makes it required.
    """
    value = fields.get(name)
    if default is not None and value in (None, ""):
        return default
    if name not in fields:
        raise EventError(f'"{name}" is missing')
    if not isinstance(value, kind):
        types = f"{_type_name(value)} instead of {TYPE_NAMES[kind]}"
        raise EventError(f'"{name}" is {types}')
    if not value:
        raise EventError(f'"{name}" is empty')
    if isinstance(value, str) and SURROGATE.search(value):
        raise EventError(f'"{name}" is not valid Unicode')
    return value


def _type_name(value: Any) -> str:
    """Return the name of a value's type in JSON."""
    return TYPE_NAMES[type(value)]
