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
    assert "test-small-internet" not in str(template.to_json())


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
