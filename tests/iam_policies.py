"""Fill in the project's IAM policies, and evaluate them as AWS does.

Only what the policies use is evaluated: identity policies of one account, without
`NotAction`. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import yaml

from baking import ROOT, TEMPLATE

sys.path.insert(0, str(TEMPLATE))

from tools import policies

ACCOUNT, REGION = "123456789012", "eu-west-1"
FILES = {
    tool: [
        *(TEMPLATE / "infra" / "policies").glob("*.json"),
        *(TEMPLATE / ".choices" / "iac" / tool / "infra" / "policies").glob("*.json"),
    ]
    for tool in ("terraform", "cdk")
}
CHANGES = ("change-services", "change-functions", "change-database", "change-network")
# The policies of each role, as docs/roles.md attaches them.
ROLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "terraform-plan": ("terraform", ("plan",)),
    "terraform-deploy": (
        "terraform",
        ("plan", "deploy", "deploy-terraform", *CHANGES),
    ),
    "cdk-plan": ("cdk", ("plan",)),
    "cdk-deploy": ("cdk", ("plan", "deploy", "deploy-cdk")),
    "cloudformation": ("cdk", ("cloudformation", *CHANGES)),
    "operate": ("terraform", ("operate",)),
    "sync": ("terraform", ("deploy", "sync")),
    "function": ("terraform", ("boundary",)),
}

Statement = dict[str, Any]


class Call(NamedTuple):
    """A call of AWS's API on one resource, with the condition keys that AWS knows."""

    action: str
    resource: str
    context: Mapping[str, str] = {}


def fill(
    tool: str, env: str = "dev", project: str = "shop", **more: str
) -> dict[str, policies.Document]:
    """Return an environment's policies, by their files' names.

    It is in an existing network and has no functions.

    Args:
        tool: the IaC tool.
        env: the environment's name.
        project: the project's name.
        more: other values of placeholders.
    """
    prefix = f"{project}-{env}"
    values = {
        "partition": "aws",
        "region": REGION,
        "account": ACCOUNT,
        "project": project,
        "environment": env,
        "prefix": prefix,
        "bucket": f"{prefix}-raw-{ACCOUNT}",
        "qualifier": "0123456789",
    }
    settings = {"network": {"vpc": f"vpc-{prefix}"}}
    spec: dict[str, Any] = {"settings": settings, "functions": {}}
    found = policies.fill(spec, FILES[tool], values | more)
    return {name.removeprefix(f"{prefix}-"): each for name, each in found.items()}


@cache
def statements_of(role: str) -> list[Statement]:
    """Return the statements of a role's policies in dev."""
    tool, names = ROLES[role]
    documents = fill(tool)
    return [each for name in names for each in documents[name]["Statement"]]


def is_allowed(statements: Iterable[Statement], call: Call) -> bool:
    """Return whether policies allow a call: an explicit denial overrides."""
    effects = {each["Effect"] for each in statements if applies(each, call)}
    return effects == {"Allow"}


def applies(statement: Statement, call: Call) -> bool:
    """Return whether a statement is about a call."""
    if not any(matches(each, call.action) for each in as_list(statement["Action"])):
        return False
    if "NotResource" in statement:
        excepted = as_list(statement["NotResource"])
        is_about = not any(matches(each, call.resource) for each in excepted)
    else:
        named = as_list(statement["Resource"])
        is_about = any(matches(each, call.resource) for each in named)
    return is_about and all(
        holds(operator, key, as_list(values), call.context)
        for operator, tests in statement.get("Condition", {}).items()
        for key, values in tests.items()
    )


def holds(
    operator: str, key: str, values: list[str], context: Mapping[str, str]
) -> bool:
    """Return whether a condition holds: `Null` and `IfExists` can of an unknown key."""
    if operator == "Null":
        return values == [str(key not in context).lower()]
    if key not in context:
        return operator.endswith("IfExists")
    operator = operator.removesuffix("IfExists")
    if operator in ("StringEquals", "Bool"):
        return context[key] in values
    if operator in ("StringLike", "ArnEquals", "ArnLike"):
        return any(matches(each, context[key]) for each in values)
    raise AssertionError(f"the condition operator {operator} is not evaluated")


def matches(pattern: str, text: str) -> bool:
    """Return whether a text fits a pattern with `*` and `?`; actions have no case."""
    return compile_pattern(pattern).fullmatch(text) is not None


@cache
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern of IAM's."""
    parts = {"*": ".*", "?": "."}
    expression = "".join(parts.get(letter, re.escape(letter)) for letter in pattern)
    return re.compile(expression, re.IGNORECASE | re.DOTALL)


def as_list(value: Any) -> list[Any]:
    """Return a list, which JSON policies shorten to its only item."""
    return value if isinstance(value, list) else [value]


def read_calls(role: str) -> Iterator[Call]:
    """Yield the calls of a role that `api_calls.yml` has."""
    keys = {
        "terraform-plan": ("reads", "terraform-plan"),
        "terraform-deploy": ("reads", "terraform-plan", "terraform", "deploy"),
        "cdk-deploy": ("cdk-plan", "cdk-deploy", "deploy"),
        "cloudformation": ("reads", "cloudformation"),
        "sync": ("deploy", "sync"),
    }.get(role, (role,))
    for entry in read_entries():
        for action in {word for key in keys for word in entry.get(key, "").split()}:
            for resource in entry["resources"]:
                yield Call(action, make_arn(resource), entry.get("context", {}))


@cache
def read_entries() -> list[dict[str, Any]]:
    """Return the entries of `api_calls.yml`."""
    text = (ROOT / "tests" / "api_calls.yml").read_text(encoding="utf-8")
    entries: list[dict[str, Any]] = yaml.safe_load(text)
    return entries


def make_arn(text: str) -> str:
    """Return the ARN of `<service> <resource>` in the account; `*` is that of none."""
    service, _, resource = text.partition(" ")
    place = {"s3": ":", "route53": ":", "iam": f":{ACCOUNT}"}
    if not resource:
        return service
    return f"arn:aws:{service}:{place.get(service, f'{REGION}:{ACCOUNT}')}:{resource}"
