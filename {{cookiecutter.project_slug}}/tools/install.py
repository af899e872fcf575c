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
from tools.git_hook import install_hook
from tools.packages import VENV, bundled_pip, install_uv, run, sync
from tools.project import ROOT

LOCKS = {
    ".venv": "tests/requirements.txt",
    ".venv-shim": "tests/shim/requirements.txt",
    ".venv-infra": "infra/requirements.txt",
    ".venv-audit": "tools/requirements-audit.txt",
}
UV_LOCK = ROOT / "tools" / "requirements.txt"
OLDEST_PYTHON = (3, 11)


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
    folder = ROOT / venv
    if folder != VENV and not is_usable(VENV):
        install(VENV.name)
    print(f"Installing {venv}", file=sys.stderr)
    prepare(folder)
    if folder == VENV:
        install_uv(UV_LOCK)
    sync(folder, ROOT / LOCKS[venv])
    if venv == ".venv-infra" and (ROOT / "infra" / "package-lock.json").exists():
        install_node_packages(folder)
    if folder == VENV:
        install_hook()
    (folder / "pyvenv.cfg").touch()


def ensure(venv: str) -> None:
    """Install a virtual environment, unless it is newer than its lock.

    Raises:
        UserError: see `install`.
    """
    stamp, lock = ROOT / venv / "pyvenv.cfg", ROOT / LOCKS[venv]
    if not stamp.exists() or stamp.stat().st_mtime < lock.stat().st_mtime:
        install(venv)


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
    if bundled_pip() is None and importlib.util.find_spec("ensurepip") is None:
        raise UserError(
            f"{sys.executable} lacks venv, which Debian and Ubuntu package separately: "
            "apt-get install python3-venv"
        )
    if os.pathsep in str(ROOT):
        raise UserError(
            f"The path {ROOT} contains {os.pathsep!r}, which separates the directories "
            "in PATH: move the project to a path without it"
        )


def is_usable(folder: Path) -> bool:
    """Return whether an environment has a Python that runs and is new enough."""
    program = f"import sys; sys.exit(sys.version_info < {OLDEST_PYTHON})"
    try:
        done = subprocess.run([folder / "bin" / "python", "-c", program])
    except OSError:
        return False
    return done.returncode == 0


def prepare(folder: Path) -> None:
    """Make sure that an environment exists, and mark it as incomplete.

    An environment whose Python is gone or too old is created anew.

    Args:
        folder: the environment, or a link to a directory that projects share.

    Raises:
        UserError: Python cannot create it.
    """
    if is_usable(folder):
        mark_incomplete(folder / "pyvenv.cfg")
        return
    needs_pip = folder == VENV and bundled_pip() is None
    builder = Builder(clear=True, symlinks=True, with_pip=needs_pip)
    try:
        builder.create(folder.resolve())
    except subprocess.CalledProcessError as error:
        output = (error.output or b"").decode(errors="replace").strip()
        raise UserError(f"Python cannot create {folder}:\n{output}") from error


class Builder(stdlib_venv.EnvBuilder):
    """Creates an environment that is marked as incomplete from its first moment."""

    def create_configuration(self, context: SimpleNamespace) -> None:
        """Write `pyvenv.cfg`."""
        super().create_configuration(context)
        mark_incomplete(Path(context.cfg_path))


def mark_incomplete(configuration: Path) -> None:
    """Make an environment's time stamp older than any lock."""
    os.utime(configuration, (0, 0))


def install_node_packages(folder: Path) -> None:
    """Install CDK's command line with the Node of an environment.

    Raises:
        UserError: npm failed.
    """
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(ROOT / "infra" / name, folder / name)
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    command = ["npm", "ci", "--silent", "--no-audit", "--no-fund"]
    run(command, os.environ | {"PATH": path}, cwd=folder)
