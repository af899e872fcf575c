"""The app of CDK: a stack for each target, which is a folder beside this file."""

import os
from collections.abc import Iterable
from pathlib import Path
from runpy import run_path

from aws_cdk import App, Stack, Tags, Validations

from common import Environment
from sizes import CONFIG, TARGETS


def make_stacks(
    app: App, environment: Environment, targets: Iterable[str], prefix: str = ""
) -> dict[str, Stack]:
    """Make the stacks of targets; no other one is needed to synthesise them.

    They are deployed in this order, and destroyed in the other one.

    Args:
        app: that they are part of.
        environment: that they are for.
        targets: their names.
        prefix: of the names by which the app has them.
    """
    stacks: dict[str, Stack] = {}
    for target in targets:
        name = f"{environment.prefix}-{target}"
        stack = Stack(app, prefix + target, stack_name=name)
        if stacks:
            stack.add_stack_dependency([*stacks.values()][-1])
        # by path: `lambda` is no name for an import, `queue` is Python's own
        module = run_path(str(Path(__file__).parent / target / "stack.py"))
        module["add_resources"](stack, environment)
        Tags.of(stack).add("project", environment.project)
        Tags.of(stack).add("environment", environment.name)
        stacks[target] = stack
    return stacks


def main() -> None:
    """Synthesise what the context names, as in `cdk synth -c environment=dev`.

    Of several environments a stack is named for its own, too: to load CDK's library
    takes longer than to synthesise one more.
    """
    # else a word that names stacks would bundle only their assets, for the others, too
    app = App(post_cli_context={"aws:cdk:bundling-stacks": ["**"]})

    def given(name: str, default: str = "") -> str:
        return app.node.try_get_context(name) or default

    if given("is_checked"):
        from cdk_nag import AwsSolutionsChecks  # slow to load

        Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    names = given("environment", "local").split()
    for name in names:
        environment = Environment(
            project=given("project", "test"),
            name=name,
            database=given("database", "postgres"),
            still_mapped=given("still_mapped").split(),
            config=given("config", CONFIG),
            alarm_topic=os.environ.get("ALARM_TOPIC", ""),
        )
        targets = given("targets").split() or TARGETS
        make_stacks(app, environment, targets, f"{name}-" if names[1:] else "")
    app.synth()


if __name__ == "__main__":
    main()
