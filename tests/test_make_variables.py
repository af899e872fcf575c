"""Values of make variables are data: nothing in them is run or expanded."""

import json
from pathlib import Path

import pytest

from baking import TEMPLATE, Project, bake
from make_menu import read_recipes, read_variables

# Each creates the file `x` if make or a shell takes it for code.
HOSTILE = (
    "$(touch x)",
    "$(shell touch x)",
    "${shell touch x}",
    "`touch x`",
    "; touch x;",
    '"; touch x; "',
    "'; touch x; '",
    'a\\"; touch x; \\"',
    "&& touch x",
    "| touch x",
    "> x",
    "$$(touch x)",
    '"$(touch x)"',
)
TARGETS = [name for name in read_recipes(TEMPLATE) if name != "help"]
# Stands for all programs that recipes run: it records its arguments and variables.
STUB = """\
#!{python}
import json, os, sys
values = [os.environ.get(name, "") for name in os.environ["NAMES"].split()]
with open(os.environ["CALLS"], "a") as file:
    print(json.dumps([*sys.argv[1:], *values]), file=file)
"""
# Targets whose program is not a stub, and how they begin to use each value.
REAL = (
    *("new FUNC", "run FUNC", "invoke FUNC", "event FILE", "event FUNC", "event ENV"),
    *("new TRIGGER", "send FUNC", "send FILE", "send ENV", "parity FUNC"),
    "sanity_check FUNC",
    *("new TABLE", "migrate ENV", "migrate STATEMENT", "run DEBUG", "sync FUNC"),
    *("invoke MESSAGE", "trace MESSAGE", "sync ENV"),
    *("queue ENV", "logs FUNC", "sql ENV", "build TARGET", "build ENV", "plan TARGET"),
    *("update ANSWERS", "update VERSION", "update TEMPLATE"),
    *("replay FUNC", "replay STATE", "replay SINCE", "dead FUNC", "redrive FUNC"),
    *("undo LOAD", "reload OBJECT", "rejects LOAD"),
    *("cost ENV", "plan ENV", "test TARGET", "test TEST_ARGS", "shim SHIM", "shim FOR"),
    *("shim AWS_PORT", "doctor ENV", "comment REPORT", "cockpit FUNC"),
)


@pytest.fixture
def stubbed(tmp_path: Path) -> Project:
    """A project whose Python and whose programs record their arguments."""
    project = bake(tmp_path)
    programs = project.path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "ruff"):
        write_stub(programs / name)
    (project.path / ".venv" / "pyvenv.cfg").touch()
    return project


def write_stub(path: Path) -> None:
    """Write a program that records its arguments."""
    path.write_text(STUB.format(python="/usr/bin/env python3"), encoding="utf-8")
    path.chmod(0o755)


def calls_of(project: Project, target: str, *variables: str) -> list[list[str]]:
    """Run a target; return the arguments and variables of each program that it ran."""
    file = project.path / "calls"
    file.write_text("", encoding="utf-8")
    stub = str(project.path / ".venv" / "bin" / "python")
    names = " ".join(each for each in read_variables(TEMPLATE) if each != "PYTHON")
    environment = {"CALLS": str(file), "PYTHON": stub, "NAMES": names}
    project.make(target, *variables, env=environment)
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("target", TARGETS)
def test_value_reaches_the_program_as_typed(stubbed: Project, target: str) -> None:
    """Each hostile value in all variables at once, from make's command line."""
    names = [name for name in read_variables(stubbed.path) if name != "PYTHON"]
    plain = calls_of(stubbed, target, *(f"{name}=plain" for name in names))
    for value in HOSTILE:
        calls = calls_of(stubbed, target, *(f"{name}={value}" for name in names))
        expected = [[word.replace("plain", value) for word in call] for call in plain]
        assert calls == expected
        assert not (stubbed.path / "x").exists(), value


@pytest.mark.parametrize("target", TARGETS)
def test_value_of_environment_is_data(stubbed: Project, target: str) -> None:
    names = [name for name in read_variables(stubbed.path) if name != "PYTHON"]
    stub = str(stubbed.path / ".venv" / "bin" / "python")
    for value in HOSTILE:
        environment = dict.fromkeys(names, value)
        calls = str(stubbed.path / "calls")
        environment |= {"CALLS": calls, "PYTHON": stub, "NAMES": ""}
        stubbed.make(target, env=environment)
        assert not (stubbed.path / "x").exists(), value


@pytest.mark.parametrize("target", ["install", "doctor", "shim"])
def test_value_of_python_is_a_program(stubbed: Project, target: str) -> None:
    (stubbed.path / ".venv" / "pyvenv.cfg").unlink()
    for value in HOSTILE:
        result = stubbed.make(target, f"PYTHON={value}", check=False)
        assert result.returncode != 0
        assert not (stubbed.path / "x").exists(), value


def test_variables_of_make_are_options_of_commands(installed: Project) -> None:
    """A variable that no command reads would be ignored without a word."""
    program = (
        "from tools.__main__ import COMMANDS\n"
        "print(*{option.variable for each in COMMANDS for option in each.options})"
    )
    options = installed.run(".venv/bin/python", "-c", program).stdout.split()
    others = {"PYTHON", "AWS_PORT", "DB_PORT", "SHIM", "FOR"}
    assert {*options} | others == {*read_variables(installed.path)}


def test_typed_option_overrides_variable(installed: Project) -> None:
    """Neither reaches the programs that a command starts."""
    tools = (".venv/bin/python", "-m", "tools", "test")
    env = {"TEST_ARGS": "--collect-only -q tests/test_rule.py", "ENV": "nowhere"}
    assert "test_rule" in installed.run(*tools, env=env).stdout
    typed = installed.run(*tools, "--test-args=tests/test_worker.py", env=env).stdout
    assert "test_rule" not in typed
    assert " passed" in typed


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with everything installed, whose shim is not running."""
    return bake(tmp_path_factory.mktemp("installed")).share_installs()


@pytest.mark.parametrize("use", REAL)
def test_programs_take_values_as_data(installed: Project, use: str) -> None:
    target, name = use.split()
    for value in ("$(touch x)", "`touch x`", "'; touch x; '", "../x; touch x"):
        others = [] if name in ("FUNC", "TARGET") else ["FUNC=worker"]
        words = (target, f"{name}={value}", *others)
        result = installed.make(*words, check=False)
        assert result.returncode != 0, result.stdout
        assert "Traceback" not in result.stdout
        assert not (installed.path / "x").exists(), value
