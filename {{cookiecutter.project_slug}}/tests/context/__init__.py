"""Contexts for unit tests.

They are the real `CustomContext` with test doubles for boto3 and the database, so tests
need no server, no network and no AWS account.
"""

from pathlib import Path
from typing import Any

from context import CustomContext
from tests.mock.aws import BrokenStream, MockBoto3, object_response
from tests.mock.rds import BrokenRds, MockRds

CONFIG = Path(__file__).parents[2] / "config" / "worker.yml"


def bare_context(*args: str, **libraries: Any) -> CustomContext:
    """Return a context with the defaults of the settings, without a function's config.

    Args:
        args: command-line arguments.
        libraries: `boto3` or `rds`, to replace a test double.
    """
    doubles: dict[str, Any] = {"boto3": MockBoto3(), "rds": MockRds(), **libraries}
    return CustomContext(args=args, **doubles)


def void_context(
    *args: str, function: str = "worker", **libraries: Any
) -> CustomContext:
    """Return a context with empty buckets, an empty queue and empty tables.

    Args:
        args: command-line arguments.
        function: function whose config is used.
        libraries: `boto3` or `rds`, to replace a test double.
    """
    config = CONFIG.with_name(f"{function}.yml")
    return bare_context(f"--const_path={config}", *args, **libraries)


def diff_delimiter_context() -> CustomContext:
    """Return a context for files whose delimiter is a semicolon."""
    return void_context("--delimiter=;")


def broken_database_context() -> CustomContext:
    """Return a context whose database fails at each commit."""
    return void_context(rds=BrokenRds())


def broken_stream_context(body: bytes) -> CustomContext:
    """Return a context whose S3 loses the connection after `body`."""
    context = void_context()
    context.s3.get_object = lambda **_: object_response(
        BrokenStream(body), len(body) + 1
    )
    return context
