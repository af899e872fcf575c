"""The bucket, and the rules by which new objects become messages of functions."""

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_s3 as s3

from infra.deployment import Deployment, acknowledge_rule, add_output


def add_resources(stack: Stack, deployment: Deployment) -> None:
    """Add the bucket, unless there is an existing one, and its rules."""
    if "bucket" not in deployment.settings:
        add_bucket(stack, deployment)
    for name, function in deployment.triggered_by("bucket").items():
        add_rule(stack, deployment, name, function["key_pattern"])


def add_bucket(stack: Stack, deployment: Deployment) -> None:
    """Add the bucket. `make destroy` empties the one that the output names."""
    bucket = s3.Bucket(
        stack,
        "raw",
        bucket_name=deployment.spec["bucket"],
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        encryption=s3.BucketEncryption.S3_MANAGED,
        enforce_ssl=not deployment.is_local,  # the emulator has no TLS
        versioned=True,
        lifecycle_rules=list_rules(deployment.spec["lifecycle"]),
        removal_policy=RemovalPolicy.DESTROY,  # fails if the bucket holds objects
    )
    acknowledge_rule(
        bucket, "AwsSolutions-S1", "CloudTrail logs access, for the whole account"
    )
    if deployment.spec["uses_bucket"]:
        # `event_bridge_enabled` would deploy a Lambda that sets this
        bucket.node.default_child.notification_configuration = (
            s3.CfnBucket.NotificationConfigurationProperty(
                event_bridge_configuration=(
                    s3.CfnBucket.EventBridgeConfigurationProperty(
                        event_bridge_enabled=True
                    )
                )
            )
        )
    add_output(stack, "Bucket", "Name of the bucket", bucket.bucket_name)


def list_rules(days: dict[str, int | None]) -> list[s3.LifecycleRule]:
    """Return the rules for files of the given `transition`, `expiration` and so on."""
    rules = [
        s3.LifecycleRule(
            id="raw",
            transitions=[
                s3.Transition(
                    storage_class=s3.StorageClass.INFREQUENT_ACCESS,
                    transition_after=Duration.days(days["transition"]),
                )
            ]
            if days["transition"]
            else None,
            expiration=Duration.days(days["expiration"])
            if days["expiration"]
            else None,
            noncurrent_version_expiration=Duration.days(days["noncurrent"]),
            abort_incomplete_multipart_upload_after=Duration.days(7),
        )
    ]
    if days["expiration"]:
        # what remains of a file, once its versions have expired; S3 wants its own rule
        markers = s3.LifecycleRule(id="markers", expired_object_delete_marker=True)
        rules.append(markers)
    return rules


def add_rule(stack: Stack, deployment: Deployment, name: str, pattern: str) -> None:
    """Let new objects become messages of a function.

    Args:
        stack: the stack.
        deployment: names and settings of the environment.
        name: the function.
        pattern: of the objects' keys, with a wildcard.
    """
    events.CfnRule(
        stack,
        f"created-{name}",
        name=f"{deployment.prefix}-{name}",
        description=f"New objects for {name}",
        event_pattern={
            "source": ["aws.s3"],
            "detail-type": ["Object Created"],
            "detail": {
                "bucket": {"name": [deployment.spec["bucket"]]},
                "object": {"key": [{"wildcard": pattern}]},
            },
        },
        targets=[
            events.CfnRule.TargetProperty(id="queue", arn=deployment.queue_arn(name))
        ],
    )
