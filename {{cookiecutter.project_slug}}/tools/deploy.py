"""Builds, plans, deploys and destroys targets with the project's IaC tool."""

import sys
from contextlib import redirect_stdout
from pathlib import Path

from tools import build, deploy_config, environment, iac, images
from tools.deployer import step, stop_at
from tools.errors import UserError

CHANGES = 2  # exit code of a plan that would change something


def build_stacks(target: str, env: str) -> int:
    """Build what the targets deploy; for `ecr` alone, push the images too; return 0.

    Args:
        target: one target, or empty for all.
        env: an environment of `config/deploy.yml`; empty for the shim.

    Raises:
        UserError: there is no such target or environment, or a build failed.
    """
    if target:
        deploy_config.require_stack(target)
    if target == "ecr":
        return push(env or "local")
    is_local = env in ("", "local")
    if not is_local:
        deploy_config.read(env)
    for artifact in build.build_for(target, "local" if is_local else "aws"):
        print(artifact.describe())
    return 0


def plan(target: str, env: str, report: str) -> int:
    """Print the plan of the targets.

    Args:
        target: one target, or empty for all.
        env: an environment of `config/deploy.yml`.
        report: file to write the plan to, for CI; then changes are no error.

    Returns:
        0 if nothing would change or there is a report, else 2.

    Raises:
        UserError: the request cannot be met, or the tool failed.
    """
    tool = _prepare(target, env)
    if not report:
        return CHANGES if tool.plan() else 0
    file = Path(report)
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with file.open("w", encoding="utf-8") as stream, redirect_stdout(stream):
            tool.plan()
    except UserError:
        # CI's log must show why, too
        print(file.read_text(encoding="utf-8"), file=sys.stderr)
        raise
    return 0


def deploy(target: str, env: str) -> int:
    """Deploy the targets in order, and push images between `ecr` and `ecs`; return 0.

    A function that moves from Lambda to containers keeps its Lambda until the
    containers run: if all targets are deployed, `lambda` is deployed again after `ecs`.

    Raises:
        UserError: the request cannot be met, or a target failed.
    """
    tool = _prepare(target, env)
    targets = list(tool.targets)
    moving: list[str] = []
    if {"lambda", "ecs"} <= set(targets):
        with stop_at("deploy", targets[0]):
            moving = tool.moving()
    after_images = targets.index("ecr") + 1 if "ecr" in targets else len(targets)
    tool.deploy(targets[:after_images], moving)
    if "ecr" in targets:
        _push_images(tool)
    if targets[after_images:]:
        tool.deploy(targets[after_images:])
    if moving:
        names = ", ".join(moving)
        print(f"The containers run: disconnecting the Lambda of {names}.", flush=True)
        tool.deploy(["lambda"])
    return 0


def destroy(target: str, env: str) -> int:
    """Destroy the targets, the last one first; return 0.

    Raises:
        UserError: the environment is protected, or a target failed. AWS would refuse
            only after the functions and the database's instances are gone.
    """
    if deploy_config.is_protected(env):
        raise UserError(
            f"ENV={env} is protected: set is_protected: false for it in "
            f"config/deploy.yml, run 'make deploy ENV={env}', then destroy it"
        )
    _prepare(target, env).destroy()
    return 0


def push(env: str) -> int:
    """Build and push the images of all containers; return 0.

    Raises:
        UserError: the target `ecr` is not deployed, or Docker failed.
    """
    _push_images(_prepare("ecr", env))
    return 0


def _prepare(target: str, env: str) -> iac.Iac:
    """Check the request, enter the environment, and build the artifacts."""
    targets = deploy_config.targets(env, target)
    environment.enter(env)
    tool = iac.Iac(env, targets)
    for artifact in build.build_for(target, "local" if tool.is_local else "aws"):
        print(artifact.describe(), flush=True)
    return tool


def _push_images(tool: iac.Iac) -> None:
    with step("push", "ecr"):
        found = tool.output("ecr", "images")
        if found is None:
            raise UserError(
                "there are no repositories: run 'make deploy TARGET=ecr "
                f"ENV={tool.env}'"
            )
        for function, image in found.items():
            images.push(function, image)
