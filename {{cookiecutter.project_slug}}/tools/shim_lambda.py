"""Run a built function in the shim as a Lambda that is fed by a queue."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from tools import deploy_config
from tools.deploy_config import Config
from tools.environment import client

TIMEOUT_SECONDS = 60
NO_MESSAGES = b'{"Records": []}'
PROCESSES = 2  # of a Lambda, that the saved events keep busy
POLICY = "function"
LAMBDA_MAY_ASSUME = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


@contextmanager
def deployed(
    name: str,
    function_zip: Path,
    layer_zip: Path,
    queue_arn: str,
    statements: Sequence[Any],
    variables: Mapping[str, str],
) -> Iterator[None]:
    """Deploy a Lambda for the length of a `with` block, then remove it and its logs.

    Args:
        name: of the Lambda, of its layer and of its role.
        function_zip: what `make build` made of the function.
        layer_zip: what it made of the layer.
        queue_arn: the queue that feeds it.
        statements: what its role allows.
        variables: its environment variables.
    """
    remove(name)  # of a run that was killed
    iam, lambdas = client("iam"), client("lambda")
    role = iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps(LAMBDA_MAY_ASSUME)
    )["Role"]
    policy = {"Version": "2012-10-17", "Statement": list(statements)}
    iam.put_role_policy(
        RoleName=name, PolicyName=POLICY, PolicyDocument=json.dumps(policy)
    )
    layer = lambdas.publish_layer_version(
        LayerName=name, Content={"ZipFile": layer_zip.read_bytes()}
    )
    lambdas.create_function(
        FunctionName=name,
        Runtime=f"python{deploy_config.load()['python']}",
        Role=role["Arn"],
        Handler="lambda_wrapper.handler",
        Code={"ZipFile": function_zip.read_bytes()},
        Layers=[layer["LayerVersionArn"]],
        Timeout=TIMEOUT_SECONDS,
        Environment={"Variables": dict(variables)},
    )
    # its first start takes long, and messages must not become visible again meanwhile
    lambdas.invoke(FunctionName=name, Payload=NO_MESSAGES)
    lambdas.create_event_source_mapping(
        FunctionName=name,
        EventSourceArn=queue_arn,
        BatchSize=10,
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )
    try:
        yield
    finally:
        remove(name)


def pass_on_log(name: str) -> None:
    """Let the emulator pass on a Lambda's last lines.

    A line that comes after the end of an invocation waits for the next one of the same
    process, of which there may be several.
    """
    invoke = partial(client("lambda").invoke, FunctionName=name, Payload=NO_MESSAGES)
    with ThreadPoolExecutor(PROCESSES) as pool:
        for future in [pool.submit(invoke) for _ in range(PROCESSES)]:
            future.result()


def remove(name: str) -> None:
    """Remove what `deployed` has created, as far as it exists."""
    iam, lambdas, logs = client("iam"), client("lambda"), client("logs")
    mappings = lambdas.list_event_source_mappings()["EventSourceMappings"]
    for mapping in mappings:
        if mapping["FunctionArn"].endswith(f":{name}"):
            lambdas.delete_event_source_mapping(UUID=mapping["UUID"])
    with suppress(lambdas.exceptions.ResourceNotFoundException):
        lambdas.delete_function(FunctionName=name)
    with suppress(iam.exceptions.NoSuchEntityException):
        iam.delete_role_policy(RoleName=name, PolicyName=POLICY)
    with suppress(iam.exceptions.NoSuchEntityException):
        iam.delete_role(RoleName=name)
    with suppress(logs.exceptions.ResourceNotFoundException):
        logs.delete_log_group(logGroupName=f"/aws/lambda/{name}")


def database_variables(function: Config) -> dict[str, str]:
    """Return the variables of the shim's database; none for a function without one."""
    if not function["database"]:
        return {}
    return {name: os.environ[name] for name in deploy_config.DATABASE_VARIABLES}
