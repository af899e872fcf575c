"""What each function is in an environment: names, variables, permissions.

Terraform, CDK and the shim create their resources from the same specification, which
`resolve` derives from `config/deploy.yml`.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tools import deploy_config, grants, monitoring
from tools.deploy_config import CONFIG
from tools.errors import UserError
from tools.project import answers
from tools.setting_layers import Config, merge

SHIM_BUCKET = "raw"
SHIM_ENVIRONMENTS = ("", "local")  # environments in the shim
# What names an existing database in `config/deploy.yml`.
EXISTING_DATABASE = ("host", "port", "name", "secret")
FILES_MOVE_AFTER = 30  # days, to the storage class for infrequent access
VERSIONS_KEPT = 90  # days, after they were replaced or deleted
# Services with a gateway endpoint, which costs nothing; the others have interfaces.
GATEWAYS = {"s3", "dynamodb"}
VARIABLES_SIZE = 4096  # bytes
DATABASE_SIZE = 500  # of these, for the variables of the database
# What a task needs besides its code: its image, its logs and its queue.
CONTAINER_ENDPOINTS = {"ecr.api", "ecr.dkr", "logs", "sqs"}
# Endpoints that are not named like the service's actions in IAM, by action or service.
# https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-privatelink-support.html
ENDPOINT_NAMES = {
    "aoss": "aoss-data",
    "appsync": "appsync-api",
    "bedrock": "bedrock-runtime",
    "bedrock:InvokeAgent": "bedrock-agent-runtime",
    "bedrock:InvokeFlow": "bedrock-agent-runtime",
    "bedrock:Rerank": "bedrock-agent-runtime",
    "bedrock:Retrieve": "bedrock-agent-runtime",
    "bedrock:RetrieveAndGenerate": "bedrock-agent-runtime",
    "cloudwatch": "monitoring",
    "codeartifact": "codeartifact.api",
    "ecr": "ecr.api",
    "firehose": "kinesis-firehose",
    "geo-maps": "geo.maps",
    "geo-places": "geo.places",
    "geo-routes": "geo.routes",
    "iotsitewise": "iotsitewise.api",
    "iottwinmaker": "iottwinmaker.api",
    "kinesis": "kinesis-streams",
    "lex": "runtime-v2-lex",
    "memorydb": "memory-db",
    "mobiletargeting": "pinpoint",
    "payment-cryptography": "payment-cryptography.dataplane",
    "pricing": "pricing.api",
    "sagemaker": "sagemaker.api",
    "sagemaker:InvokeEndpoint": "sagemaker.runtime",
    "sagemaker:InvokeEndpointAsync": "sagemaker.runtime",
    "ses": "email",
    "sms-voice": "pinpoint-sms-voice-v2",
}
# Services without an endpoint in each region, or, as `iot`, without its private name:
# functions reach them with `internet: true`. The last row are servers in the VPC.
WITHOUT_ENDPOINT = {
    *("account", "aws-marketplace", "budgets", "ce", "chime", "cloudfront", "geo"),
    *("globalaccelerator", "health", "iam", "iot", "organizations", "quicksight"),
    *("route53", "route53domains", "shield", "support", "timestream", "waf"),
    *("dax", "es", "kafka-cluster", "neptune-db", "rds-db"),
}


def resolve(env: str, file: str = CONFIG, project: str = "") -> Config:
    """Return the specification of all functions in an environment, ready for JSON.

    ARNs and the bucket's name hold the placeholders `{partition}`, `{region}` and
    `{account}`.

    Args:
        env: an environment of `config/deploy.yml`; empty for the shim's own resources,
            which are those of `local` without a prefix.
        file: path below the project's root, for tests of the stacks.
        project: first part of all names; by default the project's. Without `env`,
            resources of their own beside those of the shim have it.

    Returns:
        `project`, `python`, `architecture`, `settings` (the environment's own),
        `log_days` (of logs that belong to no function), `prefix` (of all names, ending
        with a hyphen, or empty), `bucket`, `lifecycle` (days until files move to a
        cheaper class, until they expire, and until earlier versions do; None for a
        file that does neither), `network` (an existing one, or None),
        `database` (variables of functions that use it on AWS, with `DB_HOST` and
        `DB_PORT` of an existing one), `has_proxy` (in front of it), `proxy_statement`
        (what that may do), `topics` (a mapping of names to `name`, `arn` and
        `fifo`), `endpoints` (services that the network needs an interface endpoint
        for), `gateways`, `endpoint_statements` (the policy of each endpoint; none for
        AWS's own), `uses_bucket`, `uses_database` and `uses_internet` (whether a
        function does), `schedule_statements` (what the scheduler may do),
        `release_statements` (what CodeDeploy may do), `monitoring` (see
        `monitoring.describe`), and `functions`: the settings of each function with

        - `queue` and `dead_letter`: names of its queues,
        - `key_pattern`: of its objects, for `trigger: bucket`; else empty,
        - `topic_arn`: for `trigger: topic`; else empty,
        - `schedule_state`: whether its schedule fires, "ENABLED" or "DISABLED",
        - `release`: on AWS, how a Lambda's new version gets its batches, with the name
          of CodeDeploy's `config`; missing if it gets them at once,
        - `security_groups`: names of its groups in the network, without the prefix,
        - `variables`: its environment variables, except those of the database,
        - `statements`: what its code may do, see `grants.list_statements`,
        - `queue_statements`: who may send to its queue.

    Raises:
        UserError: the file is wrong, see `deploy_config.read`, or the variables of a
            Lambda are too large.
    """
    config = deploy_config.read(env or "local", file)
    own = config["environments"][env or "local"] or {}
    if env:
        project = project or answers().project_slug
        prefix = f"{project}-{env}-"
    else:
        prefix = f"{project}-" if project else ""
    created = f"{prefix}raw-{grants.ACCOUNT}" if env else f"{prefix}{SHIM_BUCKET}"
    bucket = own.get("bucket", created)
    is_shim = env in SHIM_ENVIRONMENTS
    variables = {}
    if not is_shim:
        variables = _list_database_variables(own.get("database") or {}, prefix)
    declared = deploy_config.read_functions(env or "local", file)
    filled = _fill_prefix(declared, prefix)
    functions = _describe_functions(filled, prefix, bucket, variables)
    for name, each in functions.items():
        if each["runtime"] == "lambda":
            _check_size(each, f"{name} in {env or 'the shim'}")
    watched = monitoring.NOTHING
    if not is_shim:
        settings = _fill_prefix(own, prefix)
        engine = answers().database
        watched = monitoring.describe(settings, functions, prefix, bucket, engine)
    services = {service for each in functions.values() for service in _services(each)}
    gateways = services & GATEWAYS | {"s3"}  # for images, too
    return {
        "project": project,
        "python": str(config["python"]),
        "architecture": config["architecture"],
        "settings": own,
        "log_days": {**config["defaults"], **(own.get("defaults") or {})}["log_days"],
        "prefix": prefix,
        "bucket": bucket,
        "network": own.get("network"),
        "database": variables,
        "has_proxy": bool((own.get("database") or {}).get("proxy")),
        "proxy_statement": grants.allow_password(f"{prefix}app"),
        "lifecycle": _describe_lifecycle(own.get("raw_file_days")),
        "topics": _list_topics(functions.values(), prefix),
        "endpoints": sorted(services - GATEWAYS),
        "gateways": sorted(gateways),
        "endpoint_statements": {
            service: grants.list_endpoint_statements(
                service, functions.values(), bucket
            )
            for service in sorted(services | gateways)
        },
        "uses_bucket": any(each["trigger"] == "bucket" for each in functions.values()),
        "uses_database": any(each["database"] for each in functions.values()),
        "uses_internet": any(each["internet"] for each in functions.values()),
        "schedule_statements": grants.list_schedule_statements(functions.values()),
        "release_statements": grants.list_release_statements(functions, prefix),
        "monitoring": watched,
        "functions": functions,
    }


def _describe_functions(
    declared: Config, prefix: str, bucket: str, database: Config
) -> Config:
    """Return the settings of each function with what follows from them.

    Without variables of a database, the functions are those of the shim.
    """
    functions = {
        name: {**settings, **_name_resources(name, settings, prefix)}
        for name, settings in declared.items()
    }
    queues = {name: each["queue"] for name, each in functions.items()}
    for name, each in functions.items():
        each["variables"] = _list_variables(each, bucket, queues)
        each["statements"] = grants.list_statements(each, bucket, queues)
        if not database:
            each["statements"] = grants.allow_batches(each["statements"])
        elif each["database"]:
            each["statements"].append(grants.allow_password(database["DB_SECRET"]))
        # the emulator ignores time zones, and its messages lack the time
        each["schedule_state"] = "ENABLED" if database else "DISABLED"
        each["queue_statements"] = grants.list_senders(each, name, prefix)
        release = each.pop("release", None)
        # the emulator has no CodeDeploy
        if release and database and each["runtime"] == "lambda":
            each["release"] = release | {"config": _name_release(release, prefix)}
    return functions


def list_shim_variables(config: Config, name: str) -> dict[str, str]:
    """Return a function's variables in the shim, except those of the database.

    Args:
        config: the content of `config/deploy.yml`, which need not have been checked:
            unit tests take less time than the check.
        name: the function.
    """
    function = _fill_prefix(merge(config, "local", name), "")
    receivers = {each: merge(config, "local", each) for each in function["sends_to"]}
    queues = {
        each: str(_name_resources(each, settings, "")["queue"])
        for each, settings in receivers.items()
    }
    return _list_variables(function, SHIM_BUCKET, queues)


def list_local_secrets() -> set[tuple[str, str]]:
    """Return the secrets of functions in the shim: variable and name of each.

    A name with `{prefix}` differs between the shim's own resources and a deployment.

    Raises:
        UserError: see `resolve`.
    """
    return {
        secret
        for env in SHIM_ENVIRONMENTS
        for function in resolve(env)["functions"].values()
        for secret in function["secrets"].items()
    }


def _fill_prefix(value: Any, prefix: str) -> Any:
    """Replace `{prefix}-` and `{prefix}` in all texts."""
    if isinstance(value, str):
        return value.replace("{prefix}-", prefix).replace("{prefix}", prefix[:-1])
    if isinstance(value, list):
        return [_fill_prefix(each, prefix) for each in value]
    if isinstance(value, dict):
        return {key: _fill_prefix(each, prefix) for key, each in value.items()}
    return value


def _name_resources(name: str, settings: Config, prefix: str) -> Config:
    trigger = settings["trigger"]
    suffix = ".fifo" if settings["fifo"] else ""
    key_prefix = settings.get("prefix", f"{name}/")
    pattern = f"{key_prefix}*{settings['suffix']}" if trigger == "bucket" else ""
    topic = settings["topic"] if trigger == "topic" else ""
    if topic and not topic.startswith("arn:"):
        topic = grants.make_arn("sns", f"{prefix}{topic}{suffix}")
    return {
        "queue": f"{prefix}{name}-pending{suffix}",
        "dead_letter": f"{prefix}{name}-dead-letter{suffix}",
        "prefix": key_prefix,
        "key_pattern": pattern,
        "topic_arn": topic,
        "security_groups": [
            "function",
            *(["sql"] if settings["database"] else []),
            *(["internet"] if settings["internet"] else []),
        ],
        # SQS collects no batches of a FIFO queue
        "batch_window": 0 if settings["fifo"] else settings["batch_window"],
    }


def _name_release(release: Config, prefix: str) -> str:
    """Return the name of a deployment configuration, which AWS cannot change."""
    return f"{prefix}canary-{release['canary']}-percent-{release['minutes']}-minutes"


def _list_variables(
    function: Config, bucket: str, queues: Mapping[str, str]
) -> dict[str, str]:
    """Return a function's environment variables, except those of the database.

    `SEND_QUEUES` leads `context.send` to the queues of this environment. A secret's
    variable has its name, and the function reads the value.
    """
    sends_to = [f"{name}={queues[name]}" for name in function["sends_to"]]
    secrets = {
        f"{variable}_SECRET": name for variable, name in function["secrets"].items()
    }
    own = {name: str(value) for name, value in function["environment"].items()}
    found = {"BUCKET": bucket, "SEND_QUEUES": ",".join(sends_to), **own, **secrets}
    return {name: value for name, value in found.items() if value}


def _check_size(function: Config, title: str) -> None:
    """Check that Lambda accepts the size of a function's variables.

    It measures them as JSON.
    https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    """
    text = json.dumps(function["variables"], ensure_ascii=False, separators=(",", ":"))
    most = VARIABLES_SIZE - (DATABASE_SIZE if function["database"] else 0)
    size = len(text.encode())
    if size > most:
        raise UserError(
            f"{deploy_config.CONFIG}: the variables of {title} have {size} bytes of "
            f"{most} that Lambda leaves for them: shorten environment, or put large "
            "values into an object or a secret"
        )


def _list_database_variables(database: Config, prefix: str) -> dict[str, str]:
    """Return variables of functions that use the database on AWS.

    The project's own database gets its host when it is deployed.
    """
    if "host" not in database:
        return {"DB_NAME": "main", "DB_SECRET": f"{prefix}app"}
    return {f"DB_{key.upper()}": str(database[key]) for key in EXISTING_DATABASE}


def _describe_lifecycle(file_days: int | None) -> dict[str, int | None]:
    """Return the days in a file's life, given those that it is kept.

    S3 charges the class for infrequent access for 30 days, so a file that expires
    within these costs more there.
    """
    moves = not file_days or file_days >= FILES_MOVE_AFTER + 30
    return {
        "transition": FILES_MOVE_AFTER if moves else None,
        "expiration": file_days,
        "noncurrent": min(file_days or VERSIONS_KEPT, VERSIONS_KEPT),
    }


def _list_topics(functions: Iterable[Config], prefix: str) -> dict[str, Config]:
    """Return the project's own topics, by their names without the prefix."""
    return {
        f"{each['topic']}{'.fifo' if each['fifo'] else ''}": {
            "name": each["topic_arn"].rpartition(":")[2],
            "arn": each["topic_arn"],
            "fifo": each["fifo"],
        }
        for each in functions
        if each["trigger"] == "topic" and not each["topic"].startswith("arn:")
    }


def _services(function: Config) -> set[str]:
    """Return the endpoints that a function's task or code needs in the VPC.

    Lambda itself polls the queue and writes the logs, from outside of the VPC.
    """
    found = {
        ENDPOINT_NAMES.get(action) or ENDPOINT_NAMES.get(service, service)
        for each in function["allow"]
        for action in each["actions"]
        if (service := action.partition(":")[0]) not in WITHOUT_ENDPOINT
    }
    if function["runtime"] == "container":
        found |= CONTAINER_ENDPOINTS
    if function["sends_to"]:
        found.add("sqs")
    if function["database"] or function["secrets"]:
        found.add("secretsmanager")
    return found
