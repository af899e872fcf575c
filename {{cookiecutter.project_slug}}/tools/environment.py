"""Where a make word acts: on what the shim made, or on what was deployed.

Without ENV that is the shim's own, as `raw` and `worker-pending`. With ENV it is what
`make deploy` made there, as `<project>-<environment>-worker-pending`. As a program it
tells whose credentials an environment has.
"""

import argparse
import os
import sys
from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - it is this one that boto3 raises
    HTTPClientError,
    NoCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

import sizes
from sizes import Refusal

PATIENCE = Config(connect_timeout=5, retries={"mode": "standard"})
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html
EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")
UNKNOWN = (
    *("InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken"),
    *("SignatureDoesNotMatch", "UnrecognizedClientException"),
)


class Place:
    """What there is in one environment, or in the shim by itself, by its names.

    Args:
        project: first part of the names.
        name: of the environment; empty for what the shim made.

    Raises:
        Refusal: `config/deploy.yml` has no such environment.
    """

    def __init__(self, project: str, name: str) -> None:
        if name:
            sizes.read(name)
        self.name = name
        self.prefix = f"{project}-{name}" if name else ""

    def __str__(self) -> str:
        return f"ENV={self.name}" if self.name else "the shim"

    @cache  # noqa: B019 - it lives as long as the program
    def client(self, service: str) -> Any:
        """Return boto3's client of a service."""
        region = os.environ["AWS_REGION"]
        return boto3.client(service, region_name=region, config=PATIENCE)

    def named(self, *parts: str) -> str:
        """Return the name of a thing, as of a function's queue."""
        return "-".join(filter(None, (self.prefix, *parts)))

    def bucket(self) -> str:
        """Return the name of the bucket that files land in."""
        if not self.name:
            return os.environ["BUCKET"]
        account = self.client("sts").get_caller_identity()["Account"]
        return self.named("raw", account)

    def queue(self, function: str, kind: str) -> str:
        """Return the URL of a queue.

        Args:
            function: whose queue it is.
            kind: "pending" or "dead-letter".

        Raises:
            Refusal: there is none.
        """
        name, sqs = self.named(function, kind), self.client("sqs")
        try:
            return str(sqs.get_queue_url(QueueName=name)["QueueUrl"])
        except sqs.exceptions.QueueDoesNotExist:
            raise Refusal(self.lacks(f"queue {name}")) from None

    def lacks(self, what: str) -> str:
        """Return what to say where something is not deployed."""
        if not self.name:
            return f"the shim has no {what}: start it anew by 'make shim'"
        told = f"there is no {what}: 'make deploy ENV={self.name}' makes it"
        if self.name == "local":
            told += "; without ENV this word takes what the shim has by itself"
        return told


def sentence(error: BaseException, name: str) -> str:
    """Return what to say of an error of AWS or of boto3, with the remedy.

    Args:
        error: the error.
        name: of the environment; empty for what the shim made.
    """
    file = f"config/secrets-{name}.env"
    if isinstance(error, ClientError):
        found = error.response["Error"]
        code = str(found.get("Code", "")).rpartition(".")[2]
        if code in EXPIRED:
            return (
                f"The credentials for ENV={name} have expired: log in anew, or put new "
                f"ones into {file}."
            )
        if code in UNKNOWN:
            return (
                f"AWS does not accept the credentials for ENV={name} ({code}): mend "
                f"those of the shell, or of {file}."
            )
        return f"AWS refuses {error.operation_name}: {found.get('Message') or code}"
    if isinstance(error, HTTPClientError | ConnectionError):
        if name in ("", "local"):
            return "The shim does not answer: start it anew by 'make shim'."
        return f"AWS cannot be reached from here: {error}"
    if isinstance(error, SSOError | TokenRetrievalError):
        return f"The login for ENV={name} has ended: log in anew by 'aws sso login'."
    if isinstance(error, NoCredentialsError | ProfileNotFound):
        return (
            f"There are no credentials for ENV={name}: name a profile or keys in the "
            f"shell or in {file}, as config/secrets-example.env explains."
        )
    return f"AWS cannot be asked: {error}"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{message}\n")  # make's words are no command lines to explain


def parser(description: str | None, *words: str) -> argparse.ArgumentParser:
    """Return a parser of what all words take.

    Args:
        description: what the program does.
        words: what it can do, if there is a choice.
    """
    result = _Parser(description=description)
    if words:
        result.add_argument("word", choices=words)
    result.add_argument("--project", required=True)
    result.add_argument("--environment", default="")
    return result


def answer(
    options: argparse.Namespace, act: Callable[[Place, argparse.Namespace], int]
) -> int:
    """Act in the environment that the options name; return the exit code.

    What goes wrong is said in a sentence.
    """
    try:
        return act(Place(options.project, options.environment), options)
    except Refusal as error:
        told = f"{str(error)[0].upper()}{str(error)[1:]}."
    except (BotoCoreError, ClientError) as error:
        told = sentence(error, options.environment)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever reads has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    print(told, file=sys.stderr)
    return 1


def identify(place: Place, _: argparse.Namespace) -> int:
    """Print whose credentials the environment has; return 0."""
    found = place.client("sts").get_caller_identity()
    print(f"{found['Arn']} of account {found['Account']}")
    return 0


if __name__ == "__main__":
    sys.exit(answer(parser(__doc__).parse_args(), identify))
