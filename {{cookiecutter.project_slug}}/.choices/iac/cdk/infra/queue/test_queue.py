"""Queues have their visibility timeout, redrive policy and alarms."""

from collections.abc import Callable
from typing import Any

import pytest
from aws_cdk.assertions import Match

from tools.project import functions

Synthesise = Callable[..., Any]


@pytest.mark.parametrize(
    ("env", "timeout", "receives"), [("small", 60, 3), ("large", 100, 5)]
)
def test_visibility_is_six_timeouts_and_the_window(
    synthesise: Synthesise, env: str, timeout: int, receives: int
) -> None:
    queue = {
        "VisibilityTimeout": 6 * timeout + 5,
        "RedrivePolicy": Match.object_like({"maxReceiveCount": receives}),
    }
    template = synthesise(env)
    template.resource_properties_count_is("AWS::SQS::Queue", queue, len(functions()))


def test_dead_letter_queue_accepts_its_own_queue(synthesise: Synthesise) -> None:
    template = synthesise()
    for name in functions():
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


def test_queues_are_encrypted_and_require_tls(synthesise: Synthesise) -> None:
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
        2 * len(functions()),
    )


def test_alarms_watch_dead_letters_and_age(synthesise: Synthesise) -> None:
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
            "AWS::CloudWatch::Alarm", alarm, len(functions())
        )
