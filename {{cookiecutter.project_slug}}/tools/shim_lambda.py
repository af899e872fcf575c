"""Deploys a built function into the shim, as a Lambda behind its queue."""

import argparse
import os
from contextlib import suppress
from pathlib import Path

import boto3

FUNCTION = "worker"
PASSED_ON = ("DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASS", "DB_TLS")


def deploy(build: Path, queue: str, name: str = FUNCTION, **settings: str) -> None:
    """Publish the layer, make the function, and map the queue to it.

    Args:
        build: folder with the zips of layer and function.
        queue: its name.
        name: what the Lambda is called.
        settings: more of the function's environment.
    """
    client, sqs = boto3.client("lambda"), boto3.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    layer = client.publish_layer_version(
        LayerName=name, Content={"ZipFile": (build / "layer/local.zip").read_bytes()}
    )
    variables = {name: os.environ[name] for name in PASSED_ON} | settings
    client.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role="arn:aws:iam::000000000000:role/worker",
        Handler="lambda_wrapper.handler",
        Code={"ZipFile": (build / f"lambda/{FUNCTION}.zip").read_bytes()},
        Layers=[layer["LayerVersionArn"]],
        Timeout=30,
        Environment={"Variables": variables},
    )
    client.create_event_source_mapping(
        FunctionName=name,
        EventSourceArn=found["Attributes"]["QueueArn"],
        BatchSize=10,
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )


def remove(name: str = FUNCTION) -> None:
    """Take mapping, function and logs away."""
    client = boto3.client("lambda")
    found = client.list_event_source_mappings(FunctionName=name)
    for mapping in found["EventSourceMappings"]:
        client.delete_event_source_mapping(UUID=mapping["UUID"])
    client.delete_function(FunctionName=name)
    logs = boto3.client("logs")
    with suppress(logs.exceptions.ResourceNotFoundException):  # it has never run
        logs.delete_log_group(logGroupName=f"/aws/lambda/{name}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path, nargs="?")
    parser.add_argument("--remove", action="store_true")
    options = parser.parse_args()
    if options.remove:
        remove()
    else:
        deploy(options.build, f"{FUNCTION}-pending")
