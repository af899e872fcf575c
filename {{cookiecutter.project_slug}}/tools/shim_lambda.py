"""Run a built function in the shim as a Lambda that is fed by a queue."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tools import deploy_config
from tools.environment import client

TIMEOUT_SECONDS = 30


@contextmanager
def deployed(
    name: str, function_zip: Path, layer_zip: Path, queue_arn: str, **settings: str
) -> Iterator[None]:
    """Deploy a Lambda for the length of a `with` block, then remove it and its logs.

    Args:
        name: of the Lambda and of its layer.
        function_zip: what `make build` made of the function.
        layer_zip: what it made of the layer.
        queue_arn: the queue that feeds it.
        settings: more environment variables of the function.
    """
    lambdas = client("lambda")
    create(lambdas, name, function_zip, layer_zip, settings)
    mapping = lambdas.create_event_source_mapping(
        FunctionName=name,
        EventSourceArn=queue_arn,
        BatchSize=10,
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )
    try:
        yield
    finally:
        lambdas.delete_event_source_mapping(UUID=mapping["UUID"])
        lambdas.delete_function(FunctionName=name)
        logs = client("logs")
        with suppress(logs.exceptions.ResourceNotFoundException):  # it never ran
            logs.delete_log_group(logGroupName=f"/aws/lambda/{name}")


def create(
    lambdas: Any,
    name: str,
    function_zip: Path,
    layer_zip: Path,
    settings: dict[str, str],
) -> None:
    """Publish the layer and create the Lambda."""
    layer = lambdas.publish_layer_version(
        LayerName=name, Content={"ZipFile": layer_zip.read_bytes()}
    )
    names = deploy_config.DATABASE_VARIABLES
    database = {variable: os.environ[variable] for variable in names}
    lambdas.create_function(
        FunctionName=name,
        Runtime=f"python{deploy_config.load()['python']}",
        Role=f"arn:aws:iam::000000000000:role/{name}",
        Handler="lambda_wrapper.handler",
        Code={"ZipFile": function_zip.read_bytes()},
        Layers=[layer["LayerVersionArn"]],
        Timeout=TIMEOUT_SECONDS,
        Environment={"Variables": database | settings},
    )
