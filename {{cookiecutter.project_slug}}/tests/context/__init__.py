"""The unit wrapper: contexts for the tests, each for one situation.

They are the real `CustomContext`, with doubles in the place of boto3 and of the
database, so no test needs a server, a network or an AWS account.
"""

from pathlib import Path
from typing import Any

from context import CustomContext
from tests.mock.aws import BrokenStream, MockBoto3, answer
from tests.mock.rds import BrokenRds, MockRds

CONFIG = Path(__file__).parents[2] / "config" / "worker.yml"


def bare_context(*args: str, **libraries: Any) -> CustomContext:
    """No function's defaults, but those of the settings themselves.

    Args:
        args: command line.
        libraries: others than the doubles.
    """
    doubles: dict[str, Any] = {"boto3": MockBoto3(), "rds": MockRds(), **libraries}
    return CustomContext(args=args, **doubles)


def void_context(
    *args: str, function: str = "worker", **libraries: Any
) -> CustomContext:
    """Everything is there, and nothing is in it: empty bucket, queue and tables.

    Args:
        args: command line.
        function: whose defaults there are.
        libraries: others than the doubles.
    """
    config = CONFIG.with_name(f"{function}.yml")
    return bare_context(f"--const_path={config}", *args, **libraries)


def diff_delimiter_context() -> CustomContext:
    """Fields are parted by semicolons."""
    return void_context("--delimiter=;")


def broken_database_context() -> CustomContext:
    """The database fails at the end of each load."""
    return void_context(rds=BrokenRds())


def broken_stream_context(body: bytes) -> CustomContext:
    """Whatever is read from S3 is this, and then the connection ends."""
    context = void_context()
    context.s3.get_object = lambda **_: answer(BrokenStream(body), len(body) + 1)
    return context
