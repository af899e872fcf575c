"""Creates the bucket and the functions' queues that the shim has from the start.

Each function has a queue with a dead-letter queue, and an object created below
`<function>/` in the bucket becomes a message. The module needs nothing else of the
project, because Compose runs it inside the emulator's container.
"""

import json
import os
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]  # in the container this is /
SAMPLE = ROOT / "tests" / "data" / "sanity.csv"
BUCKET = "raw"
MAX_RECEIVES = 3
# Needed where the emulator enforces IAM.
S3_MAY_SEND = {
    "Effect": "Allow",
    "Principal": {"Service": "s3.amazonaws.com"},
    "Action": "sqs:SendMessage",
    "Resource": "*",
}


def create_missing(s3: Any, sqs: Any, region: str) -> list[str]:
    """Create the bucket and the queues that do not exist yet.

    Args:
        s3: client of S3, from boto3 or botocore.
        sqs: client of SQS.
        region: AWS region of the bucket.

    Returns:
        The names of the bucket and of the queues that were created.
    """
    created = []
    if BUCKET not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        create_bucket(s3, region)
        created.append(BUCKET)
    urls = sqs.list_queues().get("QueueUrls", [])
    existing = {url.rpartition("/")[2] for url in urls}
    functions = sorted(path.stem for path in (ROOT / "src/func").glob("[!_]*.py"))
    new = [name for name in functions if f"{name}-pending" not in existing]
    for function in new:
        # before there are notifications: `make invoke` reads it, no message is sent
        key = f"{function}/{SAMPLE.name}"
        s3.put_object(Bucket=BUCKET, Key=key, Body=SAMPLE.read_bytes())
        create_function_queues(sqs, function)
        created += [f"{function}-pending", f"{function}-dead-letter"]
    if new:
        s3.put_bucket_notification_configuration(
            Bucket=BUCKET,
            NotificationConfiguration={
                "QueueConfigurations": [notification(sqs, name) for name in functions]
            },
            # otherwise S3 sends a test message to the functions' queues once more
            SkipDestinationValidation=new != functions,
        )
    return created


def create_bucket(s3: Any, region: str) -> None:
    """Create the bucket, with versioning."""
    # S3 refuses its default region as a constraint.
    elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=BUCKET, **(elsewhere if region != "us-east-1" else {}))
    versioning = {"Status": "Enabled"}
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration=versioning)


def create_function_queues(sqs: Any, function: str) -> None:
    """Create a function's queue and its dead-letter queue."""
    dead = create_queue(sqs, f"{function}-dead-letter", {})
    redrive = {"deadLetterTargetArn": dead, "maxReceiveCount": MAX_RECEIVES}
    policy = {"Version": "2012-10-17", "Statement": [S3_MAY_SEND]}
    attributes = {"RedrivePolicy": json.dumps(redrive), "Policy": json.dumps(policy)}
    create_queue(sqs, f"{function}-pending", attributes)


def create_queue(sqs: Any, name: str, attributes: dict[str, str]) -> str:
    """Create a queue; return its ARN."""
    return queue_arn(
        sqs, sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    )


def queue_arn(sqs: Any, url: str) -> str:
    """Return the ARN of a queue."""
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return str(found["Attributes"]["QueueArn"])


def notification(sqs: Any, function: str) -> dict[str, Any]:
    """Return the notification that sends new objects to a function's queue."""
    url = sqs.get_queue_url(QueueName=f"{function}-pending")["QueueUrl"]
    rule = {"Name": "prefix", "Value": f"{function}/"}
    return {
        "Id": function,
        "QueueArn": queue_arn(sqs, url),
        "Events": ["s3:ObjectCreated:*"],
        "Filter": {"Key": {"FilterRules": [rule]}},
    }


def main() -> None:
    """Create what is missing in the emulator that the environment names."""
    import botocore.session  # here, since other users bring their clients

    session = botocore.session.get_session()
    region = os.environ["AWS_DEFAULT_REGION"]
    s3, sqs = (session.create_client(name, region) for name in ("s3", "sqs"))
    create_missing(s3, sqs, region)


if __name__ == "__main__":
    main()
