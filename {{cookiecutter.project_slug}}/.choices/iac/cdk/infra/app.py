"""The CDK app: each directory beside this file is a stack.

Context, all of it optional, as in `cdk synth -c environment=dev queue`:

- `environment`: an environment of `config/deploy.yml`, by default `local`; or several,
  separated by spaces, whose stacks are then named `<environment>-<stack>`.
- `stacks`: the stacks to synthesise, separated by spaces; by default all that the
  environment has.
- `still_mapped`: containers whose queue still feeds their Lambda.
- `project`: the first part of all names; by default the project's.
- `config`: another file of the form of `config/deploy.yml`, for tests, which need
  nothing to be built.
- `is_checked`: apply the rules of cdk-nag. Nothing has to be built.
"""

import sys
from collections.abc import Iterable
from importlib import import_module

from aws_cdk import App, DefaultStackSynthesizer, Stack, Tags, Validations
from cdk_nag import AwsSolutionsChecks

from infra.deployment import Deployment, acknowledge_rule
from tools import monitoring, project
from tools.deploy_config import CONFIG, list_stacks
from tools.errors import UserError
from tools.qualifier import make_qualifier

NO_RESOURCES = "CloudFormation-Validate::F0001"


def make_stacks(
    app: App, deployment: Deployment, names: Iterable[str], prefix: str = ""
) -> dict[str, Stack]:
    """Add stacks to the app; each is deployed after the one before it.

    Args:
        app: the app.
        deployment: names and settings of the environment.
        names: of the stacks; a stack needs no other one to be synthesised.
        prefix: first part of the stacks' names in the app.

    Returns:
        The stacks by name.
    """
    stacks: dict[str, Stack] = {}
    for name in names:
        full_name = f"{deployment.prefix}-{name}"
        synthesizer = DefaultStackSynthesizer(
            qualifier=make_qualifier(deployment.project, deployment.env),
            # CDK checks the version of the bootstrap, too. A rule for it in the
            # template would be a difference in a stack without resources, such as a
            # fresh `extra`.
            generate_bootstrap_version_rule=False,
        )
        stack = Stack(
            app,
            prefix + name,
            stack_name=full_name,
            synthesizer=synthesizer,
            permissions_boundary=deployment.boundary,
        )
        if stacks:
            stack.add_stack_dependency([*stacks.values()][-1])
        # by name: `import infra.lambda` is a syntax error
        import_module(f"infra.{name}.stack").add_resources(stack, deployment)
        acknowledge_rule(stack, NO_RESOURCES, "CDK skips a stack without resources")
        Tags.of(stack).add("project", deployment.project)
        Tags.of(stack).add("environment", deployment.env)
        Tags.of(stack).add(monitoring.COST_TAG, deployment.prefix)
        stacks[name] = stack
    return stacks


def synthesise() -> None:
    """Synthesise the stacks that the context names.

    Raises:
        UserError: a setting is wrong, or a zip is not built.
    """
    # else the CLI would bundle the assets of the stacks on its command line only
    app = App(post_cli_context={"aws:cdk:bundling-stacks": ["**"]})

    def context(name: str, default: str = "") -> str:
        return app.node.try_get_context(name) or default

    if context("is_checked"):
        Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    environments = context("environment", "local").split()
    config = context("config", CONFIG)
    for env in environments:
        deployment = Deployment(
            project=context("project", project.answers().project_slug),
            env=env,
            database=context("database", project.answers().database),
            still_mapped=context("still_mapped").split(),
            config=config,
            is_checked=bool(context("is_checked")) or config != CONFIG,
        )
        names = context("stacks").split() or list_stacks(env, config)
        prefix = f"{env}-" if len(environments) > 1 else ""
        make_stacks(app, deployment, names, prefix)
    app.synth()


if __name__ == "__main__":
    try:
        synthesise()
    except UserError as error:
        sys.exit(f"{error}.")
