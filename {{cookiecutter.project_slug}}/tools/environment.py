"""Enter an environment: the shim's own resources, or a deployment.

Without ENV that is what the shim created for itself, such as the bucket `raw` and the
queue `worker-pending`. With ENV it is what `make deploy` created in that environment,
such as `<project>-<env>-worker-pending`; ENV=local is a deployment into the shim.
"""

import os
import shlex
from functools import cache, cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - the one that boto3 raises
    HTTPClientError,
    NoCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from tools import deploy_config, function_specs, grants
from tools.errors import UserError
from tools.project import ROOT, answers

SHIM_FILE = ROOT / ".shim" / "shim.env"
SHIM_STOPPED = "the shim is not running: start it in another terminal with 'make shim'"
SHIM_SILENT = "the shim does not answer: restart it with 'make shim'"
CLIENT_CONFIG = Config(connect_timeout=5, retries={"mode": "standard"})
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html
EXPIRED_CODES = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")
UNKNOWN_KEY_CODES = (
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
)


@cache
def client(service: str) -> Any:
    """Return the boto3 client of a service, for the environment that was entered."""
    return boto3.client(service, config=CLIENT_CONFIG)


class Environment:
    """Names of the resources in one environment.

    Args:
        name: of an environment in `config/deploy.yml`; empty for the shim's own
            resources.

    Raises:
        UserError: there is no such environment.
    """

    def __init__(self, name: str) -> None:
        if name:
            deploy_config.read(name)
        self.name = name
        self.prefix = f"{answers().project_slug}-{name}" if name else ""

    def __str__(self) -> str:
        return f"ENV={self.name}" if self.name else "the shim"

    @property
    def is_on_aws(self) -> bool:
        """Whether it is an AWS account rather than the shim."""
        return self.name not in ("", "local")

    @cached_property
    def spec(self) -> deploy_config.Config:
        """The specification of the environment, see `function_specs.resolve`."""
        return function_specs.resolve(self.name)

    @property
    def functions(self) -> dict[str, deploy_config.Config]:
        """The specification of each function."""
        return dict(self.spec["functions"])

    def queue_name(self, func: str, kind: str) -> str:
        """Return the name of a function's queue, "pending" or "dead-letter"."""
        keys = {"pending": "queue", "dead-letter": "dead_letter"}
        return str(self.functions[func][keys[kind]])

    def resource_name(self, *parts: str) -> str:
        """Return the name of another resource, such as a function's Lambda."""
        return "-".join(filter(None, (self.prefix, *parts)))

    def find_bucket(self) -> str:
        """Return the name of the bucket that files are put into."""
        if not self.name:
            return os.environ["BUCKET"]
        bucket = str(self.spec["bucket"])
        if grants.ACCOUNT not in bucket:
            return bucket
        account = client("sts").get_caller_identity()["Account"]
        return bucket.replace(grants.ACCOUNT, account)

    def find_queue_url(self, func: str, kind: str) -> str:
        """Return the URL of a queue.

        Args:
            func: the function that it belongs to.
            kind: "pending" or "dead-letter".

        Raises:
            UserError: there is no such queue.
        """
        name, sqs = self.queue_name(func, kind), client("sqs")
        try:
            return str(sqs.get_queue_url(QueueName=name)["QueueUrl"])
        except sqs.exceptions.QueueDoesNotExist:
            raise self.explain_missing(f"queue {name}") from None

    def explain_missing(self, resource: str) -> UserError:
        """Return the error for a resource that does not exist yet."""
        if not self.name:
            return UserError(f"the shim has no {resource}: restart it with 'make shim'")
        hint = ", or leave out ENV for the shim's own resources"
        return UserError(
            f"there is no {resource}: create it with 'make deploy ENV={self.name}'"
            f"{hint if self.name == 'local' else ''}"
        )


def enter(env: str) -> Environment:
    """Set the process's AWS and database variables for an environment; return it.

    The clients of `client` then work on it.

    The shim's come from `.shim/shim.env`, those of an AWS account from
    `config/secrets-<env>.env`, which overrides the shell.

    Args:
        env: an environment of `config/deploy.yml`; empty for the shim.

    Raises:
        UserError: there is no such environment, or the shim is not running.
    """
    environment = Environment(env)
    if environment.is_on_aws:
        from dotenv import dotenv_values  # no other target needs it

        file = ROOT / "config" / f"secrets-{env}.env"
        secrets = dotenv_values(file, interpolate=False)
        os.environ |= {key: value for key, value in secrets.items() if value}
    else:
        enter_shim()
    region = os.environ.get("AWS_REGION") or answers().aws_region
    os.environ |= {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    return environment


def enter_shim() -> None:
    """Set the process's variables to those of the running shim.

    Raises:
        UserError: it is not running.
    """
    if not SHIM_FILE.exists():
        raise UserError(SHIM_STOPPED)
    for line in SHIM_FILE.read_text(encoding="utf-8").splitlines():
        command, *words = shlex.split(line, comments=True) or [""]
        for word in words:
            name, _, value = word.partition("=")
            os.environ.pop(name, None)
            if command == "export":
                os.environ[name] = value


def explain(error: Exception, env: str) -> str | None:
    """Return a sentence for an error of AWS or boto3, None for any other error.

    Args:
        error: what was raised.
        env: name of the environment; empty for the shim.
    """
    file = f"config/secrets-{env}.env"
    if isinstance(error, ClientError):
        found = error.response["Error"]
        code = str(found.get("Code", "")).rpartition(".")[2]
        if code in EXPIRED_CODES:
            return (
                f"the credentials for ENV={env} have expired: log in again, or "
                f"put new ones into {file}"
            )
        if code in UNKNOWN_KEY_CODES:
            return (
                f"AWS does not accept the credentials for ENV={env} ({code}): "
                f"correct those of your shell or of {file}"
            )
        return f"AWS refuses {error.operation_name}: {found.get('Message') or code}"
    if isinstance(error, HTTPClientError | ConnectionError):
        is_shim = env in ("", "local")
        return SHIM_SILENT if is_shim else f"AWS cannot be reached: {error}"
    if isinstance(error, SSOError | TokenRetrievalError):
        return f"your login for ENV={env} has expired: run 'aws sso login'"
    if isinstance(error, NoCredentialsError | ProfileNotFound):
        return (
            f"there are no credentials for ENV={env}: set a profile or keys in your "
            f"shell or in {file}, see config/secrets-example.env"
        )
    return f"boto3 failed: {error}" if isinstance(error, BotoCoreError) else None


def print_identity(env: str) -> int:
    """Print whose credentials an environment uses; return 0."""
    enter(env)
    found = client("sts").get_caller_identity()
    print(f"{found['Arn']} of account {found['Account']}")
    return 0
