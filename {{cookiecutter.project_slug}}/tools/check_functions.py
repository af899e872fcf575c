"""Check that functions take their I/O from the context, where ruff cannot.

The imports that a function must not have are listed in `pyproject.toml`. Ruff cannot
ban built-in functions with a message of our own, so they are checked here.
"""

import ast
import sys

from tools.project import ROOT, functions

INSTEAD = {
    "open": "a function has no disk, read objects with context.s3",
    "print": "return the report, the wrapper logs it without secrets",
    "input": "declare a setting and read it from context.var",
    "__import__": "use an import statement, so that `make lint` sees it",
}


def check() -> int:
    """Print each call that breaks the rule; return 1 if there is one, else 0."""
    faults = [
        f"src/func/{name}.py:{node.lineno}:{node.col_offset + 1}: "
        f"{node.id}: {INSTEAD[node.id]}"
        for name in functions()
        for node in ast.walk(ast.parse(read_source(name)))
        if isinstance(node, ast.Name) and node.id in INSTEAD
    ]
    for fault in faults:
        print(fault, file=sys.stderr)
    return int(bool(faults))


def read_source(name: str) -> str:
    """Return the source code of a function."""
    return (ROOT / "src" / "func" / f"{name}.py").read_text(encoding="utf-8")
