"""The bucket is private, and notifies the right queue."""

from collections.abc import Callable
from typing import Any

from aws_cdk.assertions import Match

from tools.project import functions

Synthesise = Callable[..., Any]


def test_bucket_is_private_and_versioned(synthesise: Synthesise) -> None:
    synthesise().has_resource_properties(
        "AWS::S3::Bucket",
        {
            "PublicAccessBlockConfiguration": {
                "BlockPublicAcls": True,
                "BlockPublicPolicy": True,
                "IgnorePublicAcls": True,
                "RestrictPublicBuckets": True,
            },
            "VersioningConfiguration": {"Status": "Enabled"},
        },
    )


def test_bucket_denies_requests_without_tls(synthesise: Synthesise) -> None:
    insecure = {
        "Effect": "Deny",
        "Action": "s3:*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    statements = {"Statement": [Match.object_like(insecure)]}
    synthesise().has_resource_properties(
        "AWS::S3::BucketPolicy", {"PolicyDocument": statements}
    )


def test_objects_below_prefix_notify_their_queue(synthesise: Synthesise) -> None:
    template = synthesise()
    for name in functions():
        queue = Match.string_like_regexp(f":test-small-{name}-pending$")
        configuration = {
            "Event": "s3:ObjectCreated:*",
            "Queue": {"Fn::Join": ["", Match.array_with([queue])]},
            "Filter": {
                "S3Key": {
                    "Rules": [
                        {"Name": "prefix", "Value": f"{name}/"},
                        {"Name": "suffix", "Value": ".csv"},
                    ]
                }
            },
        }
        template.has_resource_properties(
            "AWS::S3::Bucket",
            {
                "NotificationConfiguration": {
                    "QueueConfigurations": Match.array_with([configuration])
                }
            },
        )
