"""The project's root directory and the answers that it was generated with."""

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / ".build"


class Answers(NamedTuple):
    """The answers that programs need, see `.portable.json`."""

    project_slug: str
    aws_region: str
    iac: str
    database: str


@cache
def answers() -> Answers:
    """Return the answers given when the project was generated."""
    text = (ROOT / ".portable.json").read_text(encoding="utf-8")
    found = json.loads(text)
    return Answers(**{name: found[name] for name in Answers._fields})


def functions() -> list[str]:
    """Return the names of the functions: one for each file of `src/func/`."""
    return sorted(path.stem for path in (ROOT / "src" / "func").glob("[!_]*.py"))
