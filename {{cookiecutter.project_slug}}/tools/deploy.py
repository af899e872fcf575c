"""Build, plan, deploy and destroy stacks with the project's IaC tool."""

import sys
from contextlib import redirect_stdout
from pathlib import Path

from tools import build, deploy_config, iac, images
from tools.deployer import step, stop_at
from tools.environment import enter
from tools.errors import UserError

CHANGES = 2  # exit code of a plan that would change something


def build_stacks(target: str, env: str) -> int:
    """Build what the stacks deploy; return 0.

    What the stack `ecr` deploys are images in its repositories, so they are pushed.

    Args:
        target: one stack of `infra/`, or empty for all.
        env: an environment of `config/deploy.yml`; empty for the shim.

    Raises:
        UserError: there is no such stack or environment, or a build failed.
    """
    if target:
        deploy_config.require_stack(target)
    if target == "ecr":
        _push_images(_prepare("ecr", env or "local"))
        return 0
    is_local = env in ("", "local")
    if not is_local:
        deploy_config.read(env)
    _build(target, is_local)
    return 0


def plan(target: str, env: str, report: str) -> int:
    """Print the plan of the stacks.

    Args:
        target: one stack of `infra/`, or empty for all.
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
    """Deploy the stacks in order, and push images between `ecr` and `ecs`; return 0.

    A function that moves from Lambda to containers keeps its Lambda until the
    containers run: if all stacks are deployed, `lambda` is deployed again after `ecs`.

    Args:
        target: one stack of `infra/`, or empty for all.
        env: an environment of `config/deploy.yml`.

    Raises:
        UserError: the request cannot be met, or a stack failed.
    """
    tool = _prepare(target, env)
    stacks = list(tool.stacks)
    moving: list[str] = []
    if {"lambda", "ecs"} <= set(stacks):
        with stop_at("deploy", stacks[0]):
            moving = tool.find_moving()
    after_images = stacks.index("ecr") + 1 if "ecr" in stacks else len(stacks)
    tool.deploy(stacks[:after_images], moving)
    if "ecr" in stacks:
        _push_images(tool)
    if stacks[after_images:]:
        tool.deploy(stacks[after_images:])
    if moving:
        names = ", ".join(moving)
        print(f"The containers run: disconnecting the Lambda of {names}.", flush=True)
        tool.deploy(["lambda"])
    return 0


def destroy(target: str, env: str) -> int:
    """Destroy the stacks, the last one first; return 0.

    Args:
        target: one stack of `infra/`, or empty for all.
        env: an environment of `config/deploy.yml`.

    Raises:
        UserError: the environment is protected, or a stack failed. AWS would refuse
            only after the functions and the database's instances are gone.
    """
    if deploy_config.is_protected(env):
        raise UserError(
            f"ENV={env} is protected: set is_protected: false for it in "
            f"config/deploy.yml, run 'make deploy ENV={env}', then destroy it"
        )
    _prepare(target, env).destroy()
    return 0


def _prepare(target: str, env: str) -> iac.Iac:
    """Check the request, enter the environment, and build what is deployed."""
    stacks = deploy_config.choose_stacks(env, target)
    enter(env)
    tool = iac.Iac(env, stacks)
    _build(target, tool.is_local)
    return tool


def _build(target: str, is_local: bool) -> None:
    """Build what a stack deploys, or everything, and print each zip."""
    for artifact in build.build_for(target, "local" if is_local else "aws"):
        print(artifact.describe(), flush=True)


def _push_images(tool: iac.Iac) -> None:
    """Build and push the image of each container that the registry lacks."""
    with step("push", "ecr"):
        found = tool.read_output("ecr", "images")
        if found is None:
            raise UserError(
                "there are no repositories: run 'make deploy TARGET=ecr "
                f"ENV={tool.env}'"
            )
        for function, image in found.items():
            images.push(function, image)
