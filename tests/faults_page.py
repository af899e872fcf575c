"""Write docs/faults.md: the faults that tests inject, and their outcomes."""

import importlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "faults.md"
HEAD = """\
# Faults

Each of these faults is injected for real, on PostgreSQL and on MySQL or MariaDB, with
MiniStack as S3 and SQS. `make faults` generates this table from the tests.

| fault | outcome | test |
|---|---|---|
"""


def page() -> str:
    """Return the page as Markdown."""
    lines = []
    for path in sorted(ROOT.glob("tests/test_*.py")):
        module = importlib.import_module(path.stem)
        for name, test in vars(module).items():
            for mark in getattr(test, "pytestmark", []):
                if mark.name == "fault":
                    fault, outcome = mark.args
                    source = f"[`{name}`](../tests/{path.name})"
                    lines.append(f"| {fault} | {outcome} | {source} |\n")
    return HEAD + "".join(lines)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))
    PAGE.write_text(page(), encoding="utf-8")
