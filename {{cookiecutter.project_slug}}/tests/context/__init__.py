"""Contexts for unit tests.

They are the real `CustomContext` with test doubles for boto3 and the database, so tests
need no server, no network and no AWS account.
"""

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from context import CustomContext
from lib.database_errors import RetryReason
from settings_reader import list_settings
from tests.mock.aws import BrokenStream, MockBoto3, object_response
from tests.mock.rds import MockDriver, MockRds
from tools import function_specs

CONFIG = Path(__file__).parents[2] / "config" / "worker.yml"


def bare_context(*args: str, **options: Any) -> CustomContext:
    """Return a context with the defaults of the settings, without a function's config.

    Args:
        args: command-line arguments.
        options: further arguments of `CustomContext`, such as `message`, or `boto3` or
            `rds` to replace a double.
    """
    doubles: dict[str, Any] = {"boto3": MockBoto3(), "rds": MockRds(), **options}
    return CustomContext(args=args, **doubles)


def void_context(*args: str, function: str = "worker", **options: Any) -> CustomContext:
    """Return a context with empty buckets, empty queues and empty tables.

    It has the function's settings, and those that config/deploy.yml declares for it:
    the bucket, the queues it may send to, and its environment. Secrets have a value.

    Args:
        args: command-line arguments.
        function: function whose settings are used.
        options: further arguments of `CustomContext`: `message`, `clients` to replace
            clients by name, or `boto3` or `rds` to replace a double.
    """
    module = import_module(f"func.{function}")
    config = CONFIG.with_name(f"{function}.yml")
    own = getattr(module, "SETTINGS", [])
    names = {each.variable: name for name, each in list_settings(own).items()}
    declared = [
        f"--{names[variable]}={value}"
        for variable, value in declared_variables(function).items()
        if variable in names
    ]
    options = {"function": module, **options}
    return bare_context(f"--const_path={config}", *declared, *args, **options)


@cache
def declared_variables(function: str) -> dict[str, str]:
    """Return the variables of a function that config/deploy.yml declares."""
    deploy = yaml.safe_load(CONFIG.with_name("deploy.yml").read_text(encoding="utf-8"))
    variables = function_specs.list_shim_variables(deploy, function)
    secrets = {
        name.removesuffix("_SECRET"): f"the secret {secret}"
        for name, secret in variables.items()
        if name.endswith("_SECRET")
    }
    return {**variables, **secrets}


def diff_delimiter_context() -> CustomContext:
    """Return a context for files whose delimiter is a semicolon."""
    return void_context("--delimiter=;")


def broken_database_context() -> CustomContext:
    """Return a context whose database is lost at the first commit, and then refuses."""
    rds = MockRds()
    lost = MockDriver.OperationalError(RetryReason.CONNECTION_LOST)
    rds.failures = [lost] * 3
    return void_context(rds=rds)


def broken_stream_context(body: bytes) -> CustomContext:
    """Return a context whose S3 loses the connection after `body`."""
    context = void_context()
    context.s3.get_object = lambda **_: object_response(
        BrokenStream(body), len(body) + 1
    )
    return context
