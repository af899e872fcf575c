"""The options of the shim, validated."""

import argparse
import os
import re
import shlex
from collections.abc import Sequence
from typing import NamedTuple

from tests.shim import database
from tests.shim.processes import ShimError
from tools.project import answers

AWS_PORT = 4566
MODES = ("auto", "docker", "process")
TARGET = re.compile(r"[a-z_]+")
ASSIGNMENT = re.compile(r"[A-Z_]+=.*", re.DOTALL)


class Options(NamedTuple):
    """Where and how the shim runs."""

    aws_port: int
    db_port: int
    mode: str
    targets: list[str]
    region: str


def parse_options(arguments: Sequence[str]) -> Options:
    """Return the options of a command line; an empty value counts as absent.

    Raises:
        ShimError: a value is invalid.
    """
    parser = argparse.ArgumentParser(
        prog="shim.py", description="Run S3, SQS and the database until Ctrl-C."
    )
    parser.add_argument("--aws-port", default="", help=f"default: {AWS_PORT}")
    parser.add_argument("--db-port", default="", help=f"default: {database.PORT}")
    parser.add_argument("--mode", default="", help=" or ".join(MODES))
    parser.add_argument(
        "--for",
        default="",
        dest="targets",
        help="run make with these targets and variables, then stop",
    )
    given = parser.parse_args(arguments)
    options = Options(
        aws_port=_port("AWS_PORT", given.aws_port, AWS_PORT),
        db_port=_port("DB_PORT", given.db_port, database.PORT),
        mode=given.mode or "auto",
        targets=_targets(given.targets),
        region=os.environ.get("AWS_REGION") or answers().aws_region,
    )
    if options.mode not in MODES:
        raise ShimError(f"SHIM={given.mode} is unknown: choose docker or process")
    if options.aws_port == options.db_port:
        raise ShimError(f"AWS_PORT and DB_PORT are both {options.db_port}: change one")
    return options


def _port(name: str, text: str, default: int) -> int:
    if not text:
        return default
    if text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535:
        return int(text)
    raise ShimError(f"{name}={text} is not a port: choose a number from 1 to 65535")


def _targets(text: str) -> list[str]:
    """Return the words of FOR; nothing else than targets and variables is accepted."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ShimError(f"FOR={text} has {error}: fix its quotes") from None
    for word in words:
        if not (TARGET.fullmatch(word) or ASSIGNMENT.fullmatch(word)):
            raise ShimError(
                f"FOR has {word!r}, which is neither a make target nor NAME=value: "
                "use it as in FOR='run FUNC=worker'"
            )
    return words
