"""Queues: how long messages are hidden, where they end, who is told."""

from collections.abc import Callable
from typing import Any

import pytest
from aws_cdk.assertions import Match

from sizes import names

Synthesise = Callable[..., Any]


@pytest.mark.parametrize(
    ("environment", "timeout", "receives"), [("small", 60, 3), ("large", 100, 5)]
)
def test_messages_are_hidden_for_six_times_the_timeout_and_the_window(
    synthesise: Synthesise, environment: str, timeout: int, receives: int
) -> None:
    queue = {
        "VisibilityTimeout": 6 * timeout + 5,
        "RedrivePolicy": Match.object_like({"maxReceiveCount": receives}),
    }
    template = synthesise(environment)
    template.resource_properties_count_is("AWS::SQS::Queue", queue, len(names()))


def test_dead_letter_queue_takes_from_its_own_queue(synthesise: Synthesise) -> None:
    template = synthesise()
    for name in names():
        source = Match.string_like_regexp(f":test-small-{name}-pending$")
        template.has_resource_properties(
            "AWS::SQS::Queue",
            {
                "QueueName": f"test-small-{name}-dead-letter",
                "RedriveAllowPolicy": {
                    "redrivePermission": "byQueue",
                    "sourceQueueArns": [{"Fn::Join": ["", Match.array_with([source])]}],
                },
            },
        )


def test_queues_are_encrypted_and_refuse_what_comes_without_tls(
    synthesise: Synthesise,
) -> None:
    template = synthesise()
    template.all_resources_properties("AWS::SQS::Queue", {"SqsManagedSseEnabled": True})
    insecure = {
        "Effect": "Deny",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    template.resource_properties_count_is(
        "AWS::SQS::QueuePolicy",
        {
            "PolicyDocument": {
                "Statement": Match.array_with([Match.object_like(insecure)])
            }
        },
        2 * len(names()),
    )


def test_alarms_tell_of_dead_letters_and_of_old_messages(
    synthesise: Synthesise,
) -> None:
    topic = "arn:aws:sns:eu-west-1:123456789012:alarms"
    template = synthesise(alarm_topic=topic)
    for metric, threshold in (
        ("ApproximateNumberOfMessagesVisible", 0),
        ("ApproximateAgeOfOldestMessage", 3600),
    ):
        alarm = {
            "MetricName": metric,
            "Threshold": threshold,
            "AlarmActions": [topic],
            "OKActions": [topic],
        }
        template.resource_properties_count_is(
            "AWS::CloudWatch::Alarm", alarm, len(names())
        )
