"""Queues, topics and schedules of the functions."""

import json

from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.deployment import Deployment, add_output


def add_resources(stack: Stack, deployment: Deployment) -> None:
    """Add queues, and what sends to them."""
    pending, dead_letter = {}, {}
    for name in deployment.functions:
        scope = Construct(stack, name)
        dead_letter[name] = add_dead_letter_queue(scope, deployment, name)
        pending[name] = add_pending_queue(scope, deployment, name, dead_letter[name])
    topics = add_topics(stack, deployment)
    for name in deployment.triggered_by("topic"):
        add_subscription(stack, deployment, name, pending[name], topics)
    for name in deployment.triggered_by("schedule"):
        add_schedule(stack, deployment, name, pending[name])
    for output, queues in (("Pending", pending), ("DeadLetter", dead_letter)):
        urls = {name: queue.queue_url for name, queue in queues.items()}
        add_output(stack, output, "URL of each function's queue", urls)


def add_dead_letter_queue(
    scope: Construct, deployment: Deployment, name: str
) -> sqs.Queue:
    """Add the queue for messages that a function could not handle."""
    settings = deployment.functions[name]
    source = sqs.Queue.from_queue_arn(scope, "source", deployment.queue_arn(name))
    return sqs.Queue(
        scope,
        "dead-letter",
        queue_name=settings["dead_letter"],
        fifo=settings["fifo"] or None,
        # counted from when a message was first sent; the maximum
        retention_period=Duration.days(14),
        encryption=sqs.QueueEncryption.SQS_MANAGED,
        enforce_ssl=not deployment.is_local,  # the emulator has no TLS
        redrive_allow_policy=sqs.RedriveAllowPolicy(source_queues=[source]),
    )


def add_pending_queue(
    scope: Construct, deployment: Deployment, name: str, dead_letter: sqs.Queue
) -> sqs.Queue:
    """Add the queue that feeds a function; of AWS's services, its trigger may send."""
    settings = deployment.functions[name]
    queue = sqs.Queue(
        scope,
        "pending",
        queue_name=settings["queue"],
        fifo=settings["fifo"] or None,
        content_based_deduplication=settings["fifo"] or None,
        visibility_timeout=Duration.seconds(
            # AWS's advice for queues that feed a Lambda
            6 * settings["timeout"] + settings["batch_window"]
        ),
        retention_period=Duration.days(4),
        receive_message_wait_time=Duration.seconds(20),
        encryption=sqs.QueueEncryption.SQS_MANAGED,
        enforce_ssl=not deployment.is_local,
        dead_letter_queue=sqs.DeadLetterQueue(
            queue=dead_letter, max_receive_count=settings["max_receives"]
        ),
    )
    for statement in settings["queue_statements"]:
        queue.add_to_resource_policy(iam.PolicyStatement.from_json(statement))
    return queue


def add_topics(stack: Stack, deployment: Deployment) -> list[sns.CfnTopic]:
    """Add the project's own topics."""
    topics = []
    for name, topic in deployment.spec["topics"].items():
        is_fifo = topic["fifo"] or None
        own = sns.CfnTopic(
            stack,
            f"topic-{name}",
            topic_name=topic["name"],
            fifo_topic=is_fifo,
            content_based_deduplication=is_fifo,
        )
        topics.append(own)
        if not deployment.is_local:  # the emulator has no TLS
            require_tls(stack, f"topic-policy-{name}", own)
    return topics


def require_tls(stack: Stack, name: str, topic: sns.CfnTopic) -> None:
    """Deny messages to a topic that are sent without TLS."""
    insecure = iam.PolicyStatement(
        sid="RequireTls",
        effect=iam.Effect.DENY,
        actions=["sns:Publish"],
        principals=[iam.AnyPrincipal()],
        resources=[topic.ref],
        conditions={"Bool": {"aws:SecureTransport": "false"}},
    )
    sns.CfnTopicPolicy(
        stack,
        name,
        topics=[topic.ref],
        policy_document=iam.PolicyDocument(statements=[insecure]),
    )


def add_subscription(
    stack: Stack,
    deployment: Deployment,
    name: str,
    queue: sqs.Queue,
    topics: list[sns.CfnTopic],
) -> None:
    """Let the messages of a function's topic reach its queue as they are."""
    subscription = sns.CfnSubscription(
        stack,
        f"subscription-{name}",
        topic_arn=deployment.functions[name]["topic_arn"],
        protocol="sqs",
        endpoint=queue.queue_arn,
        raw_message_delivery=True,
    )
    for topic in topics:
        subscription.add_resource_dependency(topic)


def add_schedule(
    stack: Stack, deployment: Deployment, name: str, queue: sqs.Queue
) -> None:
    """Send a message to a function's queue by its schedule."""
    settings = deployment.functions[name]
    message = {"schedule": name, "time": "<aws.scheduler.scheduled-time>"}
    scheduler.CfnSchedule(
        stack,
        f"schedule-{name}",
        name=f"{deployment.prefix}-{name}",
        description=f"When {name} runs",
        schedule_expression=settings["schedule"],
        schedule_expression_timezone=settings["timezone"],
        state=settings["schedule_state"],
        flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(
            mode="OFF"
        ),
        target=scheduler.CfnSchedule.TargetProperty(
            arn=queue.queue_arn,
            role_arn=deployment.role_arn("scheduler"),
            input=json.dumps(message),
        ),
    )
