"""Measures how many small mistakes the unit tests of a project notice.

Each mutant is the project with one change to its code, such as `<` instead of `<=`.
It is killed if the unit tests fail or take too long, otherwise it has survived. A run
takes a sample of the mutants of each file.
"""

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any, NamedTuple

import yaml

from baking import ROOT, Project, bake, clean_environment

RUNNER = ROOT / "tests" / "mutant_runner.py"
EQUIVALENT = ROOT / "tests" / "equivalent_mutants.yml"
# The code that unit tests are for: what runs on AWS, and what decides what is deployed.
SOURCES = (
    *("src/common/*.py", "src/lib/*.py", "src/func/*.py"),
    *("tools/build.py", "tools/deploy_*.py", "tools/function_*.py", "tools/grants.py"),
)
TOOLS_TESTS = "tools/tests"  # of the tools; all else has its tests in `tests`
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}


class Mutant(NamedTuple):
    """A change to a file: its line, what it changes, and which change of which node."""

    file: str
    line: int
    change: str
    node: int
    number: int


def find_mutants(file: str, text: str) -> list[Mutant]:
    """Return all mutants of a file."""
    mutants = []
    for index, node in enumerate(visit(ast.parse(text))):
        for number in range(len(list(mutate(node)))):
            after = list(mutate(copy.deepcopy(node)))[number]()
            change = f"{shorten(ast.unparse(node))}  →  {shorten(after)}"
            mutants.append(Mutant(file, node.lineno, change, index, number))
    return mutants


def apply(mutant: Mutant, text: str) -> str:
    """Return the text of a mutant's file with the change."""
    tree = ast.parse(text)
    list(mutate(list(visit(tree))[mutant.node]))[mutant.number]()
    return ast.unparse(tree)


def visit(node: ast.AST) -> Iterator[Any]:
    """Yield the nodes that can be mutated: neither types nor docstrings."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import | ast.ImportFrom):
        return
    if isinstance(node, ast.stmt | ast.expr | ast.keyword):
        yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases"):
            continue
        for each in value if isinstance(value, list) else [value]:
            is_docstring = isinstance(each, ast.Expr) and isinstance(
                each.value, ast.Constant
            )
            if isinstance(each, ast.AST) and not is_docstring:
                yield from visit(each)


def mutate(node: Any) -> Iterator[Any]:
    """Yield functions that change the node and return its new source."""

    def replace(name: str, value: Any) -> Any:
        def change() -> str:
            setattr(node, name, value)
            return ast.unparse(node)

        return change

    def become(other: ast.AST) -> Any:
        def change() -> str:
            location = {"lineno": node.lineno, "col_offset": node.col_offset}
            node.__class__ = other.__class__
            node.__dict__ = {**other.__dict__, **location}
            return ast.unparse(node)

        return change

    match node:
        case ast.Compare(ops=[operator]) if type(operator) in COMPARISONS:
            yield replace("ops", [COMPARISONS[type(operator)]()])
        case ast.BoolOp(op=ast.And()):
            yield replace("op", ast.Or())
        case ast.BoolOp(op=ast.Or()):
            yield replace("op", ast.And())
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield become(copy.copy(operand))
        case ast.BinOp(op=sign) if type(sign) in OPERATORS:
            yield replace("op", OPERATORS[type(sign)]())
        case ast.AugAssign(op=sign) if type(sign) in OPERATORS:
            yield replace("op", OPERATORS[type(sign)]())
        case ast.Constant(value=bool() as value):
            yield replace("value", not value)
        case ast.Constant(value=int() as value):
            yield replace("value", value + 1)
        case ast.Constant(value=float() as value):
            yield replace("value", value + 1)
        case ast.Return(value=ast.expr()) if not is_constant(node.value):
            yield replace("value", ast.Constant(None))
        case ast.If() | ast.While() | ast.IfExp() if not isinstance(
            node.test, ast.Compare | ast.BoolOp | ast.UnaryOp
        ):
            yield replace("test", ast.UnaryOp(ast.Not(), node.test))
        case ast.Expr(value=ast.Call()) | ast.Raise():
            yield become(ast.Pass())
        case ast.Continue():
            yield become(ast.Break())
        case ast.Break():
            yield become(ast.Continue())
        case ast.Call(keywords=[*keywords]) if keywords:
            for at, keyword in enumerate(keywords):
                if keyword.arg:
                    yield replace("keywords", keywords[:at] + keywords[at + 1 :])


def is_constant(node: ast.expr | None) -> bool:
    """Return whether an expression is a constant, which other changes are for."""
    return isinstance(node, ast.Constant)


def shorten(text: str) -> str:
    """Return the first line of a text, or its first 60 characters."""
    return (text.splitlines() or [""])[0][:60]


class Workshop:
    """Copies of a project, in each of which one mutant at a time is tested."""

    def __init__(self, project: Project, directory: Path, workers: int) -> None:
        self._all = []
        self._free: Queue[Runner] = Queue()
        for number in range(workers):
            path = directory / str(number)
            shutil.copytree(project.path, path, symlinks=True)
            self._all.append(Runner(path))
        for runner in self._all:
            if runner.read_exit_code() != 0:
                raise SystemExit("The unit tests fail without any mutant.")
            self._free.put(runner)

    def is_killed(self, mutant: Mutant) -> bool:
        """Return whether the unit tests notice a mutant; print it if they do not."""
        runner = self._free.get()
        is_killed = runner.is_killed(mutant)
        self._free.put(runner)
        if not is_killed:
            print(f"{mutant.file}:{mutant.line}: {mutant.change}", flush=True)
        return is_killed

    def close(self) -> None:
        """End the processes that run tests."""
        for runner in self._all:
            runner.close()


class Runner:
    """A copy of a project, and the process that runs its unit tests."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._process = subprocess.Popen(
            [path / ".venv/bin/python", RUNNER, "tests", TOOLS_TESTS],
            cwd=path,
            env=clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def read_exit_code(self) -> int:
        """Return the exit code of the tests that run."""
        assert self._process.stdout
        return int(self._process.stdout.readline())

    def is_killed(self, mutant: Mutant) -> bool:
        """Return whether the unit tests notice a mutant: its own first, then all."""
        path = self._path / mutant.file
        original, times = path.read_text(encoding="utf-8"), path.stat()
        path.write_text(apply(mutant, original), encoding="utf-8")
        os.utime(path, (0, 0))  # so that Python does not take it for the original
        is_tool = mutant.file.startswith("tools/")
        tests = self._path / (TOOLS_TESTS if is_tool else "tests")
        own = sorted(tests.rglob(f"test_{path.stem}*.py"))
        near = tests / path.parent.name
        order = [*own, near, tests] if near.exists() else [*own, tests]
        assert self._process.stdin
        print(*order, file=self._process.stdin, flush=True)
        is_killed = self.read_exit_code() != 0
        path.write_text(original, encoding="utf-8")
        os.utime(path, (times.st_atime, times.st_mtime))
        return is_killed

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def choose(
    project: Project, patterns: Sequence[str], count: int, seed: int
) -> list[Mutant]:
    """Return a sample of each file's mutants, without those known as equivalent."""
    known = yaml.safe_load(EQUIVALENT.read_text(encoding="utf-8")) or []
    equivalent = {(each["file"], each["change"]) for each in known}
    chosen = []
    for pattern in patterns:
        for path in sorted(project.path.glob(pattern)):
            file = str(path.relative_to(project.path))
            found = find_mutants(file, path.read_text(encoding="utf-8"))
            left = [each for each in found if (file, each.change) not in equivalent]
            sampled = random.Random(f"{seed} {file}").sample(
                left, min(count or len(left), len(left))
            )
            chosen += sampled
    return chosen


def report(results: dict[Mutant, bool]) -> None:
    """Print the share of killed mutants of each file."""
    files: dict[str, list[bool]] = defaultdict(list)
    for mutant, is_killed in results.items():
        files[mutant.file].append(is_killed)
    print(f"\n{'file':34} mutants  killed")
    for file, killed in sorted(files.items()):
        share = 100 * sum(killed) / len(killed)
        print(f"{file:34} {len(killed):7}  {share:4.0f} %")
    everything = list(results.values())
    share = 100 * sum(everything) / len(everything)
    print(f"{'all':34} {len(everything):7}  {share:4.0f} %")


def main() -> None:
    """Test a sample of mutants and print the results."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--file", help="pattern of files, as in 'src/lib/rows.py'")
    parser.add_argument("--count", type=int, default=10, help="of each file; 0: all")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--database", default="postgres")
    options = parser.parse_args()
    print(f"seed {options.seed}; these mutants survive:", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        project = bake(Path(directory), database=options.database).share_installs()
        patterns = [options.file] if options.file else SOURCES
        mutants = choose(project, patterns, options.count, options.seed)
        if not mutants:
            sys.exit(f"No file of a project matches {options.file}.")
        workers = os.cpu_count() or 1
        workshop = Workshop(project, Path(directory), workers)
        with ThreadPoolExecutor(workers) as pool:
            killed = list(pool.map(workshop.is_killed, mutants))
        workshop.close()
    report(dict(zip(mutants, killed, strict=True)))


if __name__ == "__main__":
    main()
