"""The SQS message that a function is called for."""

import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

S3_TEST_EVENT = "s3:TestEvent"


@dataclass(frozen=True)
class Message:
    """The current message of a context.

    Attributes:
        id: its ID in SQS.
        body: its text, which `run` gets as `event`.
        attributes: attributes that the sender set, and those of SQS itself such as
            `SequenceNumber`, by name. Binary ones are bytes.
        receive_count: how often it has been received, this time included.
        sent_at: when it was sent, in UTC. None if unknown.
        group: the message group of a FIFO or fair queue, or an empty string.
        trace_header: of X-Ray, or an empty string.
    """

    id: str
    body: str = ""
    attributes: Mapping[str, str | bytes] = field(default_factory=dict)
    receive_count: int = 1
    sent_at: datetime | None = None
    group: str = ""
    trace_header: str = ""

    @classmethod
    def from_sqs(
        cls,
        message_id: str,
        body: str,
        attributes: Mapping[str, str],
        own: Mapping[str, Mapping[str, Any]],
    ) -> "Message":
        """Return a message as SQS delivers it to a poller or to a Lambda.

        Args:
            message_id: its ID.
            body: its text.
            attributes: SQS's attributes of the message.
            own: the sender's attributes: `{"tenant": {"StringValue": "a", …}}`.
        """
        sent = attributes.get("SentTimestamp", "")
        receives = attributes.get("ApproximateReceiveCount", "")
        return cls(
            id=message_id,
            body=body,
            attributes={**attributes, **{name: _value(own[name]) for name in own}},
            receive_count=int(receives) if receives.isdecimal() else 1,
            sent_at=_parse_time(sent) if sent.isdecimal() else None,
            group=attributes.get("MessageGroupId", ""),
            trace_header=attributes.get("AWSTraceHeader", ""),
        )


def is_s3_test(body: str) -> bool:
    """Whether a message is S3's test message, also inside a notification of SNS.

    S3 sends it when someone sets up a notification. It names no object. See
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    if S3_TEST_EVENT not in body:
        return False
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return False
    if not isinstance(content, dict):
        return False
    if content.get("Type") == "Notification":
        return is_s3_test(str(content.get("Message")))
    return bool(content.get("Event") == S3_TEST_EVENT)


def _value(attribute: Mapping[str, Any]) -> str | bytes:
    """Return the value of an attribute; Lambda's names start with small letters."""
    by_name = {name[:1].lower() + name[1:]: attribute[name] for name in attribute}
    binary = by_name.get("binaryValue")
    if binary is None:
        return str(by_name.get("stringValue", ""))
    return b64decode(binary) if isinstance(binary, str) else bytes(binary)


def _parse_time(milliseconds: str) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
