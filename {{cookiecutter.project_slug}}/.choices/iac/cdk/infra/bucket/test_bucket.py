"""The bucket is private, and its objects reach the right queues."""

from collections.abc import Callable
from typing import Any

from aws_cdk.assertions import Match

Synthesise = Callable[..., Any]
RULE = "AWS::Events::Rule"


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


def test_new_objects_reach_the_queues(synthesise: Synthesise) -> None:
    template = synthesise()
    template.has_resource_properties(
        "AWS::S3::Bucket",
        {
            "NotificationConfiguration": {
                "EventBridgeConfiguration": {"EventBridgeEnabled": True}
            }
        },
    )
    template.resource_count_is(RULE, 2)
    for name, pattern in (("worker", "worker/*"), ("fanout", "incoming/*.csv")):
        queue = Match.string_like_regexp(f":test-small-{name}-pending$")
        rule = {
            "Name": f"test-small-{name}",
            "EventPattern": {
                "source": ["aws.s3"],
                "detail-type": ["Object Created"],
                "detail": Match.object_like(
                    {"object": {"key": [{"wildcard": pattern}]}}
                ),
            },
            "Targets": [
                {"Id": "queue", "Arn": {"Fn::Join": ["", Match.array_with([queue])]}}
            ],
        }
        template.has_resource_properties(RULE, rule)


def test_bucket_that_triggers_nothing_sends_no_events(synthesise: Synthesise) -> None:
    template = synthesise("lean")
    template.resource_count_is(RULE, 0)
    template.has_resource_properties(
        "AWS::S3::Bucket", {"NotificationConfiguration": Match.absent()}
    )


def test_existing_bucket_stays_as_it_is(synthesise: Synthesise) -> None:
    template = synthesise("existing")
    template.resource_count_is("AWS::S3::Bucket", 0)
    template.resource_count_is("AWS::S3::BucketPolicy", 0)
    detail = Match.object_like({"bucket": {"name": ["company-files"]}})
    rule = {"EventPattern": Match.object_like({"detail": detail})}
    template.resource_properties_count_is(RULE, rule, 2)
    # 'make destroy' empties the bucket that the output names
    assert "Bucket" not in template.to_json().get("Outputs", {})


def test_files_are_kept_for_ever(synthesise: Synthesise) -> None:
    [rule] = rules_of(synthesise("small"))
    assert [each["TransitionInDays"] for each in rule["Transitions"]] == [30]
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 90}
    assert "ExpirationInDays" not in rule


def test_files_expire_after_declared_days(synthesise: Synthesise) -> None:
    files, markers = rules_of(synthesise("large"))
    assert files["ExpirationInDays"] == 45
    assert files["NoncurrentVersionExpiration"] == {"NoncurrentDays": 45}
    assert "Transitions" not in files
    assert markers["ExpiredObjectDeleteMarker"]


def rules_of(template: Any) -> list[dict[str, Any]]:
    """Return the lifecycle rules of the bucket."""
    [bucket] = template.find_resources("AWS::S3::Bucket").values()
    rules: list[dict[str, Any]] = bucket["Properties"]["LifecycleConfiguration"][
        "Rules"
    ]
    return rules
