"""Build, plan, deploy and destroy stacks with the project's IaC tool."""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

from tools import (
    app_user,
    build,
    connections,
    deploy_config,
    iac,
    images,
    lambda_code,
    layers,
    managed_policies,
    migrate,
    migrations,
    monitoring,
    releases,
    services,
)
from tools.deployer import step, stop_at
from tools.environment import Environment, enter
from tools.errors import UserError
from tools.project import BUILD

FUNCTIONS = ("lambda", "ecs")  # the stacks that need the database's tables
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
    _check_boundary(tool)
    _warn(tool)
    if not report:
        return CHANGES if _plan(tool) else 0
    file = Path(report)
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with file.open("w", encoding="utf-8") as stream, redirect_stdout(stream):
            _plan(tool)
    except UserError:
        # CI's log must show why, too
        print(file.read_text(encoding="utf-8"), file=sys.stderr)
        raise
    return 0


def deploy(target: str, env: str) -> int:
    """Deploy the stacks, and push images between `ecr` and `ecs`; return 0.

    After `aurora`, the functions' user in the database gets a new password. Migrations
    run before the functions are deployed.

    Once all stacks are deployed, the Lambdas' aliases get what was deployed.

    A function that moves from Lambda to containers keeps its Lambda until the
    containers run: if all stacks are deployed, `lambda` is deployed again after `ecs`.

    Args:
        target: one stack of `infra/`, or empty for all.
        env: an environment of `config/deploy.yml`.

    Raises:
        UserError: the request cannot be met, or a stack or a migration failed.
    """
    tool = _prepare(target, env)
    _check_boundary(tool)
    _warn(tool)
    _keep_rolled_back(tool)
    stacks = list(tool.stacks)
    if "ecs" in stacks:
        services.mark_unused(Environment(env))
    needs_migration = _needs_migration(tool)
    if needs_migration:
        migrations.read_all()  # a mistake in a file stops before the first stack
    moving: list[str] = []
    if {"lambda", "ecs"} <= set(stacks):
        with stop_at("deploy", stacks[0]):
            moving = tool.find_moving()
    first = next(filter(stacks.__contains__, FUNCTIONS), None)
    sets_password = "aurora" in stacks and tool.spec["uses_database"]
    done = 0
    if sets_password or needs_migration:
        done = stacks.index(first) if first else len(stacks)
    if stacks[:done]:
        tool.deploy(stacks[:done], moving)
    if sets_password:
        with stop_at("deploy", "aurora"):
            app_user.set_password(Environment(env))
    if needs_migration and first:
        _migrate(tool, first)
    after_images = stacks.index("ecr") + 1 if "ecr" in stacks else len(stacks)
    if stacks[done:after_images]:
        tool.deploy(stacks[done:after_images], moving)
    if "ecr" in stacks:
        _push_images(tool)
    if stacks[after_images:]:
        tool.deploy(stacks[after_images:])
    _run_deployed(tool, moving)
    return 0


def destroy(target: str, env: str) -> int:
    """Destroy the stacks, each after those that need it; return 0.

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
    tool = _prepare(target, env)
    tool.destroy()
    if "layer" in tool.stacks:
        layers.delete_old(tool.layer, kept=0)
    if "ecs" in tool.stacks:
        services.deregister_old(Environment(env))
    return 0


def _prepare(target: str, env: str) -> iac.Iac:
    """Check the request, enter the environment, and build what is deployed."""
    stacks = deploy_config.choose_stacks(env, target)
    enter(env)
    tool = iac.Iac(env, stacks)
    if problem := connections.find_problem(tool.spec, tool.database):
        print(problem, flush=True)
    _build(target, tool.is_local)
    return tool


def _check_boundary(tool: iac.Iac) -> None:
    """Check the permissions boundary of the roles that a deployment creates."""
    if "role" in tool.stacks and not tool.is_local:
        managed_policies.check_boundary(tool.env)


def _plan(tool: iac.Iac) -> bool:
    """Print what would change, and what would not be released; return the former."""
    _keep_rolled_back(tool)
    has_changes = tool.plan()
    if "lambda" in tool.stacks:
        environment, names = Environment(tool.env), [*tool.functions]
        unreleased = releases.find_unreleased(environment, names)
        for sentence in (*releases.find_held(environment, names), *unreleased):
            print(f"{sentence}.", flush=True)
        has_changes = has_changes or bool(unreleased)
    return has_changes


def _keep_rolled_back(tool: iac.Iac) -> None:
    """Let services keep what they run, if what was rolled back would be deployed."""
    if "ecs" in tool.stacks:
        tool.kept = services.find_kept(Environment(tool.env))


def _warn(tool: iac.Iac) -> None:
    if "monitoring" in tool.stacks:
        monitoring.warn_if_silent(tool.env, tool.spec["monitoring"])


def _build(target: str, is_local: bool) -> None:
    """Build what a stack deploys, or everything, and print each zip."""
    for artifact in build.build_for(target, "local" if is_local else "aws"):
        print(artifact.describe(), flush=True)


def _run_deployed(tool: iac.Iac, moving: Sequence[str]) -> None:
    """Let functions run what was deployed, and delete what none of them needs any more.

    Args:
        tool: the IaC tool, which has deployed its stacks.
        moving: containers whose queue still feeds their Lambda.

    Raises:
        UserError: a function could not be released, or was rolled back.
    """
    environment = Environment(tool.env)
    stacks = set(tool.stacks)
    if "ecs" in stacks:
        services.run_declared(environment, tool.kept)
    if moving:
        names = ", ".join(moving)
        print(f"The containers run: disconnecting the Lambda of {names}.", flush=True)
        tool.deploy(["lambda"])
    if "lambda" in stacks:
        _release(tool)  # comes last, since a canary may take days or go back
    if {"layer", "lambda"} <= stacks:
        layers.delete_old(tool.layer)
    if "ecs" in stacks:
        services.deregister_old(environment)


def _release(tool: iac.Iac) -> None:
    """Let Lambdas run what was built.

    The IaC tool does not notice that `make sync` has changed their code, if it is now
    the same as at the last deployment.
    """
    environment = Environment(tool.env)
    deployed = []
    for name in tool.functions:
        full_name = environment.resource_name(name)
        code = (BUILD / "lambda" / f"{name}.zip").read_bytes()
        if lambda_code.read_hash(full_name):
            lambda_code.update(full_name, code)
            deployed.append(name)
    releases.release_all(environment, deployed)


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


def _needs_migration(tool: iac.Iac) -> bool:
    """Return whether functions are deployed that use the project's own database."""
    uses_database = any(each["database"] for each in tool.functions.values())
    is_own = "DB_HOST" not in tool.spec["database"]
    return uses_database and is_own and not set(FUNCTIONS).isdisjoint(tool.stacks)


def _migrate(tool: iac.Iac, stack: str) -> None:
    """Migrate the database before a stack.

    Raises:
        UserError: a migration failed.
    """
    print(f"== migrate before {stack}", flush=True)
    try:
        migrate.run(tool.env, "")
    except UserError as error:
        raise UserError(f"deploy stopped before {stack}: {error}") from None
