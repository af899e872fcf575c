"""A queue and a dead-letter queue for each function, with alarms on both."""

from aws_cdk import Aws, Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.deployment import Deployment, add_output


def add_resources(stack: Stack, deployment: Deployment) -> None:
    """Add queues and alarms."""
    pending, dead_letter = {}, {}
    for name in deployment.functions:
        scope = Construct(stack, name)
        dead_letter[name] = add_dead_letter_queue(scope, deployment, name)
        pending[name] = add_pending_queue(scope, deployment, name, dead_letter[name])
        if not deployment.is_local:  # the emulator has no metrics
            add_alarms(scope, deployment, name, pending[name], dead_letter[name])
    for output, queues in (("Pending", pending), ("DeadLetter", dead_letter)):
        urls = {name: queue.queue_url for name, queue in queues.items()}
        add_output(stack, output, "URL of each function's queue", urls)


def add_dead_letter_queue(
    scope: Construct, deployment: Deployment, name: str
) -> sqs.Queue:
    """Add the queue for messages that a function could not handle."""
    source = sqs.Queue.from_queue_arn(
        scope, "source", deployment.arn("sqs", deployment.pending(name))
    )
    return sqs.Queue(
        scope,
        "dead-letter",
        queue_name=deployment.dead_letter(name),
        # counted from when a message was first sent; the maximum
        retention_period=Duration.days(14),
        encryption=sqs.QueueEncryption.SQS_MANAGED,
        enforce_ssl=not deployment.is_local,  # the emulator has no TLS
        redrive_allow_policy=sqs.RedriveAllowPolicy(source_queues=[source]),
    )


def add_pending_queue(
    scope: Construct, deployment: Deployment, name: str, dead_letter: sqs.Queue
) -> sqs.Queue:
    """Add the queue that feeds a function; only the bucket may send to it."""
    settings = deployment.functions[name]
    queue = sqs.Queue(
        scope,
        "pending",
        queue_name=deployment.pending(name),
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
    queue.add_to_resource_policy(
        iam.PolicyStatement(
            sid="OnlyTheBucketSends",
            actions=["sqs:SendMessage"],
            principals=[iam.ServicePrincipal("s3.amazonaws.com")],
            resources=[queue.queue_arn],
            conditions={
                "ArnEquals": {"aws:SourceArn": deployment.bucket_arn},
                "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
            },
        )
    )
    return queue


def add_alarms(
    scope: Construct,
    deployment: Deployment,
    name: str,
    pending: sqs.Queue,
    dead_letter: sqs.Queue,
) -> None:
    """Add alarms on dead letters and on the age of the oldest message."""
    minute = {"period": Duration.minutes(1), "statistic": "Maximum"}
    alarms = [
        cloudwatch.Alarm(
            scope,
            "dead-letters",
            alarm_name=f"{deployment.dead_letter(name)}-messages",
            alarm_description=f"{name} failed to handle a message: read its logs, fix "
            "the cause, then redrive the message.",
            metric=dead_letter.metric_approximate_number_of_messages_visible(**minute),
            threshold=0,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        ),
        cloudwatch.Alarm(
            scope,
            "oldest-message",
            alarm_name=f"{deployment.pending(name)}-age",
            alarm_description=f"{name} does not run, or is too slow for its queue.",
            metric=pending.metric_approximate_age_of_oldest_message(**minute),
            threshold=deployment.functions[name]["oldest_message"],
            evaluation_periods=5,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        ),
    ]
    if deployment.alarm_topic:
        topic = sns.Topic.from_topic_arn(scope, "topic", deployment.alarm_topic)
        for alarm in alarms:
            alarm.add_alarm_action(actions.SnsAction(topic))
            alarm.add_ok_action(actions.SnsAction(topic))
