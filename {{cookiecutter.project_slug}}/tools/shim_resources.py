"""Keep the shim's own resources up to date with `config/deploy.yml`."""

import os
from functools import cache

from botocore.exceptions import ClientError
from dotenv import dotenv_values

from tests.shim import bootstrap
from tools import debugging, function_specs
from tools.deploy_config import Config
from tools.environment import client
from tools.errors import UserError
from tools.project import ROOT

VISIBILITY_SECONDS = 30  # SQS's default
SECRETS_FILE = ROOT / "config" / "secrets-local.env"


@cache
def update() -> Config:
    """Create what functions have declared since the shim started; return their specs.

    The process's variables are those of the shim, see `tools.environment.enter`.

    Returns:
        The specification of all functions, see `function_specs.resolve`, with the
        shim's region and account.

    Raises:
        UserError: `config/deploy.yml` is wrong, or asks for an impossible change.
    """
    region = os.environ["AWS_REGION"]
    spec = bootstrap.fill_in(function_specs.resolve(""), region)
    try:
        bootstrap.create_all(spec, client, region)
    except ClientError as error:
        raise UserError(
            f"the shim cannot be brought up to date with config/deploy.yml ({error}): "
            "restart it with 'make shim'"
        ) from None
    put_secrets()
    return spec


def enter_function(func: str) -> Config:
    """Bring the shim up to date, and set a function's variables in this process.

    A variable that your shell sets overrides the function's own.

    Returns:
        The function's specification.

    Raises:
        UserError: see `update`.
    """
    function: Config = update()["functions"][func]
    for name, value in function["variables"].items():
        os.environ.setdefault(name, value)
    # of another environment, your shell's would lead messages there
    os.environ["SEND_QUEUES"] = function["variables"].get("SEND_QUEUES", "")
    for variable in function["secrets"]:  # its value is in the secret
        os.environ.pop(variable, None)
    return function


def set_visibility(queue: str, is_debugged: bool) -> None:
    """Let messages of a queue stay at a breakpoint, or set SQS's default again.

    A visibility timeout that you have set yourself remains.
    """
    sqs, name = client("sqs"), "VisibilityTimeout"
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    debugged = str(debugging.VISIBILITY_SECONDS)
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"]
    if is_debugged or found[name] == debugged:
        seconds = debugged if is_debugged else str(VISIBILITY_SECONDS)
        sqs.set_queue_attributes(QueueUrl=url, Attributes={name: seconds})


def put_secrets() -> None:
    """Create the secrets that functions declare, with the values that you have set.

    They come from `config/secrets-local.env` or your shell, by the names of the
    variables that functions declare.
    """
    given = {**os.environ, **dotenv_values(SECRETS_FILE, interpolate=False)}
    secrets = client("secretsmanager")
    for variable, name in function_specs.list_local_secrets():
        bootstrap.create_secrets([name], secrets)
        if value := given.get(variable):
            secrets.put_secret_value(SecretId=name, SecretString=value)
