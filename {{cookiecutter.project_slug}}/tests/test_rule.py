"""The pattern's rule: a function gets its I/O from the context."""

import ast
import sys
from pathlib import Path

import pytest

FUNCTIONS = sorted((Path(__file__).parents[1] / "src" / "func").glob("[!_]*.py"))
INJECTED = {"boto3", "botocore", "psycopg", "pymysql"}


@pytest.mark.parametrize("path", FUNCTIONS, ids=lambda path: path.stem)
def test_function_imports_no_client(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module.split(".")[0])
    assert not imported & INJECTED, "take it from the context instead"


def test_unit_tests_load_no_client() -> None:
    assert not INJECTED & set(sys.modules)
