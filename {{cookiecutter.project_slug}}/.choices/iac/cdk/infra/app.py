"""The app of CDK: a stack for each target, which is a folder beside this file."""

import os
from collections.abc import Iterable
from pathlib import Path
from runpy import run_path

from aws_cdk import App, Stack, Tags, Validations

from common import Environment
from sizes import CONFIG, TARGETS


def make_stacks(
    app: App, environment: Environment, targets: Iterable[str]
) -> dict[str, Stack]:
    """Make the stacks of targets; no other one is needed to synthesise them."""
    stacks = {}
    for target in targets:
        stack = Stack(app, target, stack_name=f"{environment.prefix}-{target}")
        # by path: `lambda` is no name for an import, `queue` is Python's own
        module = run_path(str(Path(__file__).parent / target / "stack.py"))
        module["add_resources"](stack, environment)
        Tags.of(stack).add("project", environment.project)
        Tags.of(stack).add("environment", environment.name)
        stacks[target] = stack
    return stacks


def main() -> None:
    """Synthesise what the context names, as in `cdk synth -c environment=dev`."""
    app = App()

    def given(name: str, default: str = "") -> str:
        return app.node.try_get_context(name) or default

    environment = Environment(
        project=given("project", "test"),
        name=given("environment", "local"),
        database=given("database", "postgres"),
        still_mapped=given("still_mapped").split(),
        config=given("config", CONFIG),
        alarm_topic=os.environ.get("ALARM_TOPIC", ""),
    )
    if given("is_checked"):
        from cdk_nag import AwsSolutionsChecks  # slow to load

        Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    make_stacks(app, environment, given("targets").split() or TARGETS)
    app.synth()


if __name__ == "__main__":
    main()
