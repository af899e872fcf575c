"""The IAM statements that follow from what `config/deploy.yml` declares.

They are plain JSON, the same for Terraform, CDK and the shim. Their ARNs hold the
placeholders `{partition}`, `{region}` and `{account}`, which each of these replaces.
A `Sid` says which declaration grants the statement.
"""

from collections.abc import Iterable, Mapping
from typing import Any

Statement = dict[str, Any]

PARTITION, REGION, ACCOUNT = "{partition}", "{region}", "{account}"
LIVE = "live"  # the alias that a function's queue feeds

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
# Endpoints that may have a policy, of those often needed. Others keep AWS's own.
# https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-privatelink-support.html
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html
WITH_ENDPOINT_POLICY = {
    *("athena", "dynamodb", "ecr.api", "ecr.dkr", "events", "glue"),
    *("kinesis-firehose", "kinesis-streams", "kms", "lambda", "logs", "monitoring"),
    *("s3", "secretsmanager", "sns", "sqs", "ssm", "states", "sts"),
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


def list_endpoint_statements(
    service: str, functions: Iterable[Mapping[str, Any]], bucket: str
) -> list[Statement]:
    """Return the policy of an endpoint: what may be called through it, and by whom.

    It is an outer limit, within which each function's role allows exact actions. Only
    S3 has resources in it, since all of the world's buckets are behind its endpoint.

    Args:
        service: the last part of the endpoint's name.
        functions: the settings of all functions.
        bucket: name of the bucket.

    Returns:
        Statements; none for AWS's own policy, which allows everything.
    """
    functions = list(functions)
    if service not in WITH_ENDPOINT_POLICY:
        return []
    if service != "s3":
        return [_limit("ThisAccount", ["*"], ["*"])]
    arn = f"arn:{PARTITION}:s3:::{bucket}"
    found = [_limit("ProjectBucket", ["s3:*"], [arn, f"{arn}/*"])]
    for each in (each for function in functions for each in function["allow"]):
        actions = [action for action in each["actions"] if action.startswith("s3:")]
        statement = _limit(f"Allow{len(found)}", actions, each["resources"])
        known = [(other["Action"], other["Resource"]) for other in found]
        if actions and (actions, each["resources"]) not in known:
            found.append(statement)
    if any(each["runtime"] == "container" for each in functions):
        # requests for layers are signed by ECR, and not by a role of this account
        layers = f"arn:{PARTITION}:s3:::prod-{REGION}-starport-layer-bucket/*"
        found.append(
            _allow("ImageLayers", ["s3:GetObject"], [layers]) | {"Principal": "*"}
        )
    return found


def allow_password(secret: str) -> Statement:
    """Return the statement that allows to read the secret of the database.

    Args:
        secret: its name or ARN.
    """
    arn = make_arn("secretsmanager", f"secret:{secret}-??????")
    return _allow(
        "ReadPassword", GET_SECRET, [secret if secret.startswith("arn:") else arn]
    )


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


def list_notifiers(topic: str, prefix: str) -> list[Statement]:
    """Return who may publish to the topic for alarms, and how: its policy.

    These are the environment's alarms, and the account's budgets. See
    https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-sns-policy.html

    Args:
        topic: ARN of the topic.
        prefix: first part of the alarms' names.
    """
    alarms = make_arn("cloudwatch", f"alarm:{prefix}*")
    budgets = f"arn:{PARTITION}:budgets::{ACCOUNT}:*"
    found = []
    for service, source in (("cloudwatch", alarms), ("budgets", budgets)):
        statement = _allow(f"Let{service.title()}Notify", ["sns:Publish"], [topic])
        statement["Principal"] = {"Service": f"{service}.amazonaws.com"}
        statement["Condition"] = {
            "ArnLike": {"aws:SourceArn": source},
            "StringEquals": {"aws:SourceAccount": ACCOUNT},
        }
        found.append(statement)
    require_tls = _allow("RequireTls", ["sns:Publish"], [topic])
    require_tls |= {"Effect": "Deny", "Principal": "*"}
    require_tls["Condition"] = {"Bool": {"aws:SecureTransport": "false"}}
    return [*found, require_tls]


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


def list_release_statements(
    functions: Mapping[str, Mapping[str, Any]], prefix: str
) -> list[Statement]:
    """Return what CodeDeploy may do: shift aliases, and look at alarms meanwhile.

    These are the rights of AWS's policy `AWSCodeDeployRoleForLambdaLimited`, without
    those for revisions in S3 and for hooks, which releases do not have.

    Args:
        functions: settings of each function.
        prefix: first part of the names in the environment.
    """
    lambdas = [
        make_arn("lambda", f"function:{prefix}{name}")
        for name, each in functions.items()
        if "release" in each
    ]
    aliases = [f"{each}:{LIVE}" for each in lambdas]
    if not lambdas:
        return []
    return [
        _allow("ShiftAliases", ["lambda:GetAlias", "lambda:UpdateAlias"], lambdas),
        _allow("ReadConcurrency", ["lambda:GetProvisionedConcurrencyConfig"], aliases),
        # an alarm's name would leave out composite alarms, and AWS's policy has none
        _allow("ReadAlarms", ["cloudwatch:DescribeAlarms"], ["*"]),
    ]


def _limit(sid: str, actions: list[str], resources: list[str]) -> Statement:
    """Return a statement for everybody in this account."""
    condition = {"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}
    more = {"Principal": "*", "Condition": condition}
    return _allow(sid, actions, resources) | more


def _allow(sid: str, actions: Iterable[str], resources: list[str]) -> Statement:
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": resources,
    }
