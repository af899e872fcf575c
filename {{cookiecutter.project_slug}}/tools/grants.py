"""The IAM statements that follow from what `config/deploy.yml` declares.

They are plain JSON, the same for Terraform, CDK and the shim. Their ARNs hold the
placeholders `{partition}`, `{region}` and `{account}`, which each of these replaces.
A `Sid` says which declaration grants the statement.
"""

from collections.abc import Iterable, Mapping
from typing import Any

Statement = dict[str, Any]

PARTITION, REGION, ACCOUNT = "{partition}", "{region}", "{account}"

RECEIVE = (
    *("sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
    *("sqs:GetQueueUrl", "sqs:ReceiveMessage"),
)
SEND = ("sqs:GetQueueUrl", "sqs:SendMessage")
READ = ("s3:GetObject", "s3:GetObjectVersion")
WRITE = ("s3:AbortMultipartUpload", "s3:PutObject")
BATCHES = {
    "sqs:ChangeMessageVisibility": "sqs:ChangeMessageVisibilityBatch",
    "sqs:DeleteMessage": "sqs:DeleteMessageBatch",
    "sqs:SendMessage": "sqs:SendMessageBatch",
    "sns:Publish": "sns:PublishBatch",
}
GET_SECRET = ("secretsmanager:GetSecretValue",)


def make_arn(service: str, resource: str) -> str:
    """Return the ARN of a resource in the region and account of the deployment."""
    return f"arn:{PARTITION}:{service}:{REGION}:{ACCOUNT}:{resource}"


def list_statements(
    function: Mapping[str, Any], bucket: str, queues: Mapping[str, str]
) -> list[Statement]:
    """Return what a function's code may do, as a Lambda and in a container.

    Args:
        function: the function's settings, with `queue` and `key_pattern`, see
            `function_specs.resolve`.
        bucket: name of the bucket.
        queues: name of each function's queue.
    """
    bucket_arn = f"arn:{PARTITION}:s3:::{bucket}"
    readable = [f"{prefix}*" for prefix in function["reads"]]
    if function["trigger"] == "bucket":
        readable.insert(0, function["key_pattern"])
    written = [f"{prefix}*" for prefix in function["writes"]]
    receivers = [make_arn("sqs", queues[name]) for name in function["sends_to"]]
    # Secrets Manager appends a hyphen and six characters to a secret's name
    secrets = [
        make_arn("secretsmanager", f"secret:{name}-??????")
        for name in function["secrets"].values()
    ]
    found = [
        _allow("ReceiveMessages", RECEIVE, [make_arn("sqs", function["queue"])]),
        _allow("ReadObjects", READ, [f"{bucket_arn}/{each}" for each in readable]),
        # without it, S3 reports a missing object as 403 instead of 404
        _allow("ListBucket", ["s3:ListBucket"], [bucket_arn] if readable else []),
        _allow("WriteObjects", WRITE, [f"{bucket_arn}/{each}" for each in written]),
        _allow("SendMessages", SEND, receivers),
        _allow("ReadSecrets", GET_SECRET, secrets),
    ]
    found += [
        _allow(f"Allow{number}", each["actions"], each["resources"])
        for number, each in enumerate(function["allow"], 1)
    ]
    return [statement for statement in found if statement["Resource"]]


def allow_batches(statements: Iterable[Statement]) -> list[Statement]:
    """Return statements for the shim's emulator, which has actions for batches.

    On AWS the action for one message allows batches, too.
    """
    return [
        {
            **each,
            "Action": [
                *each["Action"],
                *(BATCHES[action] for action in each["Action"] if action in BATCHES),
            ],
        }
        for each in statements
    ]


def list_senders(
    function: Mapping[str, Any], name: str, prefix: str
) -> list[Statement]:
    """Return which services of AWS may send to a function's queue: its policy.

    Other functions, and schedules, send with the rights of their own roles.

    Args:
        function: the function's settings, with `queue` and `topic_arn`.
        name: of the function.
        prefix: first part of the names in the environment.
    """
    sources = {
        "bucket": ("events", make_arn("events", f"rule/{prefix}{name}")),
        "topic": ("sns", function["topic_arn"]),
    }
    if function["trigger"] not in sources:
        return []
    service, source = sources[function["trigger"]]
    statement = _allow(
        "OnlyTheTriggerSends", ["sqs:SendMessage"], [make_arn("sqs", function["queue"])]
    )
    statement["Principal"] = {"Service": f"{service}.amazonaws.com"}
    statement["Condition"] = {"ArnEquals": {"aws:SourceArn": source}}
    return [statement]


def list_schedule_statements(functions: Iterable[Mapping[str, Any]]) -> list[Statement]:
    """Return what EventBridge Scheduler may do: send to the functions with a schedule.

    Args:
        functions: the settings of all functions, with `queue`.
    """
    queues = [
        make_arn("sqs", each["queue"])
        for each in functions
        if each["trigger"] == "schedule"
    ]
    return [_allow("SendToQueues", ["sqs:SendMessage"], queues)] if queues else []


def _allow(sid: str, actions: Iterable[str], resources: list[str]) -> Statement:
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": resources,
    }
