"""Read and check config/deploy.yml: how each function is deployed, and where."""

from typing import Any

from tools import deploy_schema, project, yaml_document
from tools.errors import UserError
from tools.setting_layers import Config as Config
from tools.setting_layers import merge

CONFIG = "config/deploy.yml"
# In the order of deployment. `role` is destroyed last: Lambda leaves the VPC with it.
STACKS = (
    *("role", "network", "queue", "bucket", "aurora"),
    *("extra", "layer", "lambda", "ecr", "ecs", "monitoring"),
)
# The stacks that must be deployed before a stack, and destroyed after it: those that it
# looks up or grants to, and the queues, files and tables of functions before functions.
NEEDS = {
    "network": ("role",),
    "queue": ("role",),
    "aurora": ("network",),
    "extra": ("queue", "bucket", "aurora"),
    "lambda": ("extra", "layer"),
    "ecs": ("extra", "ecr"),
    "monitoring": ("lambda", "ecs"),  # a service that is not there yet raises an alarm
}
EMULATED = ("role", "queue", "bucket", "extra", "layer", "lambda")  # in the shim
# Of the shim's database. On AWS, functions read the secret of the cluster instead.
DATABASE_VARIABLES = (
    *("DB_HOST", "DB_PORT", "DB_NAME"),
    *("DB_USER", "DB_PASS", "DB_TLS"),
)
ARCHITECTURES = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}  # Docker's names


def load(file: str = CONFIG, new: str = "") -> Config:
    """Return the whole configuration, see `load_document`."""
    config: Config = load_document(file, new).content
    return config


def load_document(file: str = CONFIG, new: str = "") -> yaml_document.Document:
    """Return the configuration, which is valid in all environments, with its lines.

    Args:
        file: path below the project's root, for tests of the stacks.
        new: a function that does not exist yet, and that the file may name.

    Raises:
        UserError: the file is missing or not valid, see `deploy_schema.check`.
    """
    try:
        text = (project.ROOT / file).read_bytes()
    except FileNotFoundError:
        raise UserError(f"the file {file} is missing: restore it from git") from None
    document = yaml_document.parse(text, file)
    functions = {*_list_names(document.content, file), *filter(None, [new])}
    deploy_schema.check(document, sorted(functions), project.answers().aws_region)
    return document


def read(env: str, file: str = CONFIG) -> Config:
    """Return the whole configuration, which has an environment.

    Args:
        env: a key of `environments`.
        file: path below the project's root, for tests of the stacks.

    Raises:
        UserError: the environment is unknown, or see `load`.
    """
    config = load(file)
    if env not in config["environments"]:
        known = ", ".join(config["environments"])
        raise UserError(f"ENV={env} is not in {file}: choose one of {known}")
    return config


def read_functions(env: str, file: str = CONFIG) -> dict[str, Config]:
    """Return the settings of each function in an environment, by function name.

    See `setting_layers` for which of them count.

    Raises:
        UserError: see `read`.
    """
    config = read(env, file)
    return {name: merge(config, env, name) for name in _list_names(config, file)}


def uses_containers() -> bool:
    """Return whether a function is a container in an environment on AWS.

    Raises:
        UserError: see `read`.
    """
    return any(
        function["runtime"] == "container"
        for env in load()["environments"]
        if env != "local"
        for function in read_functions(env).values()
    )


def is_protected(env: str) -> bool:
    """Return whether an environment must not be destroyed.

    Raises:
        UserError: see `read`.
    """
    own = read(env)["environments"][env] or {}
    return bool((own.get("database") or {}).get("is_protected"))


def list_stacks(env: str, file: str = CONFIG) -> tuple[str, ...]:
    """Return the stacks of an environment in their order.

    An existing network or database has no stack. That of an existing bucket has the
    rules by which its objects become messages.

    Raises:
        UserError: see `read`.
    """
    if env == "local":
        return EMULATED
    own = read(env, file)["environments"][env]
    existing = {"network": "network" in own, "aurora": "host" in own["database"]}
    return tuple(stack for stack in STACKS if not existing.get(stack))


def choose_stacks(env: str, target: str) -> tuple[str, ...]:
    """Return the stack that TARGET names, or all of an environment in their order.

    Args:
        env: a key of `environments`.
        target: a stack, or empty for all.

    Raises:
        UserError: the stack is unknown, or the environment does not have it.
    """
    known = list_stacks(env)
    skipped = [stack for stack in STACKS if stack not in known]
    if target in skipped:
        reason = (
            f"the shim does not emulate TARGET={target}"
            if env == "local"
            else f"{env} has no TARGET={target}, because {CONFIG} names an existing one"
        )
        remedy = ", or deploy to AWS with ENV=" if env == "local" else ""
        raise UserError(f"{reason}: choose one of {', '.join(known)}{remedy}")
    if target:
        require_stack(target, known)
        return (target,)
    if skipped:
        reason = (
            "the shim does not emulate them"
            if env == "local"
            else f"{CONFIG} names existing resources"
        )
        print(f"Skipped, because {reason}: {', '.join(skipped)}.", flush=True)
    return known


def require_stack(target: str, known: tuple[str, ...] = STACKS) -> None:
    """Check that TARGET names a stack of `infra/`.

    Raises:
        UserError: it does not.
    """
    if target not in known:
        raise UserError(f"TARGET={target} is unknown: choose one of {', '.join(known)}")


def _list_names(config: Any, file: str) -> list[str]:
    """Return the names of all functions; tests of the stacks have their own."""
    if file == CONFIG or not isinstance(config, dict):
        return project.functions()
    return list(config.get("functions") or {})
