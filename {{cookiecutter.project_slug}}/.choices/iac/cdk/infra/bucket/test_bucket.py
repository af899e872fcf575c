"""The bucket: private, and it tells the right queue."""

from collections.abc import Callable
from typing import Any

from aws_cdk.assertions import Match

from sizes import names

Synthesise = Callable[..., Any]


def test_nothing_is_public_and_versions_are_kept(synthesise: Synthesise) -> None:
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


def test_nobody_comes_without_tls(synthesise: Synthesise) -> None:
    insecure = {
        "Effect": "Deny",
        "Action": "s3:*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    statements = {"Statement": [Match.object_like(insecure)]}
    synthesise().has_resource_properties(
        "AWS::S3::BucketPolicy", {"PolicyDocument": statements}
    )


def test_what_lands_below_a_prefix_goes_to_the_queue_of_the_function(
    synthesise: Synthesise,
) -> None:
    template = synthesise()
    for name in names():
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
