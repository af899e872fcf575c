"""Plans, deploys and destroys targets in their order, whatever tool does it."""

import argparse
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

import registry
import sizes
from place import sentence
from sizes import TARGETS, Refusal, known_target

CHANGES = 2  # exit code of a plan that has some


class Tool(ABC):
    """A tool that deploys, in one environment.

    Args:
        project: first part of all names.
        environment: second part of them, and a key of `config/deploy.yml`.
        database: answer that chose it, mysql or postgres.
        targets: those that are wanted.

    Raises:
        Refusal: `config/deploy.yml` has no such environment, or is wrong.
    """

    def __init__(
        self, project: str, environment: str, database: str, targets: Sequence[str]
    ) -> None:
        self.project = project
        self.environment = environment
        self.database = database
        self.targets = targets
        self.is_local = environment == "local"
        self.functions = sizes.functions(environment)

    @abstractmethod
    def plan(self) -> bool:
        """Print what deploying the targets would change; tell if that is anything."""

    @abstractmethod
    def deploy(self, targets: Sequence[str], still_mapped: Sequence[str] = ()) -> None:
        """Deploy targets in this order, up to the first that fails.

        Args:
            targets: the targets.
            still_mapped: containers whose queue goes on feeding their Lambda.
        """

    @abstractmethod
    def destroy(self) -> None:
        """Destroy the targets, the last one first."""

    @abstractmethod
    def output(self, target: str, name: str) -> Any:
        """Return an output of a target; None before it is deployed."""

    def moving(self) -> list[str]:
        """Return the containers whose queue feeds a Lambda that is deployed."""
        mapped = self.output("lambda", "mapped") or []
        return [
            name
            for name in mapped
            if self.functions.get(name, {}).get("runtime") == "container"
        ]


def plan(tool: Tool) -> int:
    """Print the plan of all targets; return 2 if one of them has changes, else 0."""
    return CHANGES if tool.plan() else 0


def deploy(tool: Tool) -> int:
    """Deploy the targets; return 0.

    A function that moves from Lambda to containers keeps its Lambda until those run:
    when all targets are deployed, `lambda` lets go of it only after `ecs`.
    """
    targets, moving = list(tool.targets), []
    if {"lambda", "ecs"} <= set(targets):
        with stop_at("deploy", targets[0]):
            moving = tool.moving()
    rest = targets.index("ecr") + 1 if "ecr" in targets else len(targets)
    tool.deploy(targets[:rest], moving)
    if "ecr" in targets:
        push(tool)
    if targets[rest:]:
        tool.deploy(targets[rest:])
    if moving:
        print("What moved to containers lets go of its Lambda:", flush=True)
        tool.deploy(["lambda"])
    return 0


def destroy(tool: Tool) -> int:
    """Destroy the targets; return 0.

    Raises:
        Refusal: the environment is protected. AWS itself would refuse only when the
            functions and the database's instances are gone.
    """
    name = tool.environment
    if sizes.is_protected(name):
        raise Refusal(
            f"{name} is protected: say is_protected: false of it in config/deploy.yml, "
            f"make deploy ENV={name}, and destroy then"
        )
    tool.destroy()
    return 0


def push(tool: Tool) -> int:
    """Build and push the images that the target ecr names; return 0.

    Raises:
        Refusal: it is not deployed.
    """
    with step("push", "ecr"):
        images = tool.output("ecr", "images")
        if images is None:
            raise Refusal(
                f"ecr is not deployed: make deploy TARGET=ecr ENV={tool.environment}"
            )
        for function, image in images.items():
            registry.push(function, image)
    return 0


@contextmanager
def step(word: str, target: str) -> Iterator[None]:
    """Say what is done now; see `stop_at` for the rest."""
    print(f"== {word} {target}", flush=True)
    with stop_at(word, target):
        yield


@contextmanager
def stop_at(word: str, target: str) -> Iterator[None]:
    """Say where it stops, if it does.

    Raises:
        Refusal: a command has failed.
    """
    try:
        yield
    except subprocess.CalledProcessError as error:
        raise Refusal(f"{word} stopped at {target}") from error


WORDS = {"plan": plan, "deploy": deploy, "destroy": destroy, "push": push}
Check = Callable[[Sequence[str], str], int]


def main(kind: type[Tool], checks: dict[str, Check]) -> int:
    """Do what the command line says; return the exit code.

    Args:
        kind: the tool.
        checks: words of its own, which ask no AWS: functions of the targets and the
            database.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("word", choices=[*checks, *WORDS])
    parser.add_argument("--target")
    for name in ("--environment", "--project", "--database"):
        parser.add_argument(name, required=True)
    options = parser.parse_args()
    try:
        if options.word in checks:
            targets = known_target(options.target, TARGETS)
            return checks[options.word](targets, options.database)
        targets = sizes.targets(options.environment, options.target)
        named = (options.project, options.environment, options.database)
        return WORDS[options.word](kind(*named, targets))
    except Refusal as error:
        print(f"{error}.", file=sys.stderr)
    except (BotoCoreError, ClientError) as error:
        print(sentence(error, options.environment), file=sys.stderr)
    except FileNotFoundError as error:
        print(f"{error.filename} is missing: see 'make doctor'.", file=sys.stderr)
    return 1
