"""Create the project's virtual environments from their locks.

Runs on a bare Python 3.11 or later. pip installs uv into `.venv` from a lock of its
own, and uv installs everything else, several times faster than pip would.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import venv as stdlib_venv
from pathlib import Path
from types import SimpleNamespace

from tools.errors import UserError
from tools.file_lock import locked
from tools.git_hook import install_hook
from tools.packages import VENV, find_bundled_pip, install_uv, run, sync
from tools.project import BUILD, ROOT

LOCKS = {
    ".venv": "tests/requirements.txt",
    ".venv-shim": "tests/shim/requirements.txt",
    ".venv-infra": "infra/requirements.txt",
    ".venv-audit": "tools/requirements-audit.txt",
    ".venv-update": "tools/requirements-update.txt",
}
UV_LOCK = ROOT / "tools" / "requirements.txt"
OLDEST_PYTHON = (3, 11)
# Run by an environment's Python: exits with 1 if that is too old, or a file is missing.
CHECK = f"""
import sys
from importlib.metadata import distributions

assert sys.version_info >= {OLDEST_PYTHON}
for package in distributions():
    assert package.files is not None
    for file in package.files:
        assert file.suffix == ".pyc" or file.locate().exists()
"""


def install(venv: str = ".venv") -> None:
    """Create a virtual environment or update it to its lock.

    `pyvenv.cfg` is the environment's time stamp for make: as old as a file can be while
    this is under way, and the newest file afterwards.

    Args:
        venv: name of the environment, a key of `LOCKS`.

    Raises:
        UserError: this Python cannot create it, or a package cannot be installed.
    """
    if venv not in LOCKS:
        known = ", ".join(LOCKS)
        raise UserError(f"{venv!r} is not a virtual environment: choose one of {known}")
    check_machine()
    with locked(BUILD / "install.lock", "installs packages") as has_waited:
        if not (has_waited and is_current(venv)):
            install_alone(venv)


def install_alone(venv: str) -> None:
    """Create or update a virtual environment while no other process installs."""
    directory = ROOT / venv
    if directory != VENV and not is_usable(VENV):
        install_alone(VENV.name)
    print(f"Installing {venv}", file=sys.stderr)
    prepare(directory)
    if directory == VENV:
        install_uv(UV_LOCK)
    sync(directory, ROOT / LOCKS[venv])
    if venv == ".venv-infra" and (ROOT / "infra" / "package-lock.json").exists():
        install_node_packages(directory)
    if directory == VENV:
        install_hook()
    (directory / "pyvenv.cfg").touch()


def ensure(venv: str) -> None:
    """Install a virtual environment, unless it is current.

    Raises:
        UserError: see `install`.
    """
    if not is_current(venv):
        install(venv)


def is_current(venv: str) -> bool:
    """Return whether a virtual environment has a Python and is newer than its lock."""
    stamp, lock = ROOT / venv / "pyvenv.cfg", ROOT / LOCKS[venv]
    if not (stamp.exists() and (ROOT / venv / "bin" / "python").exists()):
        return False
    return stamp.stat().st_mtime >= lock.stat().st_mtime


def check_machine() -> None:
    """Check that this Python can create virtual environments here.

    Raises:
        UserError: it cannot.
    """
    if sys.version_info < OLDEST_PYTHON:
        raise UserError(
            f"Python {sys.version.split()[0]} is too old: name 3.11 or later, as in "
            "make install PYTHON=python3.13"
        )
    if not can_create_environments():
        raise UserError(
            f"{sys.executable} lacks venv, which Debian and Ubuntu package separately: "
            "apt-get install python3-venv"
        )
    if os.pathsep in str(ROOT):
        raise UserError(
            f"The path {ROOT} contains {os.pathsep!r}, which separates the directories "
            "in PATH: move the project to a path without it"
        )


def can_create_environments() -> bool:
    """Return whether this Python has pip; Debian and Ubuntu package it separately."""
    has_ensurepip = importlib.util.find_spec("ensurepip") is not None
    return has_ensurepip or find_bundled_pip() is not None


def is_usable(directory: Path) -> bool:
    """Return whether an environment's Python runs, and no file of a package is gone."""
    if not (directory / "pyvenv.cfg").exists():
        return False
    command = [str(directory / "bin" / "python"), "-I", "-c", CHECK]
    try:
        done = subprocess.run(command, capture_output=True)
    except OSError:
        return False
    return done.returncode == 0


def prepare(directory: Path) -> None:
    """Make sure that an environment exists, and mark it as incomplete.

    One whose Python is gone or too old, or that lacks files, is created anew.

    Args:
        directory: the environment, or a link to a directory that projects share.

    Raises:
        UserError: Python cannot create it.
    """
    if is_usable(directory):
        mark_incomplete(directory / "pyvenv.cfg")
        return
    needs_pip = directory == VENV and find_bundled_pip() is None
    builder = Builder(clear=True, symlinks=True, with_pip=needs_pip)
    try:
        builder.create(directory.resolve())
    except subprocess.CalledProcessError as error:
        output = (error.output or b"").decode(errors="replace").strip()
        raise UserError(f"Python cannot create {directory}:\n{output}") from error


class Builder(stdlib_venv.EnvBuilder):
    """Creates an environment that is marked as incomplete from its first moment."""

    def create_configuration(self, context: SimpleNamespace) -> None:
        """Write `pyvenv.cfg`."""
        super().create_configuration(context)
        mark_incomplete(Path(context.cfg_path))


def mark_incomplete(configuration: Path) -> None:
    """Make an environment's time stamp older than any lock."""
    os.utime(configuration, (0, 0))


def install_node_packages(directory: Path) -> None:
    """Install CDK's command line with the Node of an environment.

    Raises:
        UserError: npm failed.
    """
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(ROOT / "infra" / name, directory / name)
    path = f"{directory / 'bin'}{os.pathsep}{os.environ['PATH']}"
    command = ["npm", "ci", "--silent", "--no-audit", "--no-fund"]
    run("npm", command, os.environ | {"PATH": path}, cwd=directory)
