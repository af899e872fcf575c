"""The bucket that files land in; what lands below `<function>/` becomes its message."""

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_s3 as s3

from common import Environment, accept, tell


def add_resources(stack: Stack, environment: Environment) -> None:
    """Add the bucket, with its notifications."""
    bucket = s3.Bucket(
        stack,
        "raw",
        bucket_name=environment.bucket,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        encryption=s3.BucketEncryption.S3_MANAGED,
        enforce_ssl=not environment.is_local,  # the emulator speaks no TLS
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
        removal_policy=RemovalPolicy.DESTROY,  # it fails where the bucket holds files
    )
    accept(bucket, "AwsSolutions-S1", "CloudTrail logs access, for all of an account")
    # what `add_event_notification` makes is a Lambda that makes the notifications
    raw = bucket.node.default_child
    raw.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
        queue_configurations=[
            s3.CfnBucket.QueueConfigurationProperty(
                event="s3:ObjectCreated:*",
                queue=environment.arn("sqs", environment.pending(name)),
                filter=only(prefix=f"{name}/", suffix=size["suffix"]),
            )
            for name, size in environment.functions.items()
        ]
    )
    tell(stack, "Bucket", "Name of the bucket that files land in", bucket.bucket_name)


def only(**parts: str) -> s3.CfnBucket.NotificationFilterProperty:
    """Return a filter of keys by those parts that are given."""
    rules = [
        s3.CfnBucket.FilterRuleProperty(name=name, value=value)
        for name, value in parts.items()
        if value
    ]
    return s3.CfnBucket.NotificationFilterProperty(
        s3_key=s3.CfnBucket.S3KeyFilterProperty(rules=rules)
    )
