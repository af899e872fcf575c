"""What all targets share: names, sizes and ARNs of an environment.

Targets know each other by names. What AWS names itself, the target that makes it shares
as a parameter of Systems Manager, so that each can be deployed alone.
"""

import hashlib
import os
from collections.abc import Collection
from typing import Any

from aws_cdk import Acknowledgment, Aws, CfnOutput, Stack, Validations
from aws_cdk import aws_ssm as ssm
from constructs import Construct

import sizes

SHIM_DATABASE = ("DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASS", "DB_TLS")
TOKENS = {
    "Partition": Aws.PARTITION,
    "Region": Aws.REGION,
    "AccountId": Aws.ACCOUNT_ID,
}
PORTS = {"mysql": 3306, "postgres": 5432}


class Environment:
    """An environment of `config/deploy.yml`.

    Args:
        project: first part of all names.
        name: second part of them.
        database: mysql or postgres.
        config: file that sizes the functions, below the project's folder.
        still_mapped: containers whose queue goes on feeding their Lambda.
        alarm_topic: ARN of the SNS topic that alarms go to, or nothing.

    Raises:
        sizes.Refusal: the file has no such environment, or is wrong.
    """

    def __init__(
        self,
        project: str,
        name: str,
        database: str,
        config: str = sizes.CONFIG,
        still_mapped: Collection[str] = (),
        alarm_topic: str = "",
    ) -> None:
        sized = sizes.read(name, config)
        self.project = project
        self.name = name
        self.database = database
        self.still_mapped = still_mapped
        self.alarm_topic = alarm_topic
        self.is_local = name == "local"
        self.python = str(sized["python"])
        self.architecture = str(sized["architecture"])
        self.log_days: int = sized["defaults"]["log_days"]
        self.settings: dict[str, Any] = sized["environments"][name] or {}
        self.functions = sizes.functions(name, config)
        self.containers = {
            each: size
            for each, size in self.functions.items()
            if size["runtime"] == "container"
        }
        # a check needs the layer of no platform in particular
        is_tried = config != sizes.CONFIG
        self.layer = "local" if self.is_local or is_tried else "aws"

        self.prefix = f"{project}-{name}"
        self.bucket = f"{self.prefix}-raw-{Aws.ACCOUNT_ID}"
        self.bucket_arn = f"arn:{Aws.PARTITION}:s3:::{self.bucket}"
        self.database_port = PORTS[database]

    def pending(self, function: str) -> str:
        """Return the name of a function's queue."""
        return f"{self.prefix}-{function}-pending"

    def dead_letter(self, function: str) -> str:
        """Return the name of the queue of what a function cannot handle."""
        return f"{self.prefix}-{function}-dead-letter"

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource in the region and account of the stack."""
        return f"arn:{Aws.PARTITION}:{service}:{Aws.REGION}:{Aws.ACCOUNT_ID}:{resource}"

    def role_arn(self, function: str, kind: str) -> str:
        """Return the ARN of a function's role: execution, task or start."""
        name = f"{self.prefix}-{function}-{kind}"
        return f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:role/{name}"

    def image(self, function: str) -> str:
        """Return registry, name and tag of a function's image."""
        tag = image_tag(function, self.architecture)
        registry = f"{Aws.ACCOUNT_ID}.dkr.ecr.{Aws.REGION}.{Aws.URL_SUFFIX}"
        return f"{registry}/{self.prefix}-{function}:{tag}"

    def database_settings(self, stack: Stack, authorities: str) -> dict[str, str]:
        """Return what a function needs to know of the database.

        Args:
            stack: that of the function.
            authorities: file of those that vouch for the database, where it runs.
        """
        if self.is_local:
            return {name: os.environ.get(name, "") for name in SHIM_DATABASE}
        return {
            "DB_HOST": self.shared(stack, "database-host"),
            "DB_PORT": str(self.database_port),
            "DB_NAME": "main",
            "DB_SECRET": self.shared(stack, "database-secret"),
            "DB_CA": authorities,
        }

    def share(self, stack: Stack, name: str, value: str) -> None:
        """Let other targets know a value."""
        ssm.StringParameter(
            stack,
            f"shared-{name}",
            parameter_name=f"/{self.prefix}/{name}",
            string_value=value,
        )

    def share_list(self, stack: Stack, name: str, values: list[str]) -> None:
        """Let other targets know values."""
        ssm.StringListParameter(
            stack,
            f"shared-{name}",
            parameter_name=f"/{self.prefix}/{name}",
            string_list_value=values,
        )

    def shared(self, stack: Stack, name: str) -> Any:
        """Return what another target shares; each deploy asks for it anew."""
        return ssm.StringParameter.value_for_string_parameter(
            stack, f"/{self.prefix}/{name}"
        )

    def shared_list(self, stack: Stack, name: str) -> Any:
        """Return the values that another target shares."""
        return ssm.StringListParameter.value_for_typed_list_parameter(
            stack, f"/{self.prefix}/{name}", ssm.ParameterValueType.STRING
        )


def accept(
    construct: Construct, rule: str, reason: str, resource: str | None = None
) -> None:
    """Say why a construct breaks a rule of AWS's for solutions.

    Args:
        construct: it.
        rule: name of the rule.
        reason: why it may.
        resource: which one of those that a policy names, for a rule about each of them.
    """
    if resource:
        for name, token in TOKENS.items():
            resource = resource.replace(str(token), f"<AWS::{name}>")
        rule += f"[Resource::{resource}]"
    Validations.of(construct).acknowledge(Acknowledgment(id=rule, reason=reason))


def tell(stack: Stack, name: str, description: str, value: Any) -> None:
    """Make an output of a stack, written as JSON."""
    written = stack.to_json_string(value)
    CfnOutput(stack, name, description=description, value=written)


def image_tag(function: str, architecture: str) -> str:
    """Return an image's tag, which tells what is in it.

    So the same code is no new deployment.
    """
    build = sizes.ROOT / ".build" / "local" / function
    common = sizes.ROOT / "src" / "common"
    kinds = ("py", "yml", "pem")
    files = [
        *sorted(path for kind in kinds for path in build.rglob(f"*.{kind}")),
        *sorted((common / "docker_wrapper", *common.glob("requirements*.txt"))),
    ]
    sums = (hashlib.sha256(path.read_bytes()).hexdigest() for path in files)
    return hashlib.sha256("".join([architecture, *sums]).encode()).hexdigest()[:12]
