"""What the tests share."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from baking import Project, bake, clean_environment, has_terraform, need_server, skip
from deployed import TERRAFORM


@pytest.fixture(scope="session")
def shimmed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """A project for the database that the test names, whose shim runs."""
    database = request.param
    need_server(database)
    project = bake(tmp_path_factory.mktemp(database), database=database)
    with project.share_installs().shim():
        yield project


@pytest.fixture
def baked(tmp_path: Path) -> Project:
    """A project of the default answers, with everything installed, for one test."""
    return bake(tmp_path).share_installs()


@pytest.fixture(scope="session")
def providers(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip where Terraform, or its provider, cannot be had."""
    give_up = skip if TERRAFORM else pytest.skip
    if not has_terraform():
        give_up("this machine has no terraform")
    folder = tmp_path_factory.mktemp("init")
    project = bake(folder, iac="terraform")
    init = subprocess.run(
        [*TERRAFORM, "terraform", f"-chdir={project.path}/infra", "init"],
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if init.returncode != 0:
        give_up("Terraform's provider for AWS cannot be had here")
