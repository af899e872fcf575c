"""Generated projects pass their own tests: all answers, Pythons, offline, Windows."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from baking import Project, bake, skip

# each value of the other answers occurs once
COMBINATIONS = [
    pytest.param(
        {"database": "mysql", "ci": "gitlab", "license": "MIT"}, id="mysql-gitlab-MIT"
    ),
    pytest.param(
        {"database": "postgres", "license": "Apache-2.0", "aws_region": "us-east-1"},
        id="postgres-github-Apache",
    ),
    pytest.param(
        {
            "database": "mysql",
            "ci": "circleci",
            "license": "BSD-3-Clause",
            "project_name": "数据 加载",
        },
        id="mysql-circleci-BSD",
    ),
    pytest.param(
        {"iac": "cdk", "database": "postgres", "ci": "none", "license": "Proprietary"},
        id="cdk-postgres-none-Proprietary",
    ),
]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
OFFLINE = ["unshare", "--user", "--map-root-user", "--net"]


@pytest.mark.parametrize("answers", COMBINATIONS)
def test_fresh_project_passes_its_checks(
    answers: dict[str, str], tmp_path: Path
) -> None:
    project = bake(tmp_path, **answers).share_installs().share_layer()
    assert "passed" in project.make("test").stdout
    assert "passed" in project.make("test", "TARGET=tools").stdout
    project.make("lint-code")
    assert not project.run("git", "status", "--porcelain", "--ignored=no").stdout.count(
        ".venv"
    )


def find_python(version: str) -> Path | None:
    """Return a working interpreter of a version, from PATH or from pyenv.

    pyenv puts launchers of all its versions on PATH. One fails unless its version is
    selected, so it does not count.
    """
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = [*map(Path, os.get_exec_path()), *root.glob(f"versions/{version}.*/bin")]
    for path in (folder / f"python{version}" for folder in folders):
        if path.exists() and is_working(path):
            return path
    return None


def is_working(python: Path) -> bool:
    """Return whether an interpreter is more than the launcher of a missing one."""
    return subprocess.run([python, "-V"], capture_output=True).returncode == 0


@pytest.mark.parametrize("version", [*filter(find_python, PYTHONS)])
def test_project_passes_on_each_python(version: str, tmp_path: Path) -> None:
    """Each supported version that this machine has."""
    project = bake(tmp_path)
    assert "passed" in project.make("test", f"PYTHON={find_python(version)}").stdout
    assert "passed" in project.make("test", "TARGET=tools").stdout
    used = project.run(".venv/bin/python", "-V").stdout
    assert used.startswith(f"Python {version}.")


def is_offline_possible() -> bool:
    """Return whether this machine can run a command without network."""
    has_unshare = shutil.which("unshare") is not None
    return has_unshare and subprocess.run([*OFFLINE, "true"]).returncode == 0


def test_unit_tests_need_no_network(tmp_path: Path) -> None:
    if not is_offline_possible():
        skip("this machine cannot run a command without network")
    project = bake(tmp_path).share_installs()
    for target in ("", "tools"):
        words = (*OFFLINE, "make", "test", f"TARGET={target}")
        assert "passed" in project.run(*words).stdout


def test_checkout_with_crlf_runs(tmp_path: Path) -> None:
    made = bake(tmp_path / "made")
    identity = ["-c", "user.name=Anna", "-c", "user.email=anna@example.org"]
    made.run("git", "add", "--all")
    made.run("git", *identity, "commit", "--quiet", "--message", "Begin")
    clone = Project(tmp_path / "clone")
    windows = ["-c", "core.autocrlf=true", "-c", "core.eol=crlf"]
    made.run("git", *windows, "clone", "--quiet", made.path, clone.path)
    names = clone.run("git", "ls-files", "-z").stdout.split("\0")
    texts = {name: (clone.path / name).read_bytes() for name in names if name}
    assert texts == {name: (made.path / name).read_bytes() for name in texts}
    crlf = [name for name, text in texts.items() if b"\r\n" in text]
    assert crlf == ["docs/debugging.png"]  # as each PNG has in its first bytes
    assert "passed" in clone.share_installs().make("test").stdout
