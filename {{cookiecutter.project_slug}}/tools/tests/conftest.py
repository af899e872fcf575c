"""Fixtures for the tests of `tools/`: a project that is none of yours."""

from pathlib import Path

import pytest

from tools import function_specs, project
from tools.tests.deploy_files import FUNCTIONS


@pytest.fixture(autouse=True)
def answers(monkeypatch: pytest.MonkeyPatch) -> project.Answers:
    """The answers that the tools read, whatever those of your project are."""
    found = project.Answers("shop", "eu-west-1", "terraform", "postgres")
    for module in (project, function_specs):
        monkeypatch.setattr(module, "answers", lambda: found)
    return found


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a project that has `FUNCTIONS`, and no file in `config/` yet."""
    (tmp_path / "config").mkdir()
    (tmp_path / "src" / "func").mkdir(parents=True)
    for name in ("__init__", *FUNCTIONS):
        (tmp_path / "src" / "func" / f"{name}.py").touch()
    monkeypatch.setattr(project, "ROOT", tmp_path)
    return tmp_path
