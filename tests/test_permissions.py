"""The docs say exactly which permissions each declaration grants."""

import sys

import pytest
import yaml

from baking import TEMPLATE

sys.path.insert(0, str(TEMPLATE))

from tools import function_specs, grants, setting_layers

PAGE = TEMPLATE / "docs" / "permissions.md"
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


def list_statements(declaration: str) -> list[grants.Statement]:
    """Return the statements of a function with a declaration."""
    settings = yaml.safe_load(f"{{{declaration}}}".replace("{prefix}", "shop-dev"))
    function = setting_layers.read_defaults() | settings
    pattern = f"{function.get('prefix', 'enrich/')}*{function['suffix']}"
    names = {"queue": "shop-dev-enrich-pending", "key_pattern": pattern}
    queues = {"part": "shop-dev-part-pending"}
    bucket = "shop-dev-raw-{account}"
    return [*grants.list_statements(function | names, bucket, queues)]


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


@pytest.mark.parametrize(
    ("action", "endpoints"),
    [
        ("dynamodb:PutItem", {"dynamodb"}),
        ("cloudwatch:PutMetricData", {"monitoring"}),
        ("ecr:DescribeImages", {"ecr.api"}),
        ("bedrock:InvokeModel", {"bedrock-runtime"}),
        ("bedrock:Retrieve", {"bedrock-agent-runtime"}),
        ("sagemaker:InvokeEndpoint", {"sagemaker.runtime"}),
        ("sagemaker:CreateModel", {"sagemaker.api"}),
        # these have none that the network could create
        ("iam:ListUsers", set()),
        ("iot:Publish", set()),
        ("route53:ChangeResourceRecordSets", set()),
        ("cloudfront:CreateInvalidation", set()),
        ("organizations:ListAccounts", set()),
        ("rds-db:connect", set()),
    ],
)
def test_allowed_action_gets_its_endpoint(action: str, endpoints: set[str]) -> None:
    allow = [{"actions": [action], "resources": ["*"]}]
    function = setting_layers.read_defaults() | {"allow": allow, "database": False}
    assert function_specs._services(function) == endpoints


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
    account = {"StringEquals": {"aws:PrincipalAccount": "{account}"}}
    assert [each.get("Condition") for each in found] == [account, account, None]


def test_endpoint_without_policies_gets_none() -> None:
    assert grants.list_endpoint_statements("bedrock-runtime", [], "files") == []
    [statement] = grants.list_endpoint_statements("sqs", [], "files")
    assert statement["Condition"]["StringEquals"] == {
        "aws:PrincipalAccount": "{account}"
    }
