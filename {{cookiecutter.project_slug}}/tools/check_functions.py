"""Check `config/deploy.yml`, and that functions keep to it and to their context.

The imports that a function must not have are listed in `pyproject.toml`. Ruff cannot
ban built-in functions with a message of our own, so they are checked here.
"""

import ast
import sys
from collections.abc import Iterator

from tools import (
    check_declarations,
    check_variables,
    connections,
    deploy_config,
    function_specs,
)
from tools.errors import UserError
from tools.project import ROOT, answers, functions

INSTEAD = {
    "open": "a function has no disk, read objects with context.s3",
    "print": "return the report, the wrapper logs it without secrets",
    "input": "declare a setting and read it from context.var",
    "__import__": "use an import statement, so that `make lint` sees it",
}


def check() -> int:
    """Print each call that breaks a rule; return 1 if there is one, else 0.

    Functions that may open too many connections only get a warning.

    Raises:
        UserError: `config/deploy.yml` is wrong for one of its environments, or a
            function is not valid Python.
    """
    document = deploy_config.load_document()
    trees = {name: parse(name) for name in functions()}
    faults = [
        (deploy_config.CONFIG, line, 1, problem)
        for line, problem in check_variables.find_faults(document, trees)
    ]
    for name, tree in trees.items():
        declared = check_declarations.find_faults(
            name, tree, document.content, functions()
        )
        faults += [
            (f"src/func/{name}.py", node.lineno, node.col_offset + 1, problem)
            for node, problem in (*find_banned(tree), *declared)
        ]
    for env in document.content["environments"]:
        spec = function_specs.resolve(env)
        if problem := connections.find_problem(spec, answers().database):
            print(problem, file=sys.stderr)
    for fault in sorted(faults):
        print("{}:{}:{}: {}".format(*fault), file=sys.stderr)
    return int(bool(faults))


def find_banned(tree: ast.Module) -> Iterator[tuple[ast.expr, str]]:
    """Yield each built-in function that the context replaces."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in INSTEAD:
            yield node, f"{node.id}: {INSTEAD[node.id]}"


def parse(name: str) -> ast.Module:
    """Return the source code of a function as a tree.

    Raises:
        UserError: it is not valid Python.
    """
    file = f"src/func/{name}.py"
    try:
        return ast.parse((ROOT / file).read_bytes())
    except SyntaxError as error:
        line = f":{error.lineno}" if error.lineno else ""
        raise UserError(f"{file}{line}: not valid Python: {error.msg}") from None
    except ValueError as error:  # such as a NUL character before Python 3.12
        raise UserError(f"{file}: not valid Python: {error}") from None
