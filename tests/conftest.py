"""What the tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from baking import Project, bake, need_server


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
