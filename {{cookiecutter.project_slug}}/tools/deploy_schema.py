"""Check `config/deploy.yml`: its JSON Schema first, then what that cannot express.

Your editor checks the file by the same schema, and shows its descriptions. A value that
is wrong gets one sentence with its line and what to write instead.
"""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from tools import deploy_rules
from tools.errors import suggest
from tools.setting_layers import read_schema
from tools.yaml_document import Document, Path, join, show

# Keys of earlier versions, and what takes their place.
REMOVED = {"nat": "write internet: true for each function that calls the internet"}


def check(document: Document, functions: Iterable[str], region: str) -> None:
    """Check the whole file, with all of its environments.

    Args:
        document: the file.
        functions: names of the functions in `src/func/`.
        region: where the project is deployed.

    Raises:
        UserError: something is wrong; it describes the first problem.
    """
    for path, problem in deploy_rules.find_misread_numbers(document):
        raise document.error(path, problem)
    if problems := _find_problems(document.content):
        # by line; but a misspelled key is the reason why another one is missing
        path, problem, _ = min(
            problems,
            key=lambda each: (each[2], document.find_line(each[0]), len(each[0])),
        )
        raise document.error(path, problem)
    for path, problem in deploy_rules.find_problems(document, list(functions), region):
        raise document.error(path, problem)


def _find_problems(config: Any) -> list[tuple[Path, str, bool]]:
    """Return path and description of each violation, and if a key is missing."""
    try:
        from jsonschema import Draft202012Validator as Base
        from jsonschema.validators import extend
    except ImportError:  # in the container of the shim's emulator
        return []

    # 1.0 is no whole number here, and no number is infinite
    types = Base.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    types = types.redefine("number", lambda _, value: _is_number(value))
    validator = extend(Base, type_checker=types)(read_schema())
    found = []
    for error in validator.iter_errors(config):
        path, problem = _explain(error, tuple(error.absolute_path))
        found.append((path, problem, error.validator == "required"))
    return found


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


def _explain(error: Any, path: Path) -> tuple[Path, str]:
    """Return where and what an error of the validator is."""
    name = join(path)
    if "propertyNames" in error.absolute_schema_path:
        key = error.instance
        problem = f"{join((*path, key))} is not a valid name: {describe(error.schema)}"
        return (*path, key), problem
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        key = next(key for key in error.instance if key not in known)
        return (*path, key), f"unknown key {join((*path, key))}: {_place(key, known)}"
    if error.validator == "required":
        missing = next(
            key for key in error.validator_value if key not in error.instance
        )
        return path, f"{name or 'the file'} lacks {missing}: add it"
    value = "not valid" if "secrets" in path else show(error.instance)
    return path, f"{name or 'the file'} is {value}: {describe(error.schema)}"


def _place(key: str, known: Iterable[str]) -> str:
    """Return what to write instead of a key, or where, if others are known there."""
    if key in read_schema()["$defs"]["function"]["properties"]:
        return "write it below defaults, or below functions for one of them"
    return REMOVED.get(key) or suggest(key, known)


def describe(schema: Mapping[str, Any]) -> str:
    """Return which values a schema allows, as a request."""
    if "errorMessage" in schema:
        return str(schema["errorMessage"])
    if "enum" in schema:
        *others, last = (_write(value) for value in schema["enum"])
        return f"use {', '.join(others)} or {last}"
    if schema["type"] == "boolean":
        return "use true or false"
    if schema["type"] in ("integer", "number"):
        return f"use {_describe_number(schema)}"
    return "use a mapping of settings to values"


def _write(value: Any) -> str:
    """Return a value as one writes it in YAML, in quotes if it needs them."""
    text = str(value)
    is_plain = not isinstance(value, str) or yaml.safe_load(text) == text
    return text if is_plain else json.dumps(text)


def _describe_number(schema: Mapping[str, Any]) -> str:
    kind = "a whole number" if schema["type"] == "integer" else "a number"
    low, high = schema["minimum"], schema.get("maximum")
    limits = f"of {low} or more" if high is None else f"from {low} to {high}"
    step = schema.get("multipleOf")
    return f"{kind} {limits}" + (f" in steps of {step}" if step else "")
