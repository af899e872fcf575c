"""Define what an IaC tool does, and the steps that Terraform and CDK share."""

import os
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tools import function_specs, project
from tools.errors import UserError

TEST_CONFIG = "infra/tests/deploy.yml"
PLACEHOLDERS = project.BUILD / "placeholders"
KINDS = ("zip", "tag")  # files of a layer


class Deployer(ABC):
    """An IaC tool in one environment.

    Args:
        env: an environment of `config/deploy.yml`. The names of its resources begin
            with `<project>-<env>-`.
        stacks: the stacks of `infra/` to plan, deploy or destroy, in their order.

    Raises:
        UserError: `config/deploy.yml` lacks the environment, or is wrong.
    """

    def __init__(self, env: str, stacks: Sequence[str]) -> None:
        answers = project.answers()
        self.project = answers.project_slug
        self.database = answers.database
        self.env = env
        self.stacks = stacks
        self.is_local = env == "local"
        self.spec = function_specs.resolve(env)
        self.functions = self.spec["functions"]
        self.layer = f"{self.project}-{env}"
        self.kept: Mapping[str, str] = {}  # see `services.find_kept`

    @abstractmethod
    def plan(self) -> bool:
        """Print what a deploy of the stacks would change; return whether anything.

        Raises:
            UserError: the tool failed.
        """

    @abstractmethod
    def deploy(self, stacks: Sequence[str], still_mapped: Sequence[str] = ()) -> None:
        """Deploy stacks, each after those that it needs, and none whose needs failed.

        Args:
            stacks: some of the deployer's stacks.
            still_mapped: containers whose queue still feeds their Lambda.

        Raises:
            UserError: a stack failed.
        """

    @abstractmethod
    def destroy(self) -> None:
        """Destroy the stacks, each after those that need it.

        Raises:
            UserError: a stack failed.
        """

    @abstractmethod
    def read_output(self, stack: str, name: str) -> Any:
        """Return an output of a stack, or None before the stack is deployed."""

    def find_moving(self) -> list[str]:
        """Return the containers whose queue feeds a Lambda that is deployed."""
        mapped = self.read_output("lambda", "mapped") or []
        return [
            name
            for name in mapped
            if self.functions.get(name, {}).get("runtime") == "container"
        ]


def write_placeholders(functions: Iterable[str]) -> Path:
    """Write empty zips, and tags of images and layers; return their directory.

    Checks and tests of the stacks need files of these names, whatever they contain.
    """
    zips = [f"lambda/{name}.zip" for name in functions]
    tags = [f"local/{name}.tag" for name in functions]
    layers = [f"layer/{name}.{kind}" for name in ("aws", "local") for kind in KINDS]
    for name in (*zips, *tags, *layers):
        path = PLACEHOLDERS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("placeholder", encoding="utf-8")
    return PLACEHOLDERS


@contextmanager
def step(action: str, stack: str) -> Iterator[None]:
    """Print a heading for an action on a stack, and report where it stops.

    Raises:
        UserError: see `stop_at`.
    """
    print(f"== {action} {stack}", flush=True)
    with stop_at(action, stack):
        yield


@contextmanager
def stop_at(action: str, stack: str) -> Iterator[None]:
    """Report the stack at which an action stops, if a command fails.

    Raises:
        UserError: a command failed. It has printed why.
    """
    try:
        yield
    except subprocess.CalledProcessError as error:
        raise UserError(f"{action} stopped at {stack}") from error


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path = project.ROOT,
    variables: Mapping[str, str] | None = None,
    is_quiet: bool = False,
    prefix: str = "",
) -> str:
    """Run a command, print its output line by line, and return the output.

    Args:
        command: program and arguments.
        cwd: directory to run it in.
        variables: environment variables that override this process's.
        is_quiet: print the output only if the command fails.
        prefix: what each line that is printed begins with.

    Raises:
        UserError: the program is not installed.
        subprocess.CalledProcessError: the command failed; `output` has its output.
    """
    lines: list[str] = []
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **(variables or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    except FileNotFoundError:
        raise UserError(f"{command[0]} is not installed: see 'make doctor'") from None
    with process:
        try:
            _relay(process, lines, is_quiet, prefix)
        except KeyboardInterrupt:
            # Ctrl-C reached the command, too: let it release its locks and report.
            _relay(process, lines, False, prefix)
            raise
    output = "".join(lines)
    if process.returncode != 0:
        if is_quiet:
            print(output, file=sys.stderr)
        raise subprocess.CalledProcessError(process.returncode, command, output)
    return output


def _relay(
    process: subprocess.Popen[str], lines: list[str], is_quiet: bool, prefix: str
) -> None:
    for line in process.stdout or ():
        lines.append(line)
        if not is_quiet:
            print(f"{prefix}{line}", end="", flush=True)
