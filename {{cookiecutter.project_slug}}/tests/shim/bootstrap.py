"""Creates the shim's own resources, which `config/deploy.yml` declares.

These are the bucket with a rule of EventBridge for each function that objects trigger,
a queue and a dead-letter queue for each function, topics with their subscriptions, and
the secrets that functions declare. Schedules are left out: `make send` sends what a
schedule would send.

Compose runs this module inside the emulator's container, so it needs no more than the
emulator itself does, and the files of the project that Compose mounts.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]  # in the container this is /
SAMPLE = ROOT / "tests" / "data" / "sanity.csv"
BUCKET = "raw"
ACCOUNT = "000000000000"
MAX_RECEIVES = 3
SECRET = "shim"  # the value of each secret, unless you give one
TARGET = "queue"  # the target of each rule
PLACEHOLDERS = {"{partition}": "aws", "{account}": ACCOUNT}
# The emulator's events lack the object's version. Without the ETag too, functions take
# the current version, as those do on AWS that read an object soon enough. With it, a
# file that you put again would count as processed.
EVENT_FIELDS = {
    "time": "$.time",
    "bucket": "$.detail.bucket",
    "key": "$.detail.object.key",
    "size": "$.detail.object.size",
}
EVENT = (
    '{"source": "aws.s3", "detail-type": "Object Created", "time": <time>,'
    ' "detail": {"bucket": <bucket>, "object": {"key": <key>, "size": <size>}}}'
)

MakeClient = Callable[[str], Any]
Spec = Mapping[str, Any]


def fill_in(spec: Spec, region: str) -> dict[str, Any]:
    """Return a specification of functions with the shim's region and account.

    Args:
        spec: see `tools.function_specs.resolve`.
        region: AWS region of the shim.
    """
    text = json.dumps(spec)
    for placeholder, value in (PLACEHOLDERS | {"{region}": region}).items():
        text = text.replace(placeholder, value)
    return dict(json.loads(text))


def create_all(spec: Spec, client: MakeClient, region: str) -> None:
    """Create or update everything that a specification asks for.

    It may be repeated, as after a change of `config/deploy.yml`.

    Args:
        spec: see `fill_in`.
        client: makes a client of a service, with boto3 or botocore.
        region: AWS region of the bucket.
    """
    create_bucket(spec["bucket"], client("s3"), region)
    for function in spec["functions"].values():
        create_queues(function, client("sqs"))
    rules = {rule["Name"] for rule in client("events").list_rules()["Rules"]}
    for name, function in spec["functions"].items():
        rule = f"{spec['prefix']}{name}"
        if function["trigger"] == "bucket":
            if rule not in rules:  # so that it receives no message for the sample
                put_sample(spec["bucket"], function["prefix"], client("s3"))
            connect_bucket(rule, function, spec["bucket"], client)
        elif rule in rules:
            disconnect_bucket(rule, client("events"))
    for topic in spec["topics"].values():
        create_topic(topic, client("sns"))
    for function in spec["functions"].values():
        if function["topic_arn"] and not function["topic"].startswith("arn:"):
            subscribe(function, client)


def create_bucket(name: str, s3: Any, region: str) -> None:
    """Create the bucket, with versioning and events for EventBridge."""
    if name in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        return
    # S3 refuses its default region as a constraint.
    elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=name, **(elsewhere if region != "us-east-1" else {}))
    versioning = {"Status": "Enabled"}
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=versioning)
    s3.put_bucket_notification_configuration(
        Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )


def create_queues(function: Spec, sqs: Any) -> None:
    """Create a function's queue and its dead-letter queue, or update who may send."""
    dead = queue_arn(create_queue(function["dead_letter"], sqs), sqs)
    redrive = {"deadLetterTargetArn": dead, "maxReceiveCount": MAX_RECEIVES}
    policy = {"Version": "2012-10-17", "Statement": function["queue_statements"]}
    attributes = {
        "RedrivePolicy": json.dumps(redrive),
        "Policy": json.dumps(policy) if policy["Statement"] else "",
    }
    url = create_queue(function["queue"], sqs)
    sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)


def create_queue(name: str, sqs: Any) -> str:
    """Create a queue unless it exists; return its URL."""
    try:
        return str(sqs.get_queue_url(QueueName=name)["QueueUrl"])
    except sqs.exceptions.QueueDoesNotExist:
        is_fifo = name.endswith(".fifo")
        fifo = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
        attributes = fifo if is_fifo else {}
        return str(sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])


def queue_arn(url: str, sqs: Any) -> str:
    """Return the ARN of a queue."""
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return str(found["Attributes"]["QueueArn"])


def create_secrets(names: Iterable[str], secrets: Any) -> None:
    """Create secrets, unless they exist."""
    for name in names:
        with suppress(secrets.exceptions.ResourceExistsException):
            secrets.create_secret(Name=name, SecretString=SECRET)


def create_topic(topic: Spec, sns: Any) -> None:
    """Create a topic of the project; this does nothing if it exists."""
    fifo = {"FifoTopic": "true", "ContentBasedDeduplication": "true"}
    sns.create_topic(Name=topic["name"], Attributes=fifo if topic["fifo"] else {})


def subscribe(function: Spec, client: MakeClient) -> None:
    """Subscribe a function's queue to its topic; this does nothing if it is."""
    sns, sqs = client("sns"), client("sqs")
    sns.subscribe(
        TopicArn=function["topic_arn"],
        Protocol="sqs",
        Endpoint=queue_arn(create_queue(function["queue"], sqs), sqs),
        Attributes={"RawMessageDelivery": "true"},
    )


def put_sample(bucket: str, prefix: str, s3: Any) -> None:
    """Put the sample below a prefix, for `make invoke`, unless it is there."""
    key = f"{prefix}{SAMPLE.name}"
    if not s3.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents"):
        s3.put_object(Bucket=bucket, Key=key, Body=SAMPLE.read_bytes())


def connect_bucket(rule: str, function: Spec, bucket: str, client: MakeClient) -> None:
    """Let EventBridge send new objects to a function's queue.

    Args:
        rule: name of the rule.
        function: the function's settings.
        bucket: name of the bucket.
        client: makes a client of a service.
    """
    events, sqs = client("events"), client("sqs")
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {
            "bucket": {"name": [bucket]},
            "object": {"key": [{"wildcard": function["key_pattern"]}]},
        },
    }
    events.put_rule(Name=rule, EventPattern=json.dumps(pattern))
    target = {
        "Id": TARGET,
        "Arn": queue_arn(create_queue(function["queue"], sqs), sqs),
        "InputTransformer": {"InputPathsMap": EVENT_FIELDS, "InputTemplate": EVENT},
    }
    events.put_targets(Rule=rule, Targets=[target])


def disconnect_bucket(rule: str, events: Any) -> None:
    """Remove the rule of a function whose trigger is no longer the bucket."""
    events.remove_targets(Rule=rule, Ids=[TARGET])
    events.delete_rule(Name=rule)


def main() -> int:
    """Create everything in the emulator that the environment names; return 0."""
    sys.path[0] = str(ROOT)
    import botocore.session  # here, since other users bring their clients

    from tools import function_specs
    from tools.errors import UserError

    region = os.environ["AWS_DEFAULT_REGION"]
    client = partial(botocore.session.get_session().create_client, region_name=region)
    try:
        create_all(fill_in(function_specs.resolve(""), region), client, region)
        names = [name for _, name in function_specs.list_local_secrets()]
        create_secrets(names, client("secretsmanager"))
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
