"""Queues have their limits and the right senders."""

from collections.abc import Callable
from typing import Any

import pytest
from aws_cdk.assertions import Match

from infra.conftest import FUNCTIONS

Synthesise = Callable[..., Any]
SUBSCRIPTION = "AWS::SNS::Subscription"
PRICES = "arn:aws:sns:eu-west-1:111122223333:prices"


@pytest.mark.parametrize(
    ("env", "timeout", "receives"), [("small", 60, 3), ("large", 100, 5)]
)
def test_visibility_is_six_timeouts_and_the_window(
    synthesise: Synthesise, env: str, timeout: int, receives: int
) -> None:
    template = synthesise(env)
    # a FIFO queue has no window
    for window, count in ((5, len(FUNCTIONS) - 1), (0, 1)):
        queue = {
            "VisibilityTimeout": 6 * timeout + window,
            "RedrivePolicy": Match.object_like({"maxReceiveCount": receives}),
        }
        template.resource_properties_count_is("AWS::SQS::Queue", queue, count)


def test_dead_letter_queue_accepts_its_own_queue(synthesise: Synthesise) -> None:
    template = synthesise()
    for name in FUNCTIONS:
        suffix = ".fifo" if name == "orders" else ""
        source = Match.string_like_regexp(f":test-small-{name}-pending{suffix}$")
        template.has_resource_properties(
            "AWS::SQS::Queue",
            {
                "QueueName": f"test-small-{name}-dead-letter{suffix}",
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
        2 * len(FUNCTIONS),
    )


def test_of_services_only_the_trigger_may_send(synthesise: Synthesise) -> None:
    policies = synthesise().find_resources("AWS::SQS::QueuePolicy").values()
    senders = [
        (
            statement["Principal"]["Service"],
            flatten(statement["Condition"]["ArnEquals"]["aws:SourceArn"]),
        )
        for policy in policies
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
    ]
    here = "AWS::Region:AWS::AccountId"
    assert sorted(senders) == [
        ("events.amazonaws.com", f"arn:AWS::Partition:events:{here}:{rule}")
        for rule in ("rule/test-small-fanout", "rule/test-small-worker")
    ] + [
        ("sns.amazonaws.com", f"arn:AWS::Partition:sns:{here}:test-small-orders.fifo"),
        ("sns.amazonaws.com", PRICES),
    ]


def test_topics_send_raw_messages(synthesise: Synthesise) -> None:
    template = synthesise()
    template.resource_count_is("AWS::SNS::Topic", 1)
    template.has_resource_properties(
        "AWS::SNS::Topic",
        {
            "TopicName": "test-small-orders.fifo",
            "FifoTopic": True,
            "ContentBasedDeduplication": True,
        },
    )
    template.resource_count_is(SUBSCRIPTION, 2)
    template.all_resources_properties(SUBSCRIPTION, {"RawMessageDelivery": True})
    template.has_resource_properties(SUBSCRIPTION, {"TopicArn": PRICES})


def test_fifo_function_has_fifo_queues(synthesise: Synthesise) -> None:
    template = synthesise()
    fifo = {"FifoQueue": True}
    template.resource_properties_count_is("AWS::SQS::Queue", fifo, 2)
    deduplicated = {
        "QueueName": "test-small-orders-pending.fifo",
        "ContentBasedDeduplication": True,
    }
    template.has_resource_properties("AWS::SQS::Queue", fifo | deduplicated)


def test_schedule_sends_a_message_to_the_queue(synthesise: Synthesise) -> None:
    message = '{"schedule": "nightly", "time": "<aws.scheduler.scheduled-time>"}'
    role = Match.string_like_regexp(":role/test-small-scheduler$")
    synthesise().has_resource_properties(
        "AWS::Scheduler::Schedule",
        {
            "Name": "test-small-nightly",
            "ScheduleExpression": "cron(0 2 * * ? *)",
            "ScheduleExpressionTimezone": "Europe/Vienna",
            "State": "ENABLED",
            "Target": Match.object_like(
                {
                    "Input": message,
                    "RoleArn": {"Fn::Join": ["", Match.array_with([role])]},
                }
            ),
        },
    )


def flatten(value: Any) -> str:
    """Return a text with the names of the parameters that it refers to."""
    if isinstance(value, str):
        return value
    parts = value["Fn::Join"][1]
    return "".join(part if isinstance(part, str) else part["Ref"] for part in parts)
