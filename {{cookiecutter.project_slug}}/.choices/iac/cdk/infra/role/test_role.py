"""Roles allow exact actions on exact resources."""

import json
from collections.abc import Callable
from typing import Any

from tools.project import functions

Synthesise = Callable[..., Any]


def statements(role: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the statements of a role's policies."""
    policies = role["Properties"]["Policies"]
    return [each for one in policies for each in one["PolicyDocument"]["Statement"]]


def test_allowed_actions_have_no_wildcard(synthesise: Synthesise) -> None:
    roles = synthesise().find_resources("AWS::IAM::Role").values()
    assert len(roles) == 3 * len(functions())
    for role in roles:
        for statement in statements(role):
            if statement["Effect"] == "Allow":
                assert "*" not in json.dumps(statement["Action"])


def test_function_may_use_its_own_queue_and_objects(synthesise: Synthesise) -> None:
    template = synthesise()
    for name in functions():
        properties = {"Properties": {"RoleName": f"test-small-{name}-task"}}
        [role] = template.find_resources("AWS::IAM::Role", properties).values()
        queue, objects, bucket = (
            "".join(
                part if isinstance(part, str) else part["Ref"]
                for part in each["Resource"]["Fn::Join"][1]
            )
            for each in statements(role)
        )
        where = "AWS::Region:AWS::AccountId"
        assert queue == f"arn:AWS::Partition:sqs:{where}:test-small-{name}-pending"
        assert bucket == "arn:AWS::Partition:s3:::test-small-raw-AWS::AccountId"
        assert objects == f"{bucket}/{name}/*"
