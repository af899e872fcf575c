"""The current message, as a poller and a Lambda get it."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from message import Message, is_s3_test
from tests.tables import for_each

ATTRIBUTES = {
    "ApproximateReceiveCount": "2",
    "SentTimestamp": "1767600000500",
    "MessageGroupId": "tenant",
    "AWSTraceHeader": "Root=1-5759e988-bd862e3fe1be46a994272793",
}


@pytest.mark.parametrize(
    "own",
    [
        {
            "source": {"StringValue": "shop", "DataType": "String"},
            "digest": {"BinaryValue": b"\x00", "DataType": "Binary"},
        },
        {
            "source": {"stringValue": "shop", "dataType": "String"},
            "digest": {"binaryValue": "AA==", "dataType": "Binary"},
        },
    ],
    ids=["poller", "Lambda"],
)
def test_message_has_its_attributes(own: dict[str, dict[str, Any]]) -> None:
    message = Message.from_sqs("m1", "body", ATTRIBUTES, own)
    assert (message.id, message.body, message.receive_count) == ("m1", "body", 2)
    assert message.sent_at == datetime(2026, 1, 5, 8, 0, 0, 500_000, UTC)
    assert (message.group, message.trace_header) == (
        "tenant",
        "Root=1-5759e988-bd862e3fe1be46a994272793",
    )
    assert message.attributes["source"] == "shop"
    assert message.attributes["digest"] == b"\0"
    assert message.attributes["SentTimestamp"] == "1767600000500"


def test_message_without_attributes_has_defaults() -> None:
    message = Message.from_sqs("m1", "body", {}, {})
    assert message == Message("m1", "body")
    assert (message.receive_count, message.sent_at, message.group) == (1, None, "")


S3_TEST = (
    '{"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-01-05T08:00:00Z", '
    '"Bucket": "raw", "RequestId": "5582815E1AEA5ADF", "HostId": "8cLeGAmw098X5cv4"}'
)


@for_each("body", [S3_TEST, json.dumps({"Type": "Notification", "Message": S3_TEST})])
def test_s3_test_message_is_recognised(body: str) -> None:
    assert is_s3_test(body)


@for_each(
    "body",
    [
        "",
        "s3:TestEvent",
        '["s3:TestEvent"]',
        '{"key": "s3:TestEvent"}',
        '{"Type": "Notification", "Message": "about s3:TestEvent"}',
        '{"Type": "Notification", "Subject": "s3:TestEvent"}',
    ],
)
def test_other_message_is_no_s3_test(body: str) -> None:
    assert not is_s3_test(body)
