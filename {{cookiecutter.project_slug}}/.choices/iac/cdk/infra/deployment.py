"""Names, settings and ARNs that all stacks share, and helpers for stacks.

Stacks find each other's resources by name. IDs that AWS generates, a stack publishes as
parameters of Systems Manager, so that each stack can be deployed alone.
"""

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from aws_cdk import (
    Acknowledgment,
    Aws,
    CfnOutput,
    PermissionsBoundary,
    Stack,
    Validations,
)
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from tools import build, deploy_config, deployer, function_specs
from tools.errors import UserError
from tools.project import BUILD, ROOT

TOKENS = {
    "{partition}": Aws.PARTITION,
    "{region}": Aws.REGION,
    "{account}": Aws.ACCOUNT_ID,
}
PSEUDO_PARAMETERS = {
    "Partition": Aws.PARTITION,
    "Region": Aws.REGION,
    "AccountId": Aws.ACCOUNT_ID,
}
# Without an egress rule, CloudFormation would add one that allows everything.
NOTHING = ec2.CfnSecurityGroup.EgressProperty(
    description="Nothing",
    ip_protocol="icmp",
    from_port=252,
    to_port=86,
    cidr_ip="255.255.255.255/32",
)
# The CA bundle of the system, by that of RDS: in a Lambda and in a container.
PUBLIC_CA = {
    "/opt/rds-ca.pem": "/etc/pki/tls/certs/ca-bundle.crt",
    "/app/rds-ca.pem": "/etc/ssl/certs/ca-certificates.crt",
}
PORTS = {"mysql": 3306, "postgres": 5432}


class Deployment:
    """The project in one environment of `config/deploy.yml`.

    Args:
        project: first part of all names.
        env: second part of all names, and a key of `environments`.
        database: mysql or postgres.
        config: path of the configuration, below the project's root.
        still_mapped: containers whose queue still feeds their Lambda.
        is_checked: whether the stacks are only checked or tested, so that nothing has
            to be built.

    Raises:
        UserError: the file lacks the environment, or is wrong.
    """

    def __init__(
        self,
        project: str,
        env: str,
        database: str,
        config: str = deploy_config.CONFIG,
        still_mapped: Collection[str] = (),
        is_checked: bool = False,
    ) -> None:
        self.spec = fill_placeholders(function_specs.resolve(env, config, project))
        self.project = project
        self.env = env
        self.settings: dict[str, Any] = self.spec["settings"]
        self.network: dict[str, Any] | None = self.spec["network"]  # an existing one
        self.database = database
        self.still_mapped = still_mapped
        self.is_local = env == "local"
        self.python: str = self.spec["python"]
        self.architecture: str = self.spec["architecture"]
        self.functions: dict[str, Any] = self.spec["functions"]
        self.containers = {
            name: settings
            for name, settings in self.functions.items()
            if settings["runtime"] == "container"
        }
        self.artifacts = BUILD
        if is_checked:
            self.artifacts = deployer.write_placeholders(self.functions)
        self.prefix = f"{project}-{env}"
        self.database_port = PORTS[database]

    @property
    def boundary(self) -> PermissionsBoundary | None:
        """The permissions boundary of all roles; the emulator has none."""
        if self.is_local:
            return None
        return PermissionsBoundary.from_name(f"{self.prefix}-boundary")

    def triggered_by(self, trigger: str) -> dict[str, Any]:
        """Return the functions with a trigger."""
        found = self.functions.items()
        return {name: each for name, each in found if each["trigger"] == trigger}

    def queue_arn(self, function: str) -> str:
        """Return the ARN of a function's queue."""
        return self.arn("sqs", self.functions[function]["queue"])

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource in the region and account of the stack."""
        return f"arn:{Aws.PARTITION}:{service}:{Aws.REGION}:{Aws.ACCOUNT_ID}:{resource}"

    def role_arn(self, *parts: str) -> str:
        """Return the ARN of a role: `scheduler`, or that of a function and a kind."""
        name = "-".join((self.prefix, *parts))
        return f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:role/{name}"

    def image(self, function: str) -> str:
        """Return registry, name and tag of a function's image.

        Raises:
            UserError: the function is not built.
        """
        tag = build.read_tag(function, self.architecture, self.artifacts)
        registry = f"{Aws.ACCOUNT_ID}.dkr.ecr.{Aws.REGION}.{Aws.URL_SUFFIX}"
        return f"{registry}/{self.prefix}-{function}:{tag}"

    def zip_path(self, *parts: str) -> str:
        """Return the path of a zip that was built.

        Raises:
            UserError: it is not built.
        """
        path = Path(self.artifacts, *parts)
        if not path.exists():
            name = path.relative_to(ROOT)
            raise UserError(f"{name} is missing: run 'make build ENV={self.env}'")
        return str(path)

    def variables(self, stack: Stack, function: str, ca_bundle: str) -> dict[str, str]:
        """Return a function's environment variables.

        Args:
            stack: the function's stack.
            function: its name.
            ca_bundle: path of the CA bundle where the function runs.
        """
        variables: dict[str, str] = self.functions[function]["variables"]
        if not self.functions[function]["database"]:
            return variables
        if self.is_local:
            names = deploy_config.DATABASE_VARIABLES
            return variables | {name: os.environ.get(name, "") for name in names}
        if self.spec["has_proxy"]:  # its certificate is of a public CA
            ca_bundle = PUBLIC_CA[ca_bundle]
        database: dict[str, str] = self.spec["database"] | {"DB_CA": ca_bundle}
        if "DB_HOST" not in database:
            database["DB_HOST"] = self.published(stack, "database-host")
            database["DB_PORT"] = str(self.database_port)
        return variables | database

    def security_groups(self, stack: Stack, function: str) -> list[str]:
        """Return the IDs of a function's security groups."""
        if self.network:
            return [self.network["security_group"]]
        names = self.functions[function]["security_groups"]
        return [self.published(stack, f"{name}-group") for name in names]

    def subnets(self, stack: Stack) -> Any:
        """Return the IDs of the private subnets."""
        if self.network:
            return self.network["subnets"]
        return self.published_list(stack, "subnets")

    def connect_proxy(self, stack: Stack, group: str) -> None:
        """Let the database's proxy, which is in its group, reach the database."""
        port = {"from_port": self.database_port, "to_port": self.database_port}
        ec2.CfnSecurityGroupEgress(
            stack,
            "proxy-to-database",
            group_id=group,
            destination_security_group_id=group,
            description="SQL from the proxy to the database",
            ip_protocol="tcp",
            **port,
        )
        ec2.CfnSecurityGroupIngress(
            stack,
            "database-from-proxy",
            group_id=group,
            source_security_group_id=group,
            description="SQL from the proxy",
            ip_protocol="tcp",
            **port,
        )

    def publish(self, stack: Stack, name: str, value: str) -> None:
        """Publish a value to other stacks."""
        ssm.StringParameter(
            stack,
            f"shared-{name}",
            parameter_name=f"/{self.prefix}/{name}",
            string_value=value,
        )

    def publish_list(self, stack: Stack, name: str, values: list[str]) -> None:
        """Publish a list of values to other stacks."""
        ssm.StringListParameter(
            stack,
            f"shared-{name}",
            parameter_name=f"/{self.prefix}/{name}",
            string_list_value=values,
        )

    def published(self, stack: Stack, name: str) -> Any:
        """Return a value that another stack publishes; each deploy reads it again."""
        return ssm.StringParameter.value_for_string_parameter(
            stack, f"/{self.prefix}/{name}"
        )

    def published_list(self, stack: Stack, name: str) -> Any:
        """Return a list of values that another stack publishes."""
        return ssm.StringListParameter.value_for_typed_list_parameter(
            stack, f"/{self.prefix}/{name}", ssm.ParameterValueType.STRING
        )


def fill_placeholders(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a specification with CDK's tokens in place of `{region}` and the like."""
    text = json.dumps(spec)
    for name, token in TOKENS.items():
        text = text.replace(name, token)
    filled: dict[str, Any] = json.loads(text)
    return filled


def acknowledge_rule(
    construct: Construct, rule: str, reason: str, resource: str | None = None
) -> None:
    """Acknowledge that a construct breaks a rule of cdk-nag.

    Args:
        construct: the construct, or one that contains it.
        rule: ID of the rule.
        reason: why the construct may break it.
        resource: ARN in a policy, for rules that report each resource of a policy.
    """
    if resource:
        for name, token in PSEUDO_PARAMETERS.items():
            resource = resource.replace(str(token), f"<AWS::{name}>")
        rule += f"[Resource::{resource}]"
    Validations.of(construct).acknowledge(Acknowledgment(id=rule, reason=reason))


def add_output(stack: Stack, name: str, description: str, value: Any) -> None:
    """Add an output to a stack, with its value as JSON."""
    text = stack.to_json_string(value)
    CfnOutput(stack, name, description=description, value=text)
