"""Each declaration grants what docs/permissions.md says, and nothing else."""

from typing import Any

import pytest
import yaml

from tools import grants, setting_layers
from tools.project import ROOT

PAGE = ROOT / "docs" / "permissions.md"
# What the page declares for the function `enrich` of the project `shop` in dev.
DECLARATIONS = (
    "prefix: incoming/, suffix: .csv",
    "reads: [incoming/]",
    "writes: [enriched/]",
    "sends_to: [part]",
    "secrets: {API_KEY: partner/api-key}",
    'allow: [{actions: ["dynamodb:PutItem"], resources: ["arn:{partition}:dynamodb:'
    '{region}:{account}:table/{prefix}-seen"]}]',
)
# These send with the rights of their own role, not by the queue's policy.
OTHER_SENDERS = {
    "queue": "no service; the functions whose `sends_to` names it",
    "schedule": "no service; the schedule's role `shop-dev-scheduler`",
}
OTHER = "arn:aws:s3:::partner-files/*"
TOPIC = "arn:{partition}:sns:{region}:{account}:shop-dev-orders"
SQS = "arn:{partition}:sqs:{region}:{account}:"
LAMBDA = "arn:{partition}:lambda:{region}:{account}:function:shop-dev-"
THIS_ACCOUNT = {"StringEquals": {"aws:PrincipalAccount": "{account}"}}


def list_statements(declaration: str) -> list[grants.Statement]:
    """Return the statements of a function with a declaration."""
    settings = yaml.safe_load("{" + declaration.replace("{prefix}", "shop-dev") + "}")
    function = setting_layers.read_defaults() | settings
    pattern = f"{function.get('prefix', 'enrich/')}*{function['suffix']}"
    names = {"queue": "shop-dev-enrich-pending", "key_pattern": pattern}
    queues = {"part": "shop-dev-part-pending"}
    bucket = "shop-dev-raw-{account}"
    return grants.list_statements(function | names, bucket, queues)


def show_row(first: str, statement: grants.Statement, key: str = "Action") -> str:
    """Return a row of a table: the declaration, the actions, the names."""
    actions = ", ".join(f"`{action}`" for action in statement[key])
    names = [f"`{each.split(':', 5)[5]}`" for each in statement["Resource"]]
    return f"| {first} | {actions} | {', '.join(names)} |"


def test_page_has_what_each_declaration_grants() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    common = list_statements("trigger: queue")
    expected = [show_row("every function", each) for each in common]
    for declaration in DECLARATIONS:
        trigger = "" if declaration.startswith("prefix") else "trigger: queue, "
        new = [
            each
            for each in list_statements(trigger + declaration)
            if each not in common
        ]
        assert new
        expected += [show_row(f"`{declaration}`", each) for each in new]
    start = lines.index("| you declare | actions | resources |") + 2
    assert lines[start : start + len(expected) + 1] == [*expected, ""]


@pytest.mark.parametrize("trigger", ["bucket", "queue", "schedule", "topic"])
def test_page_has_who_may_send_to_a_queue(trigger: str) -> None:
    function = {"trigger": trigger, "queue": "q", "topic_arn": TOPIC}
    senders = grants.list_senders(function, "enrich", "shop-dev-")
    row = OTHER_SENDERS.get(trigger)
    if not row:
        [statement] = senders
        source = statement["Condition"]["ArnEquals"]["aws:SourceArn"].split(":", 5)[5]
        row = f"`{statement['Principal']['Service']}`, for `{source}` only"
    assert bool(senders) == (trigger not in OTHER_SENDERS)
    assert f"| `{trigger}` | {row} |" in PAGE.read_text(encoding="utf-8").splitlines()


def test_sids_are_unique_and_name_the_declaration() -> None:
    """IAM refuses two statements with the same Sid."""
    allowed = '{actions: ["a:B"], resources: ["*"]}'
    found = list_statements(
        "reads: [a/, b/], writes: [c/], sends_to: [part], secrets: {KEY: k}, "
        f"allow: [{allowed}, {allowed}]"
    )
    assert [each["Sid"] for each in found] == [
        *("ReceiveMessages", "ReadObjects", "ListBucket", "WriteObjects"),
        *("SendMessages", "ReadSecrets", "Allow1", "Allow2"),
    ]
    assert {each["Effect"] for each in found} == {"Allow"}
    assert found[1]["Resource"] == [
        "arn:{partition}:s3:::shop-dev-raw-{account}/" + key
        for key in ("enrich/*", "a/*", "b/*")
    ]


def test_queue_accepts_messages_of_its_trigger_only() -> None:
    function = {"trigger": "topic", "queue": "orders-pending", "topic_arn": TOPIC}
    assert grants.list_senders(function, "orders", "shop-dev-") == [
        {
            "Sid": "OnlyTheTriggerSends",
            "Effect": "Allow",
            "Action": ["sqs:SendMessage"],
            "Resource": [f"{SQS}orders-pending"],
            "Principal": {"Service": "sns.amazonaws.com"},
            "Condition": {"ArnEquals": {"aws:SourceArn": TOPIC}},
        }
    ]
    function["trigger"] = "queue"
    assert grants.list_senders(function, "orders", "shop-dev-") == []


def test_s3_endpoint_reaches_declared_buckets_only() -> None:
    other = {"actions": ["s3:GetObject", "sqs:SendMessage"], "resources": [OTHER]}
    functions = [
        {"runtime": "lambda", "allow": [other]},
        {"runtime": "container", "allow": [other]},
    ]
    found = grants.list_endpoint_statements("s3", functions, "files")
    bucket = ["arn:{partition}:s3:::files", "arn:{partition}:s3:::files/*"]
    layers = ["arn:{partition}:s3:::prod-{region}-starport-layer-bucket/*"]
    assert [(each["Action"], each["Resource"]) for each in found] == [
        (["s3:*"], bucket),
        (["s3:GetObject"], [OTHER]),
        (["s3:GetObject"], layers),
    ]
    conditions = [each.get("Condition") for each in found]
    assert conditions == [THIS_ACCOUNT, THIS_ACCOUNT, None]
    assert {each["Principal"] for each in found} == {"*"}


def test_s3_endpoint_has_each_declaration_once() -> None:
    def allow(action: str, resource: str) -> dict[str, Any]:
        return {"actions": [action], "resources": [resource]}

    declared = [
        allow("s3:GetObject", OTHER),
        allow("s3:GetObject", OTHER),
        allow("s3:PutObject", OTHER),
        allow("s3:GetObject", "arn:aws:s3:::more/*"),
        allow("sqs:SendMessage", "*"),
    ]
    functions = [{"runtime": "lambda", "allow": declared}] * 2
    found = grants.list_endpoint_statements("s3", iter(functions), "files")
    assert [(each["Sid"], *each["Action"], each["Resource"][0]) for each in found] == [
        ("ProjectBucket", "s3:*", "arn:{partition}:s3:::files"),
        ("Allow1", "s3:GetObject", OTHER),
        ("Allow2", "s3:PutObject", OTHER),
        ("Allow3", "s3:GetObject", "arn:aws:s3:::more/*"),
    ]


def test_endpoint_without_policies_gets_none() -> None:
    assert grants.list_endpoint_statements("bedrock-runtime", [], "files") == []
    assert grants.list_endpoint_statements("sqs", [], "files") == [
        {
            "Sid": "ThisAccount",
            "Effect": "Allow",
            "Action": ["*"],
            "Resource": ["*"],
            "Principal": "*",
            "Condition": THIS_ACCOUNT,
        }
    ]


@pytest.mark.parametrize(
    ("secret", "resource"),
    [
        (
            "shop/db",
            "arn:{partition}:secretsmanager:{region}:{account}:secret:shop/db-??????",
        ),
        *[("arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbC2eF",) * 2],
    ],
)
def test_password_is_read_by_name_or_arn(secret: str, resource: str) -> None:
    assert grants.allow_password(secret) == {
        "Sid": "ReadPassword",
        "Effect": "Allow",
        "Action": ["secretsmanager:GetSecretValue"],
        "Resource": [resource],
    }


def test_shim_gets_actions_for_batches() -> None:
    statements = list_statements("trigger: queue, sends_to: [part]")
    receive, send = grants.allow_batches(statements)
    assert receive["Action"] == [
        *grants.RECEIVE,
        "sqs:ChangeMessageVisibilityBatch",
        "sqs:DeleteMessageBatch",
    ]
    assert send["Action"] == [*grants.SEND, "sqs:SendMessageBatch"]
    assert [send["Sid"], send["Resource"]] == [
        "SendMessages",
        [f"{SQS}shop-dev-part-pending"],
    ]
    assert statements[1]["Action"] == [*grants.SEND]  # as on AWS


def test_alarms_and_budgets_of_the_account_may_notify() -> None:
    alarms, budgets, others = grants.list_notifiers(TOPIC, "shop-dev-")
    for statement, service, source in (
        (alarms, "cloudwatch", "cloudwatch:{region}:{account}:alarm:shop-dev-*"),
        (budgets, "budgets", "budgets::{account}:*"),
    ):
        assert statement == {
            "Sid": f"Let{service.title()}Notify",
            "Effect": "Allow",
            "Action": ["sns:Publish"],
            "Resource": [TOPIC],
            "Principal": {"Service": f"{service}.amazonaws.com"},
            "Condition": {
                "ArnLike": {"aws:SourceArn": "arn:{partition}:" + source},
                "StringEquals": {"aws:SourceAccount": "{account}"},
            },
        }
    assert others == {
        "Sid": "RequireTls",
        "Effect": "Deny",
        "Action": ["sns:Publish"],
        "Resource": [TOPIC],
        "Principal": "*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def test_scheduler_sends_to_functions_with_schedule_only() -> None:
    functions = [
        {"trigger": "schedule", "queue": "nightly-pending"},
        {"trigger": "queue", "queue": "part-pending"},
    ]
    [statement] = grants.list_schedule_statements(functions)
    assert statement["Action"] == ["sqs:SendMessage"]
    assert statement["Resource"] == [f"{SQS}nightly-pending"]
    assert grants.list_schedule_statements(functions[1:]) == []


def test_codedeploy_shifts_functions_with_release_only() -> None:
    functions: dict[str, dict[str, Any]] = {"part": {"release": {}}, "worker": {}}
    found = grants.list_release_statements(functions, "shop-dev-")
    assert [(each["Sid"], each["Action"], each["Resource"]) for each in found] == [
        (
            "ShiftAliases",
            ["lambda:GetAlias", "lambda:UpdateAlias"],
            [f"{LAMBDA}part"],
        ),
        (
            "ReadConcurrency",
            ["lambda:GetProvisionedConcurrencyConfig"],
            [f"{LAMBDA}part:live"],
        ),
        ("ReadAlarms", ["cloudwatch:DescribeAlarms"], ["*"]),
    ]
    assert grants.list_release_statements({"worker": {}}, "shop-dev-") == []
