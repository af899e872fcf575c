"""The project: its root directory, its functions and its answers."""

import json
import shlex
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tools.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / ".build"


class Answers(NamedTuple):
    """The answers in `.portable.json` that the tools need."""

    project_slug: str
    aws_region: str
    iac: str
    database: str


@cache
def answers() -> Answers:
    """Return the answers that the project was generated with.

    Raises:
        UserError: they are missing or damaged.
    """
    record = ROOT / ".portable.json"
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
        return Answers(**{name: str(found[name]) for name in Answers._fields})
    except FileNotFoundError:
        hint = "restore it from git"
        if (ROOT / ".choices").exists():
            hint = "see .choices/README.md"
        raise UserError(f".portable.json is missing: {hint}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f".portable.json is damaged ({error!r}): restore it from git"
        ) from None


def functions() -> list[str]:
    """Return the names of all functions: each is a file in `src/func/`."""
    return sorted(path.stem for path in (ROOT / "src" / "func").glob("[!_]*.py"))


def require_function(func: str) -> None:
    """Check that a function exists.

    Raises:
        UserError: it does not.
    """
    known = functions()
    if func not in known:
        given = f"FUNC={func} is not a function" if func else "FUNC= is missing"
        raise UserError(f"{given}: choose one of {' '.join(known)}")


def require_file(variable: str, path: Path, example: str) -> None:
    """Check that a file exists.

    Args:
        variable: the make variable that names it.
        path: the file.
        example: a file that could be named instead.

    Raises:
        UserError: it does not.
    """
    if not path.is_file():
        raise UserError(f"{variable}={path} is not a file: try {variable}={example}")


def split_arguments(variable: str, text: str) -> list[str]:
    """Split the value of a make variable into arguments, as a shell would.

    Nothing in them is expanded or run.

    Raises:
        UserError: a quotation mark is not closed.
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UserError(f"{variable}={text} cannot be split: {error}") from None
