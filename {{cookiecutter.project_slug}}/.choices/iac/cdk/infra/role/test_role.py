"""Roles allow exact actions on exact resources."""

import json
from collections.abc import Callable
from typing import Any

from infra.conftest import FUNCTIONS

Synthesise = Callable[..., Any]
OF_EACH_LAMBDA = ("WriteLogs", "TraceAndAttachToVpc", "DenyEc2ToCode")


def statements(role: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the statements of a role's policies."""
    policies = role["Properties"]["Policies"]
    return [each for one in policies for each in one["PolicyDocument"]["Statement"]]


def test_allowed_actions_have_no_wildcard(synthesise: Synthesise) -> None:
    roles = synthesise().find_resources("AWS::IAM::Role").values()
    assert len(roles) == 3 * len(FUNCTIONS) + 2  # those of schedules and releases
    for role in roles:
        for statement in statements(role):
            if statement["Effect"] == "Allow":
                assert "*" not in json.dumps(statement["Action"])


def test_roles_have_the_permissions_boundary(synthesise: Synthesise) -> None:
    for role in synthesise().find_resources("AWS::IAM::Role").values():
        boundary = role["Properties"]["PermissionsBoundary"]
        assert flatten(boundary).endswith(":policy/test-small-boundary")
    for role in synthesise("local").find_resources("AWS::IAM::Role").values():
        assert "PermissionsBoundary" not in role["Properties"]  # the emulator has none


def test_function_may_do_what_it_declares(synthesise: Synthesise) -> None:
    template = synthesise()
    here = "AWS::Region:AWS::AccountId"
    bucket = "arn:AWS::Partition:s3:::test-small-raw-AWS::AccountId"

    def arn(service: str, resource: str) -> str:
        return f"arn:AWS::Partition:{service}:{here}:{resource}"

    declared: dict[str, dict[str, str]] = {
        "worker": {"ReadObjects": f"{bucket}/worker/*", "ListBucket": bucket},
        "fanout": {
            "ReadObjects": f"{bucket}/incoming/*.csv",
            "ListBucket": bucket,
            "SendMessages": arn("sqs", "test-small-part-pending"),
        },
        "part": {},
        "enrich": {
            "ReadObjects": f"{bucket}/incoming/*",
            "ListBucket": bucket,
            "WriteObjects": f"{bucket}/enriched/*",
            "ReadSecrets": arn("secretsmanager", "secret:partner/api-key-??????"),
            "Allow1": arn("dynamodb", "table/test-small-seen"),
        },
        "nightly": {},
        "orders": {},
        "prices": {},
    }
    for name, expected in declared.items():
        suffix = ".fifo" if name == "orders" else ""
        queue = arn("sqs", f"test-small-{name}-pending{suffix}")
        for kind in ("task", "execution"):
            found = {
                each["Sid"]: flatten(each["Resource"])
                for each in statements(role(template, f"{name}-{kind}"))
                if each["Sid"] not in OF_EACH_LAMBDA
            }
            if name not in ("fanout", "enrich"):
                expected["ReadPassword"] = arn(
                    "secretsmanager", "secret:test-small-app-??????"
                )
            assert found == {"ReceiveMessages": queue} | expected


def test_scheduler_sends_to_scheduled_functions_only(synthesise: Synthesise) -> None:
    [statement] = statements(role(synthesise(), "scheduler"))
    assert statement["Action"] == "sqs:SendMessage"
    assert flatten(statement["Resource"]).endswith(":test-small-nightly-pending")


def test_codedeploy_shifts_released_functions_only(synthesise: Synthesise) -> None:
    granted = {
        flatten(each["Resource"]).rpartition("AWS::AccountId:")[2]: each["Action"]
        for each in statements(role(synthesise(), "release"))
    }
    assert granted == {
        "function:test-small-part": ["lambda:GetAlias", "lambda:UpdateAlias"],
        "function:test-small-part:live": "lambda:GetProvisionedConcurrencyConfig",
        "*": "cloudwatch:DescribeAlarms",
    }


def test_no_schedule_needs_no_role(synthesise: Synthesise) -> None:
    template = synthesise("lean")
    properties = {"Properties": {"RoleName": "test-lean-scheduler"}}
    assert template.find_resources("AWS::IAM::Role", properties) == {}


def role(template: Any, name: str) -> dict[str, Any]:
    """Return a role of the environment small."""
    properties = {"Properties": {"RoleName": f"test-small-{name}"}}
    [found] = template.find_resources("AWS::IAM::Role", properties).values()
    one: dict[str, Any] = found
    return one


def flatten(value: Any) -> str:
    """Return an ARN with the names of the parameters that it refers to, or `*`."""
    if isinstance(value, str):
        return value
    if "Fn::Sub" in value:
        return str(value["Fn::Sub"])
    parts = value["Fn::Join"][1]
    return "".join(part if isinstance(part, str) else part["Ref"] for part in parts)


def test_functions_read_the_secret_of_existing_database(
    synthesise: Synthesise,
) -> None:
    template = synthesise("existing")
    for name in FUNCTIONS:
        properties = {"Properties": {"RoleName": f"test-existing-{name}-task"}}
        [found] = template.find_resources("AWS::IAM::Role", properties).values()
        uses_database = name not in ("fanout", "enrich")
        assert ("secret:shop/database-??????" in str(found)) == uses_database
