"""What the tests of targets share: each synthesises its target, and asks no AWS."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App
from aws_cdk.assertions import Template

from app import make_stacks
from common import Environment


@pytest.fixture
def synthesise(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Any]:
    """Return what makes a template of the target that the test lies beside.

    It takes an environment of infra/tests/deploy.yml (small, large or local), a
    database, and what `Environment` takes besides.
    """

    def synthesised(
        environment: str = "small", database: str = "postgres", **more: Any
    ) -> Any:
        sizes = "infra/tests/deploy.yml"
        given = Environment("test", environment, database, sizes, **more)
        target = request.path.parent.name
        # lint validates: to load CloudFormation's rules takes a second
        app = App(outdir=str(tmp_path), builtin_cloud_formation_validation=False)
        stacks = make_stacks(app, given, [target])
        return Template.from_stack(stacks[target])

    return synthesised
