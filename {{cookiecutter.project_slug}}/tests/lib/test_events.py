"""Messages that name objects, in the forms that AWS sends."""

import json
from pathlib import Path
from typing import Any

import pytest

from lib.events import EventError, S3Object, is_current, objects, pin_version
from tests.mock.aws import MockS3, RefusedError
from tests.tables import for_each

DATA = Path(__file__).parents[1] / "data"
CLICKS = S3Object(
    "raw",
    "worker/clicks of Jänner +1.csv",
    "3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY",
    "d41d8cd98f00b204e9800998ecf8427e",
)


def read(file: str) -> str:
    """Return a saved event."""
    return (DATA / file).read_text(encoding="utf-8")


@for_each(
    ("file", "expected"),
    [
        ("event.json", S3Object("raw", "worker/sanity.csv")),
        ("event-s3.json", CLICKS),
        ("event-sns.json", CLICKS),
        ("event-eventbridge.json", CLICKS),
        ("event-sns-eventbridge.json", CLICKS),
    ],
)
def test_event_names_object(file: str, expected: S3Object) -> None:
    assert objects(read(file)) == [expected]


def test_sns_inside_sns_names_object() -> None:
    outer = {"Type": "Notification", "Message": read("event-sns.json")}
    assert objects(json.dumps(outer)) == [CLICKS]


def test_eventbridge_detail_alone_names_object() -> None:
    detail = json.loads(read("event-eventbridge.json"))["detail"]
    assert objects(json.dumps(detail)) == [CLICKS]
    deleted = detail | {"deletion-type": "Delete Marker Created"}
    assert objects(json.dumps(deleted)) == []


def test_s3_notification_in_eventbridge_names_object() -> None:
    event = {"detail-type": "files", "detail": json.loads(read("event-s3.json"))}
    sns = {"Type": "Notification", "Message": json.dumps(event)}
    assert objects(json.dumps(sns)) == [CLICKS]


@for_each(
    "event",
    [
        '\ufeff{"bucket": "raw", "key": "a"}',
        ' \r\n{"bucket": "raw", "key": "a"}\n',
        '{"bucket": "raw", "key": "a", "size": 7, "detail": "by hand", "Records": []}',
        '{"bucket": "raw", "key": "a", "version": null, "etag": ""}',
        '{"bucket": "raw", "key": "a", "size": ' + "9" * 5000 + "}",
    ],
)
def test_plain_form_is_read_leniently(event: str) -> None:
    assert objects(event) == [S3Object("raw", "a")]


@for_each(("value", "expected"), [("true", True), ("false", False), ('"true"', False)])
def test_plain_form_asks_for_reload(value: str, expected: bool) -> None:
    [named] = objects('{"bucket": "raw", "key": "a", "reload": ' + value + "}")
    assert named.reload is expected


@for_each("file", ["event-s3-removed.json", "event-eventbridge-deleted.json"])
def test_deletion_names_no_object(file: str) -> None:
    assert objects(read(file)) == []


@for_each(
    "name",
    [
        *("ObjectRemoved:Delete", "ObjectRestore:Post", "ObjectRestore:Completed"),
        *("ObjectTagging:Put", "ObjectAcl:Put", "LifecycleExpiration:Delete"),
        *("s3:Replication:OperationMissedThreshold", "LifecycleTransition"),
        *("IntelligentTiering", "ReducedRedundancyLostObject"),
    ],
)
def test_event_without_new_content_is_ignored(name: str) -> None:
    message = json.loads(read("event-s3.json"))
    ignored = message["Records"][0] | {"eventName": name}
    assert objects(json.dumps({"Records": [ignored]})) == []
    assert objects(json.dumps({"Records": [ignored, *message["Records"]]})) == [CLICKS]


@for_each(
    "kind",
    [
        *("Object Restore Initiated", "Object Restore Completed", "Object Tags Added"),
        *("Object ACL Updated", "Object Storage Class Changed"),
        "Async Copy Completion",
    ],
)
def test_eventbridge_without_new_content_is_ignored(kind: str) -> None:
    message = json.loads(read("event-eventbridge.json")) | {"detail-type": kind}
    assert objects(json.dumps(message)) == []


def test_s3_test_message_names_no_object() -> None:
    test = '{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "raw"}'
    assert objects(test) == []
    assert objects(json.dumps({"Type": "Notification", "Message": test})) == []


def record(**changes: Any) -> str:
    """Return S3's notification with a changed record."""
    [first] = json.loads(read("event-s3.json"))["Records"]
    return json.dumps({"Records": [first | changes]})


@for_each(
    ("event", "reason"),
    [
        ("", "it is empty"),
        (" \ufeff\n", "it is empty"),
        ("{s3cret", "it is not JSON (line 1, column 2)"),
        ("[" * 100_000, "its JSON is nested too deeply"),
        ('{"a":' * 100_000, "its JSON is nested too deeply"),
        ("[]", "it is an array instead of an object"),
        ('"s3cret"', "it is text instead of an object"),
        ("9" * 5000, "it is a number instead of an object"),
        ("true", "it is true or false instead of an object"),
        ("null", "it is null instead of an object"),
        ("{}", '"bucket" and "key" are missing'),
        ('{"bucket": "raw"}', '"bucket" and "key" are missing'),
        ('{"key": "a"}', '"bucket" is missing'),
        ('{"bucket": "raw", "key": ""}', '"key" is empty'),
        ('{"bucket": "", "key": "s3cret"}', '"bucket" is empty'),
        ('{"bucket": "raw", "key": 7}', '"key" is a number instead of text'),
        ('{"bucket": ["raw"], "key": "a"}', '"bucket" is an array instead of text'),
        ('{"bucket": "r", "key": "a", "etag": 7}', '"etag" is a number'),
        ('{"bucket": "r", "key": "a", "key": "s3cret"}', "a field occurs twice"),
        ('{"bucket": "raw", "key": "\\ud800"}', '"key" is not valid Unicode'),
        ('{"Records": []}', '"Records" is empty'),
        ('{"Records": {}}', '"Records" is an object instead of an array'),
        ('{"Records": [7]}', "an item of Records is a number"),
        ('{"Records": [{}]}', '"s3" is missing'),
        (record(eventName="s3cret"), "the eventName of a record is unknown"),
        (record(eventName=7), "the eventName of a record is unknown"),
        (record(s3={"bucket": {"name": "raw"}}), '"object" is missing'),
        ('{"detail": 1}', '"detail" is a number instead of an object'),
        ('{"detail": {"object": {"key": "a"}}}', '"bucket" is missing'),
        ('{"Type": "Notification"}', '"Message" is missing'),
        ('{"Type": "Notification", "Message": "s3cret"}', "it is not JSON"),
        ('{"Type": "SubscriptionConfirmation"}', '"bucket" and "key" are missing'),
    ],
)
def test_unknown_message_is_refused(event: str, reason: str) -> None:
    with pytest.raises(EventError) as raised:
        objects(event)
    text = str(raised.value)
    assert text.startswith(f"the message names no object in a known form: {reason}")
    assert "s3cret" not in text


def test_request_pins_version_or_etag() -> None:
    latest = {"Bucket": "raw", "Key": "a"}
    assert S3Object("raw", "a").request == latest
    assert S3Object("raw", "a", etag="e").request == {**latest, "IfMatch": "e"}
    assert S3Object("raw", "a", "v", "e").request == {**latest, "VersionId": "v"}


def test_id_is_unique_for_each_version() -> None:
    versions = [
        S3Object("raw", "a"),
        S3Object("raw", "a", "v"),
        S3Object("raw", "av"),
        S3Object("rawa", ""),
        S3Object("raw", "a", etag="e"),
    ]
    assert len({each.id for each in versions}) == len(versions)


def make_s3(bodies: int = 2, is_versioned: bool = True) -> MockS3:
    """Return S3 with versions of the object raw/a."""
    s3 = MockS3()
    s3.is_versioned = is_versioned
    for number in range(bodies):
        s3.put_object(Bucket="raw", Key="a", Body=b"%d" % number)
    return s3


@for_each("version", ["", "null"])
def test_current_version_is_pinned(version: str) -> None:
    s3 = make_s3()
    head = s3.head_object(Bucket="raw", Key="a")
    pinned = pin_version(S3Object("raw", "a", version, reload=True), s3)
    assert pinned.version == head["VersionId"]
    assert pinned.etag == head["ETag"].strip('"')
    assert '"' not in pinned.etag
    assert pinned.reload


def test_object_without_versions_is_pinned_by_etag() -> None:
    pinned = pin_version(S3Object("raw", "a"), make_s3(is_versioned=False))
    assert pinned.version == ""
    assert pinned.etag


class NullVersions:
    """S3 whose versioning is suspended."""

    def head_object(self, **_: str) -> dict[str, str]:
        """Return the version that the next one overwrites."""
        return {"VersionId": "null", "ETag": '"e1"'}


def test_version_null_is_none() -> None:
    expected = S3Object("raw", "a", etag="e1")
    assert pin_version(S3Object("raw", "a"), NullVersions()) == expected


@for_each(
    "s3_object", [S3Object("raw", "a", "v"), S3Object("raw", "a", "null", etag="e")]
)
def test_known_version_is_not_looked_up(s3_object: S3Object) -> None:
    pinned = pin_version(s3_object, None)
    assert pinned == s3_object._replace(version=s3_object.version.replace("null", ""))


def test_error_names_object() -> None:
    with pytest.raises(RefusedError) as raised:
        pin_version(S3Object("raw", "b"), make_s3())
    assert raised.value.__notes__ == ["s3://raw/b"]


def test_version_or_etag_is_current() -> None:
    s3 = make_s3()
    current = pin_version(S3Object("raw", "a"), s3)
    assert is_current(current, s3)
    assert is_current(current._replace(version=""), s3)
    assert is_current(current._replace(etag="other"), s3)
    assert not is_current(current._replace(version="other"), s3)
    assert not is_current(current._replace(version="", etag="other"), s3)


def test_deleted_object_is_not_current() -> None:
    s3 = make_s3()
    current = pin_version(S3Object("raw", "a"), s3)
    s3.delete_object(Bucket="raw", Key="a")
    assert not is_current(current, s3)


class Forbidding(MockS3):
    """S3 that refuses to tell anything."""

    def head_object(self, **_: str) -> dict[str, str]:
        """Refuse."""
        raise RefusedError("403", "Forbidden")


def test_unknown_state_is_an_error() -> None:
    with pytest.raises(RefusedError, match="Forbidden"):
        is_current(S3Object("raw", "a", "v"), Forbidding())


def test_eventbridge_deletion_needs_no_type() -> None:
    for name in ("source-storage-class", "restore-expiry-time"):
        detail = {"bucket": {"name": "raw"}, "object": {"key": "a"}, name: "x"}
        assert objects(json.dumps(detail)) == []


def test_record_without_name_is_of_new_object() -> None:
    message = json.loads(read("event-s3.json"))
    del message["Records"][0]["eventName"]
    assert objects(json.dumps(message)) == [CLICKS]
