"""Holds functions to the pattern's rule, where ruff does not: no open, no print.

What a function must not import is in pyproject.toml; ruff cannot ban what is built in
with a sentence of one's own.
"""

import ast
import sys
from pathlib import Path

INSTEAD = {
    "open": "a function has no disk: take objects from context.s3",
    "print": "return what there is to tell: the wrapper logs it, without secrets",
    "input": "take settings from the context: context.var",
    "__import__": "import by a statement, so that `make lint` sees it",
}


def main(paths: list[str]) -> int:
    """Print what breaks the rule in these files; return the exit code."""
    faults = [
        f"{path}:{node.lineno}:{node.col_offset + 1}: {node.id}: {INSTEAD[node.id]}"
        for path in paths
        for node in ast.walk(ast.parse(Path(path).read_text(encoding="utf-8")))
        if isinstance(node, ast.Name) and node.id in INSTEAD
    ]
    print("\n".join(faults), end="\n" if faults else "")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
