"""Names, settings and ARNs that all stacks share, and helpers for stacks.

Stacks find each other's resources by name. IDs that AWS generates, a stack publishes as
parameters of Systems Manager, so that each stack can be deployed alone.
"""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from aws_cdk import Acknowledgment, Aws, CfnOutput, Stack, Validations
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from tools import build, deploy_config
from tools.errors import UserError
from tools.project import BUILD, ROOT

PSEUDO_PARAMETERS = {
    "Partition": Aws.PARTITION,
    "Region": Aws.REGION,
    "AccountId": Aws.ACCOUNT_ID,
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
        alarm_topic: ARN of the SNS topic for alarms, or empty.

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
        alarm_topic: str = "",
    ) -> None:
        loaded = deploy_config.read(env, config)
        self.project = project
        self.env = env
        self.settings: dict[str, Any] = loaded["environments"][env] or {}
        self.database = database
        self.still_mapped = still_mapped
        self.alarm_topic = alarm_topic
        self.is_local = env == "local"
        self.python = str(loaded["python"])
        self.architecture = str(loaded["architecture"])
        self.log_days: int = loaded["defaults"]["log_days"]
        self.functions = deploy_config.read_functions(env, config)
        self.containers = {
            name: settings
            for name, settings in self.functions.items()
            if settings["runtime"] == "container"
        }
        # checks and tests use the local layer, whatever the environment
        is_test = config != deploy_config.CONFIG
        self.layer = "local" if self.is_local or is_test else "aws"

        self.prefix = f"{project}-{env}"
        self.bucket = f"{self.prefix}-raw-{Aws.ACCOUNT_ID}"
        self.bucket_arn = f"arn:{Aws.PARTITION}:s3:::{self.bucket}"
        self.database_port = PORTS[database]

    def pending(self, function: str) -> str:
        """Return the name of a function's queue."""
        return f"{self.prefix}-{function}-pending"

    def dead_letter(self, function: str) -> str:
        """Return the name of a function's dead-letter queue."""
        return f"{self.prefix}-{function}-dead-letter"

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource in the region and account of the stack."""
        return f"arn:{Aws.PARTITION}:{service}:{Aws.REGION}:{Aws.ACCOUNT_ID}:{resource}"

    def role_arn(self, function: str, kind: str) -> str:
        """Return the ARN of a function's role: execution, task or start."""
        name = f"{self.prefix}-{function}-{kind}"
        return f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:role/{name}"

    def image(self, function: str) -> str:
        """Return registry, name and tag of a function's image.

        Raises:
            UserError: the function is not built.
        """
        tag = build.read_tag(function, self.architecture)
        registry = f"{Aws.ACCOUNT_ID}.dkr.ecr.{Aws.REGION}.{Aws.URL_SUFFIX}"
        return f"{registry}/{self.prefix}-{function}:{tag}"

    def zip_path(self, *parts: str) -> str:
        """Return the path of a zip below `.build/`.

        Raises:
            UserError: it is not built.
        """
        path = Path(BUILD, *parts)
        if not path.exists():
            name = path.relative_to(ROOT)
            raise UserError(f"{name} is missing: run 'make build ENV={self.env}'")
        return str(path)

    def database_settings(self, stack: Stack, ca_bundle: str) -> dict[str, str]:
        """Return the environment variables that lead a function to the database.

        Args:
            stack: the function's stack.
            ca_bundle: path of the CA bundle where the function runs.
        """
        if self.is_local:
            names = deploy_config.DATABASE_VARIABLES
            return {name: os.environ.get(name, "") for name in names}
        return {
            "DB_HOST": self.published(stack, "database-host"),
            "DB_PORT": str(self.database_port),
            "DB_NAME": "main",
            "DB_SECRET": self.published(stack, "database-secret"),
            "DB_CA": ca_bundle,
        }

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
