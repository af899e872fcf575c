"""The places that a function's settings come from, and which one counts.

An environment's settings of a function override the function's, which override the
environment's defaults, which override the defaults, which override the schema's.
"""

import json
from functools import cache
from typing import Any

from tools.errors import UserError
from tools.project import ROOT
from tools.yaml_document import Path

SCHEMA = "config/deploy.schema.json"
MERGED = ("environment", "secrets")  # key by key; all other settings are replaced

Config = dict[str, Any]


@cache
def read_schema() -> Config:
    """Return the JSON Schema of `config/deploy.yml`.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        found: Config = json.loads((ROOT / SCHEMA).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{SCHEMA} is missing: restore it from git") from None
    except ValueError as error:
        raise UserError(f"{SCHEMA} is damaged ({error}): restore it from git") from None
    return found


def read_defaults() -> Config:
    """Return what a function is if `config/deploy.yml` does not say otherwise."""
    keys = read_schema()["$defs"]["function"]["properties"]
    return {key: each["default"] for key, each in keys.items() if "default" in each}


def merge(config: Config, env: str, function: str) -> Config:
    """Return all settings of a function in an environment.

    Args:
        config: the content of `config/deploy.yml`.
        env: an environment; empty for the settings that all of them share.
        function: the function.
    """
    merged = read_defaults()
    for _, layer in list_layers(config, env, function):
        for key, value in layer.items():
            known = merged.get(key) or {}
            merged[key] = {**known, **value} if key in MERGED else value
    return merged


def locate(config: Config, env: str, function: str, key: str) -> Path:
    """Return the path of the setting that counts, or where it could be added.

    That is beside the function's own settings in the environment, if it has some.
    """
    layers = list_layers(config, env, function)
    for path, layer in reversed(layers):
        if key in layer:
            return (*path, key)
    last, layer = layers[-1]
    return (*last, key) if layer else ("functions", function, key)


def list_places(config: Config) -> list[tuple[Path, Config]]:
    """Return path and content of each place with `defaults` and `functions`."""
    environments = config["environments"].items()
    own = [(("environments", env), each or {}) for env, each in environments]
    return [((), config), *own]


def list_layers(config: Config, env: str, function: str) -> list[tuple[Path, Config]]:
    """Return the path and the content of each place, the one that counts last."""
    own = (config["environments"].get(env) or {}) if env else {}
    return [
        (("defaults",), config["defaults"]),
        (("environments", env, "defaults"), own.get("defaults") or {}),
        (("functions", function), _get(config, function)),
        (("environments", env, "functions", function), _get(own, function)),
    ]


def _get(place: Config, function: str) -> Config:
    functions = place.get("functions") or {}
    return functions.get(function) or {}
