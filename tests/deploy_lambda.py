"""Deploys a built function into the shim, as a Lambda behind its queue."""

import argparse
import os
from pathlib import Path
from typing import Any

import boto3

NAME = "worker"
PASSED_ON = ("DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASS", "DB_TLS")


def deploy(build: Path, client: Any, queue: str) -> None:
    """Publish the layer, make the function, and map the queue to it."""
    layer = client.publish_layer_version(
        LayerName=NAME, Content={"ZipFile": (build / "layer/local.zip").read_bytes()}
    )
    client.create_function(
        FunctionName=NAME,
        Runtime="python3.13",
        Role="arn:aws:iam::000000000000:role/worker",
        Handler="lambda_wrapper.handler",
        Code={"ZipFile": (build / f"lambda/{NAME}.zip").read_bytes()},
        Layers=[layer["LayerVersionArn"]],
        Timeout=30,
        Environment={"Variables": {name: os.environ[name] for name in PASSED_ON}},
    )
    client.create_event_source_mapping(
        FunctionName=NAME,
        EventSourceArn=queue,
        BatchSize=10,
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )


def remove(client: Any) -> None:
    """Take mapping and function away."""
    for mapping in client.list_event_source_mappings(FunctionName=NAME)[
        "EventSourceMappings"
    ]:
        client.delete_event_source_mapping(UUID=mapping["UUID"])
    client.delete_function(FunctionName=NAME)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path, nargs="?")
    parser.add_argument("--remove", action="store_true")
    options = parser.parse_args()
    if options.remove:
        remove(boto3.client("lambda"))
    else:
        sqs = boto3.client("sqs")
        url = sqs.get_queue_url(QueueName=f"{NAME}-pending")["QueueUrl"]
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        deploy(options.build, boto3.client("lambda"), found["Attributes"]["QueueArn"])
