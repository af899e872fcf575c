"""Makes what the shim's S3 and SQS hold from the start.

A bucket, and for each function a queue with its dead-letter queue, so that an object
below `<function>/` becomes a message. Run again, it adds what functions need that have
come since. It needs botocore only, and runs by itself in the emulator's container too.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import botocore.session
from botocore.exceptions import EndpointConnectionError, HTTPClientError

BUCKET = "raw"
FUNCTIONS = Path(os.environ.get("FUNCTIONS", "src/func"))
SAMPLE = Path(os.environ.get("SAMPLE", "tests/data/sanity.csv"))
MAX_RECEIVES = 3
# Where IAM is enforced, S3 sends to no queue that does not let it.
S3_SENDS = {
    "Effect": "Allow",
    "Principal": {"Service": "s3.amazonaws.com"},
    "Action": "sqs:SendMessage",
    "Resource": "*",
}


def main() -> None:
    """Make bucket, queues and notifications; the environment says where."""
    session = botocore.session.get_session()
    region = os.environ["AWS_DEFAULT_REGION"]
    s3, sqs = (session.create_client(name, region) for name in ("s3", "sqs"))
    if BUCKET not in [each["Name"] for each in s3.list_buckets()["Buckets"]]:
        make_bucket(s3, region)
    functions = names()
    queues = [url.rpartition("/")[2] for url in sqs.list_queues().get("QueueUrls", [])]
    new = [name for name in functions if f"{name}-pending" not in queues]
    if not new:
        return  # else S3 would send a test message to each queue again
    for function in new:  # before there are notifications: for `make invoke`
        key = f"{function}/{SAMPLE.name}"
        s3.put_object(Bucket=BUCKET, Key=key, Body=SAMPLE.read_bytes())
    s3.put_bucket_notification_configuration(
        Bucket=BUCKET,
        NotificationConfiguration={
            "QueueConfigurations": [notification(sqs, name) for name in functions]
        },
    )


def names() -> list[str]:
    """Return the names of the functions."""
    return [path.stem for path in FUNCTIONS.glob("[!_]*.py")]


def make_bucket(s3: Any, region: str) -> None:
    """Make the bucket; it keeps versions."""
    # S3 refuses to be told its default region
    elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=BUCKET, **(elsewhere if region != "us-east-1" else {}))
    s3.put_bucket_versioning(
        Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"}
    )


def notification(sqs: Any, function: str) -> dict[str, Any]:
    """Make a function's queues; return the notification that feeds them."""
    dead = queue(sqs, f"{function}-dead-letter", {})
    attributes = {
        "RedrivePolicy": {"deadLetterTargetArn": dead, "maxReceiveCount": MAX_RECEIVES},
        "Policy": {"Version": "2012-10-17", "Statement": [S3_SENDS]},
    }
    written = {name: json.dumps(value) for name, value in attributes.items()}
    return {
        "Id": function,
        "QueueArn": queue(sqs, f"{function}-pending", written),
        "Events": ["s3:ObjectCreated:*"],
        "Filter": {
            "Key": {"FilterRules": [{"Name": "prefix", "Value": f"{function}/"}]}
        },
    }


def queue(sqs: Any, name: str, attributes: dict[str, str]) -> str:
    """Make a queue; return its ARN."""
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return str(found["Attributes"]["QueueArn"])


if __name__ == "__main__":
    try:
        main()
    except (EndpointConnectionError, HTTPClientError):
        sys.exit("The shim does not answer: start it anew by 'make shim'.")
