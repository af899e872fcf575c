"""Any message is refused with `EventError`, or gives exactly what it names."""

import json
from typing import Any, NamedTuple
from urllib.parse import quote_plus

from hypothesis import given
from hypothesis import strategies as st
from lib import events
from lib.events import EventError, S3Object

from properties import examples

INDENTS = st.sampled_from([None, 1])
TEXTS = st.text(max_size=20)
NAMES = st.text(min_size=1, max_size=20)
FIELDS = st.sampled_from(
    [
        *("bucket", "key", "version", "etag", "reload", "Event", "Type", "Message"),
        *("Records", "eventName", "s3", "object", "name", "versionId", "eTag"),
        *("detail", "detail-type", "version-id", "deletion-type"),
    ]
)
WORDS = st.sampled_from(
    [
        *("s3:TestEvent", "Notification", "ObjectCreated:Put", "s3:ObjectRemoved:", ""),
        *("Object Created", "Object Deleted", "\ud800", "null", "a+b%2F%FF", "\0"),
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | WORDS
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda values: (
        st.lists(values, max_size=3)
        | st.dictionaries(FIELDS | TEXTS, values, max_size=5)
    ),
    max_leaves=12,
)


class Message(NamedTuple):
    """A message, as a value of JSON, and the objects that it names."""

    body: dict[str, Any]
    objects: list[S3Object]


@st.composite
def named_objects(draw: st.DrawFn) -> S3Object:
    """Return an object that a message may name."""
    return S3Object(draw(NAMES), draw(NAMES), draw(TEXTS), draw(TEXTS))


@st.composite
def plain_messages(draw: st.DrawFn) -> Message:
    """Return a message in the plain form."""
    found = draw(named_objects())
    reload = draw(st.none() | st.booleans() | st.just("true"))
    named = found._replace(reload=reload is True)
    body = {**found._asdict(), "reload": reload}
    return Message(body, [named])


@st.composite
def s3_messages(draw: st.DrawFn) -> Message:
    """Return a notification of S3 with some objects that were created, others not."""
    created = ["ObjectCreated:Put", "s3:ObjectCreated:CompleteMultipartUpload"]
    other = ["ObjectRemoved:Delete", "s3:ObjectTagging:Put", "LifecycleTransition"]
    records, objects = [], []
    for found in draw(st.lists(named_objects(), max_size=4)):
        name = draw(st.sampled_from(created + other))
        fields = {"key": quote_plus(found.key), "eTag": found.etag}
        fields |= {"versionId": found.version} if found.version else {}
        entity = {"bucket": {"name": found.bucket, "arn": "…"}, "object": fields}
        records.append({"eventName": name, "awsRegion": "…", "s3": entity})
        objects += [found] * (name in created)
    # S3 sends none without records
    return Message({"Records": records}, objects) if records else draw(s3_messages())


@st.composite
def eventbridge_messages(draw: st.DrawFn) -> Message:
    """Return an event of EventBridge, or its detail."""
    found, kind = draw(named_objects()), draw(st.sampled_from(["Created", "Deleted"]))
    detail: dict[str, Any] = {
        "bucket": {"name": found.bucket},
        "object": {"key": found.key, "etag": found.etag},
    }
    if found.version:
        detail["object"]["version-id"] = found.version
    if kind == "Deleted":
        detail["deletion-type"] = "Delete Marker Created"
    objects = [found] * (kind == "Created")
    if draw(st.booleans()):
        return Message(detail, objects)
    return Message({"detail-type": f"Object {kind}", "detail": detail}, objects)


MESSAGES = plain_messages() | s3_messages() | eventbridge_messages()


@st.composite
def written(draw: st.DrawFn, body: Any) -> str:
    """Return a value as JSON, also inside of notifications of SNS, with spaces."""
    text = json.dumps(body, ensure_ascii=draw(st.booleans()), indent=draw(INDENTS))
    for _ in range(draw(st.integers(0, 2))):
        text = json.dumps({"Type": "Notification", "Message": text})
    mark, space = (
        draw(st.sampled_from(["", "\ufeff"])),
        draw(st.sampled_from(["", "\n"])),
    )
    return mark + space + text + space


@examples(200)
@given(st.data(), MESSAGES)
def test_message_gives_the_objects_it_names(
    data: st.DataObject, message: Message
) -> None:
    assert events.objects(data.draw(written(message.body))) == message.objects


def change(data: st.DataObject, value: Any) -> Any:
    """Return a value of JSON with one of its parts removed or replaced."""
    if isinstance(value, dict) and value and data.draw(st.integers(0, 4)):
        key = data.draw(st.sampled_from(sorted(value)))
        if data.draw(st.integers(0, 3)):
            return value | {key: change(data, value[key])}
        return {name: each for name, each in value.items() if name != key}
    if isinstance(value, list) and value and data.draw(st.integers(0, 4)):
        at = data.draw(st.integers(0, len(value) - 1))
        return [*value[:at], change(data, value[at]), *value[at + 1 :]]
    return data.draw(VALUES)


def list_texts(value: Any) -> list[str]:
    """Return all texts in a value of JSON."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for each in value for text in list_texts(each)]
    return [value] if isinstance(value, str) else []


@examples(300)
@given(st.data(), MESSAGES)
def test_near_message_is_refused_or_names_its_texts(
    data: st.DataObject, message: Message
) -> None:
    body = change(data, message.body)
    texts = {"", *list_texts(body)}
    keys = texts | {events.unquote_plus(text) for text in texts}
    try:
        found = events.objects(data.draw(written(body)))
    except EventError:
        return
    for each in found:
        assert each.bucket
        assert each.key
        assert {each.bucket, each.version, each.etag} <= texts
        assert each.key in keys
        assert each.id
        json.dumps(each.request, ensure_ascii=False).encode()


@examples(300)
@given(st.data(), VALUES)
def test_any_json_is_refused_or_names_objects(data: st.DataObject, body: Any) -> None:
    text = data.draw(written(body))
    at = data.draw(st.integers(0, len(text)))
    broken = text[:at] + data.draw(TEXTS) + text[at + data.draw(st.integers(0, 3)) :]
    for each in (text, broken):
        try:
            assert all(isinstance(found, S3Object) for found in events.objects(each))
        except EventError as error:
            str(error).encode()  # it can be logged
