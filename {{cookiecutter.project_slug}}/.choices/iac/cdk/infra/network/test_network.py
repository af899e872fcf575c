"""The network lets functions reach the database and AWS, and nothing else."""

from collections.abc import Callable
from typing import Any

import pytest
from aws_cdk.assertions import Match

Synthesise = Callable[..., Any]
SUBNET = "AWS::EC2::Subnet"


def test_small_network_has_no_internet_access(synthesise: Synthesise) -> None:
    template = synthesise("small")
    template.resource_count_is(SUBNET, 2)
    template.resource_count_is("AWS::EC2::NatGateway", 0)
    assert "0.0.0.0/0" not in str(template.to_json())


def test_large_network_has_a_nat_gateway(synthesise: Synthesise) -> None:
    template = synthesise("large")
    template.resource_count_is(SUBNET, 3 + 1)
    template.resource_count_is("AWS::EC2::NatGateway", 1)
    ports = {"IpProtocol": "tcp", "FromPort": 0, "ToPort": 65535}
    anywhere = {"CidrIp": "0.0.0.0/0", **ports}
    out = {
        "GroupName": "test-large-internet",
        "SecurityGroupEgress": [Match.object_like(anywhere)],
    }
    template.has_resource_properties("AWS::EC2::SecurityGroup", out)


@pytest.mark.parametrize(
    ("env", "services"),
    [
        ("small", ("s3", "dynamodb", "secretsmanager", "sqs")),
        (
            "large",
            (
                *("s3", "dynamodb", "secretsmanager", "sqs"),
                *("ecr.api", "ecr.dkr", "logs"),
            ),
        ),
    ],
)
def test_functions_reach_what_they_declare(
    synthesise: Synthesise, env: str, services: tuple[str, ...]
) -> None:
    template = synthesise(env)
    for service in services:
        name = {"Fn::Join": ["", Match.array_with([f".{service}"])]}
        template.has_resource_properties("AWS::EC2::VPCEndpoint", {"ServiceName": name})
    template.resource_count_is("AWS::EC2::VPCEndpoint", len(services))


def test_only_declared_functions_reach_the_database(synthesise: Synthesise) -> None:
    for database, port in (("postgres", 5432), ("mysql", 3306)):
        template = synthesise(database=database)
        into = {
            "Description": "SQL from functions",
            "FromPort": port,
            "ToPort": port,
            "CidrIp": Match.absent(),
        }
        template.has_resource_properties("AWS::EC2::SecurityGroupIngress", into)
        out = {
            "GroupName": "test-small-sql",
            "SecurityGroupEgress": [
                Match.object_like({"FromPort": port, "ToPort": port})
            ],
        }
        template.has_resource_properties("AWS::EC2::SecurityGroup", out)


def test_s3_endpoint_reaches_the_bucket_and_layers_only(
    synthesise: Synthesise,
) -> None:
    for env, sids in (
        ("small", ["ProjectBucket"]),
        ("large", ["ProjectBucket", "ImageLayers"]),
    ):
        found = [each["Sid"] for each in statements(synthesise(env), "s3")]
        assert found == sids
    [bucket, layers] = statements(synthesise("large"), "s3")
    assert f"test-{env}-raw-" in str(bucket["Resource"])
    assert "-starport-layer-bucket/*" in str(layers["Resource"])


def test_only_this_account_uses_endpoints(synthesise: Synthesise) -> None:
    template = synthesise()
    for service in ("s3", "dynamodb", "secretsmanager", "sqs"):
        [statement] = statements(template, service)
        account = {"aws:PrincipalAccount": {"Ref": "AWS::AccountId"}}
        assert statement["Condition"] == {"StringEquals": account}


def statements(template: Any, service: str) -> list[dict[str, Any]]:
    """Return the policy of the endpoint of a service."""
    name = {"Fn::Join": ["", Match.array_with([f".{service}"])]}
    properties = {"Properties": {"ServiceName": name}}
    found = template.find_resources("AWS::EC2::VPCEndpoint", properties)
    [endpoint] = found.values()
    policy: dict[str, Any] = endpoint["Properties"]["PolicyDocument"]
    return list(policy["Statement"])
