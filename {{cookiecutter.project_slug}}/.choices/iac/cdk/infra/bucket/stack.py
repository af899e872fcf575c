"""The bucket; objects below `<function>/` become messages of that function."""

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_s3 as s3

from infra.deployment import Deployment, acknowledge_rule, add_output


def add_resources(stack: Stack, deployment: Deployment) -> None:
    """Add the bucket with its notifications."""
    bucket = s3.Bucket(
        stack,
        "raw",
        bucket_name=deployment.bucket,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        encryption=s3.BucketEncryption.S3_MANAGED,
        enforce_ssl=not deployment.is_local,  # the emulator has no TLS
        versioned=True,
        lifecycle_rules=[
            s3.LifecycleRule(
                id="raw",
                transitions=[
                    s3.Transition(
                        storage_class=s3.StorageClass.INFREQUENT_ACCESS,
                        transition_after=Duration.days(30),
                    )
                ],
                noncurrent_version_expiration=Duration.days(90),
                abort_incomplete_multipart_upload_after=Duration.days(7),
            )
        ],
        removal_policy=RemovalPolicy.DESTROY,  # fails if the bucket holds objects
    )
    acknowledge_rule(
        bucket, "AwsSolutions-S1", "CloudTrail logs access, for the whole account"
    )
    # `add_event_notification` would deploy a Lambda that sets the notifications
    raw = bucket.node.default_child
    raw.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
        queue_configurations=[
            s3.CfnBucket.QueueConfigurationProperty(
                event="s3:ObjectCreated:*",
                queue=deployment.arn("sqs", deployment.pending(name)),
                filter=key_filter(prefix=f"{name}/", suffix=settings["suffix"]),
            )
            for name, settings in deployment.functions.items()
        ]
    )
    add_output(stack, "Bucket", "Name of the bucket", bucket.bucket_name)


def key_filter(**parts: str) -> s3.CfnBucket.NotificationFilterProperty:
    """Return a filter of object keys by prefix and suffix, without the empty ones."""
    rules = [
        s3.CfnBucket.FilterRuleProperty(name=name, value=value)
        for name, value in parts.items()
        if value
    ]
    return s3.CfnBucket.NotificationFilterProperty(
        s3_key=s3.CfnBucket.S3KeyFilterProperty(rules=rules)
    )
