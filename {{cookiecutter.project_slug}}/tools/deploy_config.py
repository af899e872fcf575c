"""Reads config/deploy.yml: what there is to deploy, and how large functions are."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
CONFIG = "config/deploy.yml"
# The role is destroyed last: Lambda needs it to leave the network.
TARGETS = (
    *("role", "network", "queue", "bucket", "aurora"),
    *("layer", "lambda", "ecr", "ecs"),
)
EMULATED = ("role", "queue", "bucket", "layer", "lambda")
RUNTIMES = ("lambda", "container")
# and what Docker calls them
ARCHITECTURES = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}
# What there must be of each part, and how to say that.
PARTS: dict[str, tuple[Any, str]] = {
    "python": (str, 'a version, as in "3.13"'),
    "architecture": (str, " or ".join(ARCHITECTURES)),
    "defaults": (dict, "settings and their values"),
    "functions": (dict | None, "names and the settings of each"),
    "environments": (dict, "names and what is said of each"),
}
PLACE = ("cidr", "zones", "nat", "database")  # of an environment in AWS


class Refusal(Exception):  # noqa: N818 - not the program's error
    """What was asked for cannot be done; the message says why, and what to do."""


def read(environment: str, file: str = CONFIG) -> dict[str, Any]:
    """Return all of `config/deploy.yml`.

    Args:
        environment: the name of one that it must have.
        file: another file of its kind, below the project's folder.

    Raises:
        Refusal: it has not, or it names what is not there, or see `load`.
    """
    config = load(file)
    check(config, environment)
    return config


def load(file: str = CONFIG) -> dict[str, Any]:
    """Return all of `config/deploy.yml`, or of another file of its kind.

    Raises:
        Refusal: it is no YAML, or a part is not what it should be.
    """
    try:
        config = yaml.safe_load((ROOT / file).read_bytes())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}" if mark else ""
        told = getattr(error, "problem", None) or " ".join(str(error).split())
        raise Refusal(f"{file} is no YAML{place}: {told}") from None
    if not isinstance(config, dict):
        raise Refusal(f"{file} says none of {' '.join(PARTS)}")
    for part, (kind, wanted) in PARTS.items():
        found = config.get(part)
        if part not in config or not isinstance(found, kind):
            told = f"is {found!r}" if part in config else "is missing"
            raise Refusal(f"{part} of {file} {told}: say {wanted}")
    if config["architecture"] not in ARCHITECTURES:
        known = PARTS["architecture"][1]
        raise Refusal(
            f"architecture of {file} is {config['architecture']!r}: say {known}"
        )
    for part in ("functions", "environments"):
        for name, found in (config[part] or {}).items():
            if not isinstance(found, dict | None):
                raise Refusal(
                    f"{name} of {file} is {found!r}: say settings and their values"
                )
    return config


def functions(environment: str, file: str = CONFIG) -> dict[str, dict[str, Any]]:
    """Return the settings of each function of `src/func/` in an environment.

    Raises:
        Refusal: see `read`.
    """
    config = read(environment, file)
    own = config["environments"][environment] or {}
    return {
        name: {
            **config["defaults"],
            **(own.get("defaults") or {}),
            **((config["functions"] or {}).get(name) or {}),
            **((own.get("functions") or {}).get(name) or {}),
        }
        for name in names()
    }


def is_protected(environment: str) -> bool:
    """Tell whether an environment must not be destroyed.

    Raises:
        Refusal: see `read`.
    """
    own = read(environment)["environments"][environment] or {}
    return bool((own.get("database") or {}).get("is_protected"))


def names() -> list[str]:
    """Return the names of the functions."""
    return sorted(path.stem for path in (ROOT / "src" / "func").glob("[!_]*.py"))


def targets(environment: str, chosen: str | None) -> tuple[str, ...]:
    """Return the targets to take in an environment, in order.

    Raises:
        Refusal: there is no such target, or the shim cannot hold it.
    """
    if environment != "local":
        return known_target(chosen, TARGETS)
    if chosen in TARGETS and chosen not in EMULATED:
        raise Refusal(
            f"TARGET={chosen} is nothing that the shim can hold: it holds "
            f"{' '.join(EMULATED)}"
        )
    if not chosen:
        left_out = [each for each in TARGETS if each not in EMULATED]
        print(f"The shim cannot hold {' '.join(left_out)}: left out.", flush=True)
    return known_target(chosen, EMULATED)


def check(config: dict[str, Any], environment: str) -> None:
    """Check what `config/deploy.yml` says of functions.

    Args:
        config: all of it.
        environment: the name of one that it must have.

    Raises:
        Refusal: it has not, or it names what is not there.
    """
    environments = config["environments"]
    if environment not in environments:
        known = " ".join(environments)
        raise Refusal(
            f"ENV={environment} is not in config/deploy.yml: choose of {known}"
        )
    if not re.fullmatch("[a-z][a-z0-9]{0,7}", environment):
        raise Refusal(
            f"{environment} is no name for an environment: use 1 to 8 of a-z and 0-9"
        )
    own = environments[environment] or {}
    for setting in PLACE:
        if environment != "local" and setting not in own:
            raise Refusal(
                f"{environment} of config/deploy.yml does not say its {setting}"
            )
    for group in (config["functions"] or {}, own.get("functions") or {}):
        for name in set(group) - set(names()):
            raise Refusal(
                f"{name} of config/deploy.yml is no function: there is no "
                f"src/func/{name}.py"
            )
        for name, settings in group.items():
            check_settings(name, settings or {}, config["defaults"])
    for settings in (config["defaults"], own.get("defaults") or {}):
        check_settings("the defaults", settings, config["defaults"])


def check_settings(
    name: str, settings: dict[str, Any], defaults: dict[str, Any]
) -> None:
    """Check the settings of one function; every setting has a default."""
    for setting in set(settings) - set(defaults):
        raise Refusal(
            f"{setting}, which config/deploy.yml says of {name}, is unknown: the "
            f"defaults have {' '.join(defaults)}"
        )
    runtime = settings.get("runtime", "lambda")
    if runtime not in RUNTIMES:
        raise Refusal(
            f"the runtime of {name} is {runtime!r} in config/deploy.yml: say lambda or "
            "container"
        )
    if settings.get("min_tasks") == 0:
        raise Refusal(
            f"min_tasks of {name} is 0 in config/deploy.yml: say 1 or more, because "
            "nothing would start for fewer messages than backlog_per_task"
        )


def known_target(chosen: str | None, known: tuple[str, ...]) -> tuple[str, ...]:
    """Return the chosen target alone, or all where none is chosen.

    Raises:
        Refusal: there is no such target.
    """
    if chosen and chosen not in known:
        raise Refusal(f"TARGET={chosen} is unknown: choose one of {' '.join(known)}")
    return (chosen,) if chosen else known
