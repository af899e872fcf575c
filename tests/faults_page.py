"""Writes docs/faults.md: the faults that tests inject, and what must hold."""

import importlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "faults.md"
HEAD = """\
# Faults

Each of these is injected for real, on PostgreSQL and on MySQL or MariaDB, with
MiniStack as S3 and SQS. The table is made of the tests: `make faults`.

| fault | what holds | test |
|---|---|---|
"""


def page() -> str:
    """Return the page."""
    lines = []
    for path in sorted(ROOT.glob("tests/test_*.py")):
        module = importlib.import_module(path.stem)
        for name, test in vars(module).items():
            for mark in getattr(test, "pytestmark", []):
                if mark.name == "fault":
                    what, holds = mark.args
                    source = f"[`{name}`](../tests/{path.name})"
                    lines.append(f"| {what} | {holds} | {source} |\n")
    return HEAD + "".join(lines)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))
    PAGE.write_text(page(), encoding="utf-8")
