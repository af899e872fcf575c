"""What a function is in an environment: its names, variables, permissions, limits."""

from pathlib import Path
from typing import Any

import pytest

from tools import deploy_config, function_specs, monitoring, setting_layers
from tools.errors import UserError
from tools.tests.deploy_files import (
    DEPLOY,
    EVERYTHING,
    change,
    replace_functions,
    with_environment,
    with_function,
)

SNS = "arn:{partition}:sns:{region}:{account}:"
SECRET = "arn:{partition}:secretsmanager:{region}:{account}:secret:"


class Declared:
    """Specifications of a project with a configuration."""

    def __init__(self, root: Path) -> None:
        self._file = root / "config" / "deploy.yml"

    def __call__(self, text: str, env: str = "dev", project: str = "") -> Any:
        """Return the specification of an environment."""
        self._file.write_text(text, encoding="utf-8")
        return function_specs.resolve(env, project=project)

    def part(self, declaration: str, env: str = "dev") -> Any:
        """Return what the function `part` is, with a declaration."""
        return self(with_function("part", declaration), env)["functions"]["part"]


def with_only(declaration: str) -> str:
    """Return a configuration in which only `part` uses anything."""
    text = with_function("part", declaration)
    nothing = "trigger: queue\n  database: false\n"
    return text.replace("  runtime: lambda ", f"  {nothing}  runtime: lambda ")


@pytest.fixture
def resolve(root: Path) -> Declared:
    return Declared(root)


@pytest.mark.parametrize(
    ("env", "project", "prefix", "bucket"),
    [
        ("dev", "", "shop-dev-", "shop-dev-raw-{account}"),
        ("dev", "other", "other-dev-", "other-dev-raw-{account}"),
        ("local", "", "shop-local-", "shop-local-raw-{account}"),
        ("", "", "", "raw"),
        ("", "mine", "mine-", "mine-raw"),
    ],
)
def test_names_begin_with_project_and_environment(
    env: str, project: str, prefix: str, bucket: str, resolve: Declared
) -> None:
    spec = resolve(replace_functions(EVERYTHING), env, project)
    assert (spec["prefix"], spec["bucket"]) == (prefix, bucket)
    assert spec["project"] == (project or "shop" * bool(env))
    worker, orders = (spec["functions"][name] for name in ("worker", "orders"))
    assert worker["queue"] == f"{prefix}worker-pending"
    assert worker["dead_letter"] == f"{prefix}worker-dead-letter"
    assert worker["variables"] == {"BUCKET": bucket}
    assert orders["queue"] == f"{prefix}orders-pending.fifo"
    assert orders["dead_letter"] == f"{prefix}orders-dead-letter.fifo"
    assert orders["topic_arn"] == f"{SNS}{prefix}orders.fifo"


def test_declared_prefix_is_the_environments(resolve: Declared) -> None:
    function = resolve.part(
        "trigger: queue, environment: {TABLE: '{prefix}-seen', OWNER: '{prefix}'}, "
        "allow: [{actions: ['dynamodb:PutItem'], resources: "
        "['arn:{partition}:dynamodb:{region}:{account}:table/{prefix}-seen']}]"
    )
    assert function["environment"] == {"TABLE": "shop-dev-seen", "OWNER": "shop-dev"}
    assert function["statements"][-2]["Resource"] == [
        "arn:{partition}:dynamodb:{region}:{account}:table/shop-dev-seen"
    ]


@pytest.mark.parametrize(
    ("declaration", "pattern"),
    [
        ("trigger: bucket", "part/*"),
        ("prefix: in/, suffix: .csv", "in/*.csv"),
        ("prefix: ''", "*"),
        ("trigger: queue", ""),
    ],
)
def test_trigger_bucket_has_a_key_pattern(
    declaration: str, pattern: str, resolve: Declared
) -> None:
    assert resolve.part(declaration)["key_pattern"] == pattern


def test_topics_of_the_project_are_created(resolve: Declared) -> None:
    text = replace_functions(
        """
functions:
  orders: {trigger: topic, topic: orders, fifo: true}
  part: {trigger: topic, topic: prices}
  nightly: {trigger: topic, topic: "arn:aws:sns:eu-west-1:111122223333:others"}
  enrich: {trigger: queue}
"""
    )
    spec = resolve(text)
    assert spec["topics"] == {
        "orders.fifo": {
            "name": "shop-dev-orders.fifo",
            "arn": f"{SNS}shop-dev-orders.fifo",
            "fifo": True,
        },
        "prices": {
            "name": "shop-dev-prices",
            "arn": f"{SNS}shop-dev-prices",
            "fifo": False,
        },
    }
    arns = {name: each["topic_arn"] for name, each in spec["functions"].items()}
    assert arns["nightly"] == "arn:aws:sns:eu-west-1:111122223333:others"
    assert arns["enrich"] == ""


def test_variables_are_values_receivers_and_names_of_secrets(resolve: Declared) -> None:
    declaration = (
        "trigger: queue, sends_to: [worker, part], environment: {LIMIT: 5, FLAG: ''}, "
        "secrets: {API_KEY: partner/key}"
    )
    assert resolve.part(declaration)["variables"] == {
        "BUCKET": "shop-dev-raw-{account}",
        "SEND_QUEUES": "worker=shop-dev-worker-pending,part=shop-dev-part-pending",
        "LIMIT": "5",
        "API_KEY_SECRET": "partner/key",
    }
    config = deploy_config.load()
    assert function_specs.list_shim_variables(config, "part") == {
        "BUCKET": "raw",
        "SEND_QUEUES": "worker=worker-pending,part=part-pending",
        "LIMIT": "5",
        "API_KEY_SECRET": "partner/key",
    }


def test_shim_variables_are_those_of_local(resolve: Declared) -> None:
    text = with_function("part", "trigger: queue, environment: {OWNER: '{prefix}x'}")
    part = "part: {environment: {LIMIT: 9}, sends_to: [orders]}"
    orders = "orders: {trigger: queue, fifo: true}"
    local = "local: {functions: {" + f"{part}, {orders}" + "}}"
    resolve(text.replace("local: {}", local))
    assert function_specs.list_shim_variables(deploy_config.load(), "part") == {
        "BUCKET": "raw",
        "SEND_QUEUES": "orders=orders-pending.fifo",
        "OWNER": "x",
        "LIMIT": "9",
    }


def test_local_secrets_are_those_of_all_functions_in_the_shim(
    resolve: Declared,
) -> None:
    text = replace_functions(
        """
functions:
  part: {trigger: queue, secrets: {API_KEY: partner/key}}
  enrich: {trigger: queue, secrets: {TOKEN: "{prefix}-token"}}
"""
    )
    resolve(text)
    assert function_specs.list_local_secrets() == {
        ("API_KEY", "partner/key"),
        ("TOKEN", "token"),
        ("TOKEN", "shop-local-token"),
    }


@pytest.mark.parametrize(
    ("declaration", "groups"),
    [
        ("trigger: queue", ["function", "sql"]),
        ("trigger: queue, internet: true", ["function", "sql", "internet"]),
        ("trigger: queue, database: false", ["function"]),
    ],
)
def test_security_groups_are_the_declared_routes(
    declaration: str, groups: list[str], resolve: Declared
) -> None:
    assert resolve.part(declaration)["security_groups"] == groups


def test_fifo_queue_collects_no_batches(resolve: Declared) -> None:
    text = change("batch_window: 0 ", "batch_window: 7 ")
    functions = "  part: {trigger: queue}\n  orders: {trigger: queue, fifo: true, "
    text = text.replace("  worker: {}\n", f"{functions}batch_window: 0}}\n", 1)
    functions = resolve(text)["functions"]
    windows = {name: functions[name]["batch_window"] for name in ("part", "orders")}
    assert windows == {"part": 7, "orders": 0}


def test_functions_read_the_password_only_with_database(resolve: Declared) -> None:
    for declaration, expected in (("database: true", 1), ("database: false", 0)):
        function = resolve.part(f"trigger: queue, {declaration}")
        sids = [each["Sid"] for each in function["statements"]]
        assert sids.count("ReadPassword") == expected
    spec = resolve(with_environment(), "test")
    [*_, statement] = spec["functions"]["part"]["statements"]
    assert statement["Resource"] == [f"{SECRET}shop/db-??????"]


def test_functions_of_the_shim_may_send_batches(resolve: Declared) -> None:
    declaration = "trigger: queue, sends_to: [worker]"
    for env, in_shim in (("dev", False), ("local", True)):
        [receive, send, *others] = resolve.part(declaration, env)["statements"]
        assert ("sqs:SendMessageBatch" in send["Action"]) is in_shim
        assert ("sqs:DeleteMessageBatch" in receive["Action"]) is in_shim
        assert bool(others) is not in_shim  # the password


def test_schedules_of_the_shim_are_disabled(resolve: Declared) -> None:
    declaration = "trigger: schedule, schedule: rate(1 day)"
    found = {}
    for env in ("dev", "local", ""):
        spec = resolve(with_function("part", declaration), env)
        found[env] = spec["functions"]["part"]["schedule_state"]
        queues = "arn:{partition}:sqs:{region}:{account}:" + spec["prefix"]
        [statement] = spec["schedule_statements"]
        assert statement["Resource"] == [queues + "part-pending"]
    assert found == {"dev": "ENABLED", "local": "DISABLED", "": "DISABLED"}


def test_release_is_of_lambdas_on_aws_only(resolve: Declared) -> None:
    text = change(
        "runtime: lambda ", "release: {canary: 10, minutes: 5}\n  runtime: lambda "
    )
    text = text.replace("  worker: {}\n", "  part: {runtime: container}\n", 1)
    spec = resolve(text)
    releases = {name: each.get("release") for name, each in spec["functions"].items()}
    assert releases["part"] is None
    assert releases["worker"] == {
        "canary": 10,
        "minutes": 5,
        "config": "shop-dev-canary-10-percent-5-minutes",
    }
    lambdas = spec["release_statements"][0]["Resource"]
    assert len(lambdas) == len(spec["functions"]) - 1
    spec = resolve(text, "local")
    assert not any("release" in each for each in spec["functions"].values())
    assert spec["release_statements"] == []


def test_existing_resources_are_used(resolve: Declared) -> None:
    spec = resolve(with_environment(), "test")
    assert spec["bucket"] == "company-files"
    assert spec["network"]["vpc"] == "vpc-0123456789abcdef0"
    assert spec["database"] == {
        "DB_HOST": "db.example.internal",
        "DB_PORT": "5432",
        "DB_NAME": "shop",
        "DB_SECRET": "shop/db",
    }
    assert spec["has_proxy"] is False


def test_own_resources_are_named(resolve: Declared) -> None:
    spec = resolve(DEPLOY)
    assert spec["network"] is None
    assert spec["database"] == {"DB_NAME": "main", "DB_SECRET": "shop-dev-app"}
    assert spec["proxy_statement"]["Resource"] == [f"{SECRET}shop-dev-app-??????"]
    assert resolve(with_environment(), "local")["database"] == {}


def test_proxy_is_there_if_declared(resolve: Declared) -> None:
    size = "min_capacity: 0.5\n"
    for text, expected in (
        (change(size, size), False),
        (change(size, f"{size}      proxy: false\n"), False),
        (change(size, f"{size}      proxy: true\n"), True),
    ):
        assert resolve(text, "prod")["has_proxy"] is expected


@pytest.mark.parametrize(
    ("own", "days"),
    [
        ("", (30, None, 90)),
        ("raw_file_days: 59", (None, 59, 59)),
        ("raw_file_days: 60", (30, 60, 60)),
        ("raw_file_days: 90", (30, 90, 90)),
        ("raw_file_days: 365", (30, 365, 90)),
    ],
)
def test_files_move_only_if_that_saves_money(
    own: str, days: tuple[int | None, ...], resolve: Declared
) -> None:
    spec = resolve(change("zones: 2\n", f"zones: 2\n    {own}\n"))
    names = ("transition", "expiration", "noncurrent")
    assert spec["lifecycle"] == dict(zip(names, days, strict=True))


def test_logs_are_kept_as_the_environment_says(resolve: Declared) -> None:
    text = change("zones: 2\n", "zones: 2\n    defaults: {log_days: 7}\n")
    assert resolve(text)["log_days"] == 7
    assert resolve(text, "prod")["log_days"] == 30


def test_environment_has_its_own_settings(resolve: Declared) -> None:
    spec = resolve(change("architecture: x86_64", "architecture: arm64"))
    assert (spec["python"], spec["architecture"]) == ("3.13", "arm64")
    assert spec["settings"]["zones"] == 2


def test_only_environments_on_aws_are_watched(resolve: Declared) -> None:
    alarms = 'alarms: {topic: "' + SNS + '{prefix}-all"}'
    text = change("zones: 2\n", f"zones: 2\n    {alarms}\n")
    assert resolve(text)["monitoring"]["actions"] == [f"{SNS}shop-dev-all"]
    for env in ("local", ""):
        assert resolve(text, env)["monitoring"] == monitoring.NOTHING


@pytest.mark.parametrize(
    ("declaration", "used"),
    [
        ("trigger: queue, database: false", set()),
        ("trigger: bucket, database: false", {"uses_bucket"}),
        ("trigger: queue, database: true", {"uses_database"}),
        ("trigger: queue, database: false, internet: true", {"uses_internet"}),
    ],
)
def test_environment_knows_what_its_functions_use(
    declaration: str, used: set[str], resolve: Declared
) -> None:
    spec = resolve(with_only(declaration))
    flags = {key for key in spec if key.startswith("uses_")}
    assert {key for key in flags if spec[key]} == used
    assert {type(spec[key]) for key in flags} == {bool}


def test_network_has_the_endpoints_that_functions_need(resolve: Declared) -> None:
    allow = "allow: [{actions: ['dynamodb:PutItem', 'kms:Decrypt'], resources: ['*']}]"
    spec = resolve(with_only(allow))
    assert spec["endpoints"] == ["kms"]
    assert spec["gateways"] == ["dynamodb", "s3"]
    assert [*spec["endpoint_statements"]] == ["dynamodb", "kms", "s3"]
    [own] = spec["endpoint_statements"]["s3"]
    assert own["Resource"][0] == "arn:{partition}:s3:::shop-dev-raw-{account}"
    spec = resolve(with_only(""))
    assert (spec["endpoints"], spec["gateways"]) == ([], ["s3"])


@pytest.mark.parametrize(
    ("declaration", "endpoints"),
    [
        ("", set()),
        ("runtime: container", {"ecr.api", "ecr.dkr", "logs", "sqs"}),
        ("sends_to: [part]", {"sqs"}),
        ("secrets: {KEY: a}", {"secretsmanager"}),
        ("database: true", {"secretsmanager"}),
    ],
)
def test_declaration_gets_its_endpoints(
    declaration: str, endpoints: set[str], resolve: Declared
) -> None:
    assert {*resolve(with_only(declaration))["endpoints"]} == endpoints


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


@pytest.mark.parametrize(
    ("declaration", "most"), [("trigger: queue", 3596), ("database: false", 4096)]
)
def test_variables_of_a_lambda_are_limited(
    declaration: str, most: int, resolve: Declared
) -> None:
    """Lambda counts bytes of JSON: `é` takes two."""
    variables = {"BUCKET": "shop-dev-raw-{account}", "TEXT": ""}
    left = most - len(str(variables).replace(" ", ""))

    def declare(text: str, more: str = "") -> str:
        return declaration + more + ", environment: {TEXT: " + text + "}"

    resolve.part(declare("é" + "x" * (left - 2)))
    resolve.part(declare("x" * (left + 1), ", runtime: container"))
    with pytest.raises(UserError) as caught:
        resolve.part(declare("é" + "x" * (left - 1)))
    assert str(caught.value) == (
        f"config/deploy.yml: the variables of part in dev have {most + 1} bytes of "
        f"{most} that Lambda leaves for them: shorten environment, or put large values "
        "into an object or a secret"
    )
    with pytest.raises(UserError, match="of part in the shim have "):
        resolve(with_function("part", declare("x" * most)), "")


def test_unknown_environment_gets_a_remedy(resolve: Declared) -> None:
    with pytest.raises(UserError, match="ENV=moon is not in"):
        resolve(with_environment(), "moon")
