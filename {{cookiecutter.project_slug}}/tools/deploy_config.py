"""Read and check config/deploy.yml: how each function is deployed, and where."""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from tools import project
from tools.errors import UserError

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
RUNTIMES = ("lambda", "container")
ARCHITECTURES = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}  # Docker's names
# The type of each top-level key, and its description for messages.
TOP_LEVEL: dict[str, tuple[Any, str]] = {
    "python": (str, 'a version in quotes, such as "3.13"'),
    "architecture": (str, "x86_64 or arm64"),
    "defaults": (dict, "a mapping of settings to values"),
    "functions": (dict | None, "a mapping of function names to settings"),
    "environments": (dict, "a mapping of environment names to settings"),
}
# What a function is if its entry does not say otherwise. `prefix` is `<function>/`.
DEFAULTS: dict[str, Any] = {
    "trigger": "bucket",
    "suffix": "",
    "timezone": "UTC",
    "fifo": False,
    "sends_to": [],
    "reads": [],
    "writes": [],
    "environment": {},
    "secrets": {},
    "allow": [],
    "database": True,
    "internet": False,
}
DECLARATIONS = (*DEFAULTS, "prefix", "schedule", "topic")  # not settings of size
MERGED = ("environment", "secrets")  # key by key
# Seconds that a Lambda needs for a message: RESERVE_SECONDS of its wrapper.
RESERVE = 5
REQUIRED_ON_AWS = ("cidr", "zones", "database")  # keys of an environment

Config = dict[str, Any]


def load(file: str = CONFIG) -> Config:
    """Return the whole configuration, with the types of its parts checked.

    Args:
        file: path below the project's root, for tests of the stacks.

    Raises:
        UserError: the file is not valid YAML, or a part has the wrong type.
    """
    config = _parse(file)
    for key in TOP_LEVEL:
        _check_type(config, key, file)
    if config["architecture"] not in ARCHITECTURES:
        raise UserError(
            f"the architecture in {file} is {config['architecture']!r}: use x86_64 or "
            "arm64"
        )
    for key in ("functions", "environments"):
        for name, value in (config[key] or {}).items():
            if not isinstance(value, dict | None):
                raise UserError(
                    f"{key[:-1]} {name} in {file} is {value!r}: use a mapping of "
                    "settings to values"
                )
    return config


def read(env: str, file: str = CONFIG) -> Config:
    """Return the whole configuration, checked for one environment.

    Args:
        env: a key of `environments`.
        file: path below the project's root, for tests of the stacks.

    Raises:
        UserError: the environment is unknown, a setting is wrong, or see `load`.
    """
    config = load(file)
    _check_environment(config, env, file)
    names = _list_names(config, file)
    for function in _list_configured(config, env):
        if function not in names:
            raise UserError(
                f"function {function} in {file} does not exist: there is no "
                f"src/func/{function}.py"
            )
    known = (*config["defaults"], *DECLARATIONS)
    for owner, settings in _list_settings(config, env):
        _check_settings(owner, settings, known, file)
    for function in names:
        settings = _merge_settings(config, env, function)
        if settings.get("runtime") == "lambda":
            _check_batch(function, settings, file)
    return config


def read_functions(env: str, file: str = CONFIG) -> dict[str, Config]:
    """Return the settings of each function in an environment, by function name.

    The environment's settings of a function override the function's, which override
    the environment's defaults, which override the defaults.

    Raises:
        UserError: see `read`.
    """
    config = read(env, file)
    names = _list_names(config, file)
    return {name: _merge_settings(config, env, name) for name in names}


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


def _parse(file: str) -> Config:
    try:
        config = yaml.safe_load((project.ROOT / file).read_bytes())
    except FileNotFoundError:
        raise UserError(f"the file {file} is missing: restore it from git") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise UserError(f"invalid YAML in {file}{line}: {problem}") from None
    if not isinstance(config, dict):
        raise UserError(f"the file {file} must have the keys {', '.join(TOP_LEVEL)}")
    return config


def _check_type(config: Config, key: str, file: str) -> None:
    wanted_type, description = TOP_LEVEL[key]
    if key not in config:
        raise UserError(f"the key {key} is missing in {file}: add {description}")
    if not isinstance(config[key], wanted_type):
        raise UserError(
            f"the key {key} in {file} is {config[key]!r}: use {description}"
        )


def _check_environment(config: Config, env: str, file: str) -> None:
    environments = config["environments"]
    if env not in environments:
        known = ", ".join(map(str, environments))
        raise UserError(f"ENV={env} is not in {file}: choose one of {known}")
    if not re.fullmatch("[a-z][a-z0-9]{0,7}", env):
        raise UserError(
            f"ENV={env} is not a valid name for an environment: use 1 to 8 of "
            "a-z and 0-9, beginning with a letter"
        )
    own = environments[env] or {}
    for key in REQUIRED_ON_AWS:
        if env != "local" and key not in own:
            raise UserError(f"environment {env} in {file} lacks {key}: add it")


def _list_names(config: Config, file: str) -> list[str]:
    """Return the names of all functions; tests of the stacks have functions of their own."""
    return project.functions() if file == CONFIG else list(config["functions"] or {})


def _list_configured(config: Config, env: str) -> Iterator[str]:
    own = config["environments"][env] or {}
    yield from config["functions"] or {}
    yield from own.get("functions") or {}


def _list_settings(config: Config, env: str) -> Iterator[tuple[str, Config]]:
    own = config["environments"][env] or {}
    for functions in (config["functions"] or {}, own.get("functions") or {}):
        for name, settings in functions.items():
            yield f"function {name}", settings or {}
    for defaults in (config["defaults"], own.get("defaults") or {}):
        yield "the defaults", defaults


def _merge_settings(config: Config, env: str, function: str) -> Config:
    own = config["environments"][env] or {}
    layers = [
        DEFAULTS,
        config["defaults"],
        own.get("defaults") or {},
        (config["functions"] or {}).get(function) or {},
        (own.get("functions") or {}).get(function) or {},
    ]
    merged: Config = {}
    for layer in layers:
        for key, value in layer.items():
            known = merged.get(key) or {}
            merged[key] = {**known, **value} if key in MERGED else value
    return merged


def _check_batch(function: str, settings: Config, file: str) -> None:
    """Check that a Lambda can start all messages of a batch before they are dead.

    An invocation starts messages while `RESERVE` seconds are left. The others return to
    the queue, and each time they spend one of their receives.
    """
    names = ("timeout", "batch_size", "batch_window", "max_receives")
    for name in names:
        if type(settings.get(name)) is not int:
            raise UserError(
                f"the setting {name} is {settings.get(name)!r} for function {function} "
                f"in {file}: use a whole number"
            )
    timeout, size, window, receives = (settings[name] for name in names)
    if not 2 * RESERVE <= timeout <= 900:
        raise UserError(
            f"the timeout is {timeout} for function {function} in {file}: use "
            f"{2 * RESERVE} to 900, because a Lambda starts no message with less than "
            f"{RESERVE} s left"
        )
    if size > 10 and window < 1:
        raise UserError(
            f"batch_size is {size} for function {function} in {file}, and batch_window "
            f"is {window}: use a batch_window of 1 or more for more than 10 messages"
        )
    startable = receives * (timeout // RESERVE)
    if size > startable:
        raise UserError(
            f"batch_size is {size} for function {function} in {file}: use {startable} "
            f"or less with timeout {timeout} and max_receives {receives}, because "
            "further messages would become dead letters without being started"
        )


def _check_settings(
    owner: str, settings: Config, known: tuple[str, ...], file: str
) -> None:
    for setting in settings:
        if setting not in known:
            raise UserError(
                f"unknown setting {setting} for {owner} in {file}: choose one of "
                f"{', '.join(known)}"
            )
    runtime = settings.get("runtime", "lambda")
    if runtime not in RUNTIMES:
        raise UserError(
            f"the runtime is {runtime!r} for {owner} in {file}: use lambda or container"
        )
    if settings.get("min_tasks") == 0:
        raise UserError(
            f"the setting min_tasks is 0 for {owner} in {file}: use 1 or more, because "
            "autoscaling would start no task for fewer messages than backlog_per_task"
        )
