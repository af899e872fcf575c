"""Configurations for tests, and the errors that they get."""

import pytest

from tools import deploy_schema, yaml_document
from tools.errors import UserError
from tools.project import ROOT

# What a new project has in config/deploy.yml. Yours has changed since.
DEPLOY = (ROOT / "tools" / "tests" / "deploy.yml").read_text(encoding="utf-8")
FUNCTIONS = ["enrich", "fanout", "nightly", "orders", "part", "worker"]
# The example of all declarations.
EVERYTHING = """
functions:
  worker: {}
  fanout: {prefix: incoming/, suffix: .csv, sends_to: [part], batch_size: 1}
  part: {trigger: queue}
  enrich:
    trigger: queue
    reads: [incoming/]
    writes: [enriched/]
    environment: {API_URL: "https://api.example.com", LIMIT: 5, DB_TABLE: clicks}
    secrets: {API_KEY: partner/api-key}
    database: false
    internet: true
    allow:
      - actions: ["dynamodb:PutItem"]
        resources: ["arn:{partition}:dynamodb:{region}:{account}:table/{prefix}-seen"]
      - {actions: ["cloudwatch:PutMetricData"], resources: ["*"]}
  nightly: {trigger: schedule, schedule: "cron(0 2 * * ? *)", timezone: Europe/Vienna}
  orders: {trigger: topic, topic: orders, fifo: true}
"""
EXISTING = """\
    network:
      vpc: vpc-0123456789abcdef0
      subnets: [subnet-0123456789abcdef0, subnet-0123456789abcdef1]
      security_group: sg-0123456789abcdef0
    bucket: company-files
    database: {host: db.example.internal, port: 5432, name: shop, secret: shop/db}
"""


def check(text: str, region: str = "eu-west-1") -> None:
    """Check a configuration as a project with `FUNCTIONS` does."""
    document = yaml_document.parse(text.encode(), "config/deploy.yml")
    deploy_schema.check(document, FUNCTIONS, region)


def change(right: str, wrong: str) -> str:
    """Return a new project's configuration with a part replaced."""
    assert right in DEPLOY
    return DEPLOY.replace(right, wrong, 1)


def with_function(function: str, declaration: str, env: str = "") -> str:
    """Return a new project's configuration with an entry of a function.

    Args:
        function: the function, other than `worker`.
        declaration: its settings in YAML's flow style, without the braces.
        env: the environment of the entry; empty for all.
    """
    entry = function + ": {" + declaration + "}"
    if env == "local":
        return change("local: {}", "local: {functions: {" + entry + "}}")
    return change("  worker: {}", f"  {entry}")


def refuse(text: str, region: str = "eu-west-1") -> str:
    """Return the error about a configuration, which names the file."""
    with pytest.raises(UserError) as caught:
        check(text, region)
    problem = str(caught.value)
    assert problem.startswith("config/deploy.yml")
    assert "\n" not in problem
    return problem


def replace_functions(functions: str) -> str:
    """Return a new project's configuration with other functions."""
    return change("functions:\n  worker: {}\n", functions.lstrip("\n"))


def with_environment(right: str = "", wrong: str = "") -> str:
    """Return a configuration with existing resources, with a part replaced."""
    assert right in EXISTING
    return f"{DEPLOY}  test:\n{EXISTING.replace(right, wrong, 1)}"
