"""The fixture of the stacks' tests. They need no AWS account."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App
from aws_cdk.assertions import Template

from infra.app import make_stacks
from infra.deployment import Deployment
from tools.deployer import TEST_CONFIG

# Those of infra/tests/deploy.yml.
FUNCTIONS = ("worker", "fanout", "part", "enrich", "nightly", "orders", "prices")


@pytest.fixture
def synthesise(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Any]:
    """Return a function that synthesises the stack in the test's directory.

    It takes an environment of infra/tests/deploy.yml, a database, and other arguments
    of `Deployment`, and returns the template.
    """

    def make_template(
        env: str = "small", database: str = "postgres", **more: Any
    ) -> Any:
        deployment = Deployment(
            "test", env, database, TEST_CONFIG, is_checked=True, **more
        )
        name = request.path.parent.name
        # 'make lint' validates; loading the rules takes a second for each test
        app = App(outdir=str(tmp_path), builtin_cloud_formation_validation=False)
        stacks = make_stacks(app, deployment, [name])
        return Template.from_stack(stacks[name])

    return make_template
