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
    *("extra", "layer", "lambda", "ecr", "ecs"),
)
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


def is_protected(env: str) -> bool:
    """Return whether an environment must not be destroyed.

    Raises:
        UserError: see `read`.
    """
    own = read(env)["environments"][env] or {}
    return bool((own.get("database") or {}).get("is_protected"))


def choose_stacks(env: str, target: str) -> tuple[str, ...]:
    """Return the stack that TARGET names, or all of an environment in their order.

    Args:
        env: a key of `environments`.
        target: a stack, or empty for all.

    Raises:
        UserError: the stack is unknown, or the shim does not emulate it.
    """
    known = EMULATED if env == "local" else STACKS
    skipped = [stack for stack in STACKS if stack not in known]
    if target in skipped:
        raise UserError(
            f"the shim does not emulate TARGET={target}: choose one of "
            f"{', '.join(known)}, or deploy to AWS with ENV="
        )
    if target:
        require_stack(target, known)
        return (target,)
    if skipped:
        names = ", ".join(skipped)
        print(f"Skipped, because the shim does not emulate them: {names}.", flush=True)
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
