"""Every combination of the answers that change code passes its own tests."""

import shutil
import subprocess
from pathlib import Path

import pytest

from baking import bake, skip

# every value of the other answers occurs once
COMBINATIONS = [
    pytest.param({"database": "mysql", "license": "MIT"}, id="mysql-MIT"),
    pytest.param(
        {"database": "postgres", "license": "Apache-2.0", "aws_region": "us-east-1"},
        id="postgres-Apache",
    ),
    pytest.param(
        {"database": "mysql", "license": "BSD-3-Clause", "project_name": "数据 加载"},
        id="mysql-BSD",
    ),
    pytest.param(
        {"database": "postgres", "license": "Proprietary", "iac": "cdk"},
        id="postgres-Proprietary-cdk",
    ),
]
OFFLINE = ["unshare", "--user", "--map-root-user", "--net"]


@pytest.mark.parametrize("answers", COMBINATIONS)
def test_fresh_project_passes_its_own_tests_and_checks(
    answers: dict[str, str], tmp_path: Path
) -> None:
    project = bake(tmp_path, **answers).share_installs()
    assert "passed" in project.make("test").stdout
    project.make("lint")
    assert not project.run("git", "status", "--porcelain", "--ignored=no").stdout.count(
        ".venv"
    )


def is_offline_possible() -> bool:
    """Tell whether a command can be run without the network."""
    has_unshare = shutil.which("unshare") is not None
    return has_unshare and subprocess.run([*OFFLINE, "true"]).returncode == 0


def test_unit_tests_need_no_network(tmp_path: Path) -> None:
    if not is_offline_possible():
        skip("this machine lets nobody leave the network")
    project = bake(tmp_path).share_installs()
    assert "passed" in project.run(*OFFLINE, "make", "test").stdout
