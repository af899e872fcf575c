"""The forms of message, as AWS sends them."""

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
def test_saved_event_names_its_object(file: str, expected: S3Object) -> None:
    assert objects((DATA / file).read_text(encoding="utf-8")) == [expected]


@pytest.mark.parametrize(
    "event", ["", "no JSON", "[]", "7", "{}", '{"Records": [{}]}', '{"detail": 1}']
)
def test_other_message_is_refused(event: str) -> None:
    with pytest.raises(EventError):
        objects(event)


def test_state_of_an_object_decides_which_one_is_asked_for() -> None:
    where = {"Bucket": "raw", "Key": "a"}
    assert S3Object("raw", "a").request == where
    assert S3Object("raw", "a", etag="e").request == {**where, "IfMatch": "e"}
    assert S3Object("raw", "a", "v", "e").request == {**where, "VersionId": "v"}


def test_every_state_of_every_object_has_an_id_of_its_own() -> None:
    states = [
        S3Object("raw", "a"),
        S3Object("raw", "a", "v"),
        S3Object("raw", "av"),
        S3Object("rawa", ""),
        S3Object("raw", "a", etag="e"),
    ]
    assert len({state.id for state in states}) == len(states)
