"""A queue for each function, and one for the messages that it cannot handle."""

from aws_cdk import Aws, Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from common import Environment, tell


def add_resources(stack: Stack, environment: Environment) -> None:
    """Add queues and alarms."""
    pending, dead_letter = {}, {}
    for name, size in environment.functions.items():
        scope = Construct(stack, name)
        source = sqs.Queue.from_queue_arn(
            scope, "source", environment.arn("sqs", environment.pending(name))
        )
        dead_letter[name] = sqs.Queue(
            scope,
            "dead-letter",
            queue_name=environment.dead_letter(name),
            retention_period=Duration.days(14),  # it counts from the first sending
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=not environment.is_local,  # the emulator speaks no TLS
            redrive_allow_policy=sqs.RedriveAllowPolicy(source_queues=[source]),
        )
        pending[name] = sqs.Queue(
            scope,
            "pending",
            queue_name=environment.pending(name),
            visibility_timeout=Duration.seconds(
                6 * size["timeout"] + size["batch_window"]
            ),
            retention_period=Duration.days(4),
            receive_message_wait_time=Duration.seconds(20),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=not environment.is_local,
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=dead_letter[name], max_receive_count=size["max_receives"]
            ),
        )
        pending[name].add_to_resource_policy(
            iam.PolicyStatement(
                sid="OnlyTheBucketSends",
                actions=["sqs:SendMessage"],
                principals=[iam.ServicePrincipal("s3.amazonaws.com")],
                resources=[pending[name].queue_arn],
                conditions={
                    "ArnEquals": {"aws:SourceArn": environment.bucket_arn},
                    "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
                },
            )
        )
        if not environment.is_local:  # the emulator measures nothing
            add_alarms(scope, environment, name, pending[name], dead_letter[name])
    for title, queues in (("Pending", pending), ("DeadLetter", dead_letter)):
        urls = {name: queue.queue_url for name, queue in queues.items()}
        tell(stack, title, "URLs of queues", urls)


def add_alarms(
    scope: Construct,
    environment: Environment,
    name: str,
    pending: sqs.Queue,
    dead_letter: sqs.Queue,
) -> None:
    """Add alarms on dead letters, and on messages that wait for long."""
    size = environment.functions[name]
    minute = {"period": Duration.minutes(1), "statistic": "Maximum"}
    alarms = [
        cloudwatch.Alarm(
            scope,
            "dead-letters",
            alarm_name=f"{environment.dead_letter(name)}-messages",
            alarm_description=f"{name} could not handle a message: see its logs, then "
            "send it back.",
            metric=dead_letter.metric_approximate_number_of_messages_visible(**minute),
            threshold=0,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        ),
        cloudwatch.Alarm(
            scope,
            "oldest-message",
            alarm_name=f"{environment.pending(name)}-age",
            alarm_description=f"{name} does not keep up, or does not run.",
            metric=pending.metric_approximate_age_of_oldest_message(**minute),
            threshold=size["oldest_message"],
            evaluation_periods=5,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        ),
    ]
    if environment.alarm_topic:
        topic = sns.Topic.from_topic_arn(scope, "topic", environment.alarm_topic)
        for alarm in alarms:
            alarm.add_alarm_action(actions.SnsAction(topic))
            alarm.add_ok_action(actions.SnsAction(topic))
