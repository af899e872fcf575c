"""Messages that name objects, in the forms that AWS sends."""

from pathlib import Path

import pytest

from lib.events import EventError, S3Object, objects

DATA = Path(__file__).parents[1] / "data"
CLICKS = S3Object(
    "raw",
    "worker/clicks of Jänner +1.csv",
    "3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY",
    "d41d8cd98f00b204e9800998ecf8427e",
)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("event.json", S3Object("raw", "worker/sanity.csv")),
        ("event-s3.json", CLICKS),
        ("event-sns.json", CLICKS),
        ("event-eventbridge.json", CLICKS),
    ],
)
def test_event_names_object(file: str, expected: S3Object) -> None:
    assert objects((DATA / file).read_text(encoding="utf-8")) == [expected]


@pytest.mark.parametrize(
    "event", ["", "no JSON", "[]", "7", "{}", '{"Records": [{}]}', '{"detail": 1}']
)
def test_unknown_message_is_an_error(event: str) -> None:
    with pytest.raises(EventError):
        objects(event)


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
