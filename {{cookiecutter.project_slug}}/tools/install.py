"""Create the project's virtual environments from their locks.

Runs on a bare Python 3.11 or later. pip installs uv into `.venv` from a lock of its
own, and uv installs everything else, several times faster than pip would. If uv is not
available, pip takes over: a lock is a requirements file with hashes, which both read.
"""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import venv as stdlib_venv
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace

from tools.errors import UserError
from tools.git_hook import install_hook
from tools.project import ROOT

LOCKS = {
    ".venv": "tests/requirements.txt",
    ".venv-shim": "tests/shim/requirements.txt",
    ".venv-infra": "infra/requirements.txt",
    ".venv-audit": "tools/requirements-audit.txt",
}
UV_LOCK = ROOT / "tools" / "requirements.txt"
MAIN = ROOT / ".venv"
OLDEST = (3, 11)

# pip's settings and the variables by which uv knows them. Both take lists, uv with a
# separator of its own. Whatever pip finds by a setting that uv lacks, pip installs.
UV_VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "ALL_PROXY",
}
COMMA_SEPARATED = ("find-links",)
PIP_ONLY = ("keyring-provider", "no-binary")

# Lambda's Python 3.11 runs on Amazon Linux 2 with glibc 2.26, later ones on 2.34.
# Wheels for `manylinux2014` need 2.17; some for arm64 exist only for 2.28.
OLD_GLIBC_PYTHON = "3.11"
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}


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
        raise UserError(f"{venv!r} is no environment: choose one of {', '.join(LOCKS)}")
    check_machine()
    folder = ROOT / venv
    if folder != MAIN and not is_usable(MAIN):
        install(MAIN.name)
    print(f"Installing {venv}", file=sys.stderr)
    prepare(folder)
    if folder == MAIN:
        install_uv()
    sync(folder, ROOT / LOCKS[venv])
    if venv == ".venv-infra" and (ROOT / "infra" / "package-lock.json").exists():
        install_node_packages(folder)
    if folder == MAIN:
        install_hook()
    (folder / "pyvenv.cfg").touch()


def check_machine() -> None:
    """Check that this Python can create virtual environments here.

    Raises:
        UserError: it cannot.
    """
    if sys.version_info < OLDEST:
        raise UserError(
            f"Python {sys.version.split()[0]} is too old: name 3.11 or later, as in "
            "make install PYTHON=python3.13"
        )
    if importlib.util.find_spec("ensurepip") is None:
        raise UserError(
            f"{sys.executable} lacks venv, which Debian and Ubuntu package separately: "
            "apt-get install python3-venv"
        )
    if os.pathsep in str(ROOT):
        raise UserError(
            f"The path {ROOT} contains {os.pathsep!r}, which separates the directories "
            "of PATH: move the checkout to a path without it"
        )


def is_usable(folder: Path) -> bool:
    """Return whether an environment has a Python that runs and is new enough."""
    program = f"import sys; sys.exit(sys.version_info < {OLDEST})"
    try:
        done = subprocess.run([folder / "bin" / "python", "-c", program])
    except OSError:
        return False
    return done.returncode == 0


def prepare(folder: Path) -> None:
    """Make sure that an environment exists; mark it as incomplete.

    An environment whose Python is gone or too old is created anew. Only `.venv` gets
    pip.

    Args:
        folder: the environment, or a link to the directory that it shares.
    """
    if is_usable(folder):
        mark_incomplete(folder / "pyvenv.cfg")
        return
    folder.resolve().mkdir(parents=True, exist_ok=True)  # where a link leads
    builder = Builder(clear=True, symlinks=True, with_pip=folder == MAIN)
    try:
        builder.create(folder)
    except subprocess.CalledProcessError as error:
        said = (error.output or b"").decode(errors="replace").strip()
        raise UserError(f"Python cannot create {folder}:\n{said}") from error


class Builder(stdlib_venv.EnvBuilder):
    """Creates an environment that is marked as incomplete from its first moment."""

    def create_configuration(self, context: SimpleNamespace) -> None:
        """Write `pyvenv.cfg`."""
        super().create_configuration(context)
        mark_incomplete(Path(context.cfg_path))


def mark_incomplete(configuration: Path) -> None:
    """Make an environment's time stamp older than any lock."""
    os.utime(configuration, (0, 0))


def install_uv() -> None:
    """Install uv into `.venv`, or print a note that pip takes its place."""
    if settings := pip_only_settings():
        print(f"pip is configured with {settings}: using pip", file=sys.stderr)
        return
    command = [*pip(), "install", "--only-binary=:all:", *locked(UV_LOCK)]
    done = subprocess.run(command, capture_output=True)
    if done.returncode != 0 or find_uv() is None:
        print("uv has no wheel for this machine: using pip", file=sys.stderr)


def pip() -> list[str | Path]:
    """Return the command that runs `.venv`'s pip."""
    python = MAIN / "bin" / "python"
    return [python, "-I", "-m", "pip", "--disable-pip-version-check"]


def find_uv() -> Path | None:
    """Return the path of `.venv`'s uv if it runs and can replace pip here."""
    program = MAIN / "bin" / "uv"
    if not program.exists() or pip_only_settings():
        return None
    done = subprocess.run([program, "--version"], capture_output=True)
    return program if done.returncode == 0 else None


def sync(folder: Path, lock: Path) -> None:
    """Install a lock's packages into an environment.

    uv also removes all other packages; pip leaves them.

    Raises:
        UserError: a package cannot be installed.
    """
    python = folder / "bin" / "python"
    if program := find_uv():
        options = ["--quiet", "--python", python, "--require-hashes"]
        run([program, "pip", "sync", *options, lock], variables())
    else:
        run(
            [*pip(), "--python", python, "install", "--quiet", *locked(lock)],
            variables(),
        )


def install_packages(
    lock: Path, target: Path, *, python: str = "", machine: str | None = None
) -> None:
    """Install a lock's packages into a directory, not compiled.

    Args:
        lock: a requirements file with hashes.
        target: the directory.
        python: version of Lambda's Python, such as "3.13"; without `machine`, ignored.
        machine: Lambda's processor, "x86_64" or "arm64"; None for this machine and the
            Python of `.venv`.

    Raises:
        UserError: a package cannot be installed, or has no wheel for that platform.
    """
    if program := find_uv():
        # a copy: what a build trims must not be the cache's own file
        command = [program, "pip", "install", "--quiet", "--link-mode=copy"]
        command += ["--python", MAIN / "bin" / "python", "--require-hashes"]
        command += ["--target", target, "--requirement", lock]
        if machine:
            glibc = "2014" if python == OLD_GLIBC_PYTHON else "_2_28"
            command += [f"--python-platform={MACHINES[machine]}-manylinux{glibc}"]
    else:
        command = [*pip(), "install", "--quiet", "--no-compile"]
        command += ["--target", target, *locked(lock)]
        if machine:
            tags = ("2014",) if python == OLD_GLIBC_PYTHON else ("2014", "_2_28")
            command += [
                f"--platform=manylinux{tag}_{MACHINES[machine]}" for tag in tags
            ]
    if machine:
        command += ["--only-binary=:all:", f"--python-version={python}"]
    run(command, variables())


def locked(lock: Path) -> list[str | Path]:
    """Return pip's options that install a lock."""
    return ["--require-hashes", "--requirement", lock]


def install_node_packages(folder: Path) -> None:
    """Install CDK's command line, by the Node that is in an environment."""
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(ROOT / "infra" / name, folder / name)
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    command = ["npm", "ci", "--silent", "--no-audit", "--no-fund"]
    run(command, os.environ | {"PATH": path}, cwd=folder)


def run(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    cwd: Path = ROOT,
) -> None:
    """Run an installer, which reports its own errors.

    Raises:
        UserError: it failed.
    """
    done = subprocess.run(command, cwd=cwd, env=environment)
    if done.returncode != 0:
        name = Path(command[0]).name
        raise UserError(f"{name} failed with exit code {done.returncode}: see above")


def variables() -> dict[str, str]:
    """Return the environment of uv and pip."""
    return os.environ | index_variables() | cache_variables()


@cache
def pip_settings() -> dict[str, str]:
    """Return pip's configuration from its files and the environment."""
    done = subprocess.run([*pip(), "config", "list"], capture_output=True, text=True)
    settings = {}
    for section in ("global", "install", ":env:"):  # the last one wins, as in pip
        for name, value in re.findall(
            rf"^{section}\.([\w-]+)=(.*)$", done.stdout, re.MULTILINE
        ):
            settings[name] = str(ast.literal_eval(value))
    return settings


def pip_only_settings() -> str:
    """Return the names of those of pip's settings that uv cannot take over."""
    return ", ".join(name for name in PIP_ONLY if name in pip_settings())


def index_variables() -> dict[str, str]:
    """Return pip's index, proxy and certificates as uv's environment variables.

    uv does not read pip's configuration. Variables that are set already stay.
    """
    found = {}
    for name, value in pip_settings().items():
        if name in UV_VARIABLES:
            separator = "," if name in COMMA_SEPARATED else " "
            found[UV_VARIABLES[name]] = separator.join(value.split())
    if "UV_INDEX" in found:
        # as pip does: whichever index has the version; the hashes say which file it is
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return {name: value for name, value in found.items() if name not in os.environ}


@cache
def cache_variables() -> dict[str, str]:
    """Return the variables that turn off a cache that is not writable."""
    default = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    directory = Path(os.environ.get("UV_CACHE_DIR") or Path(default) / "uv")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if os.access(directory, os.W_OK):
            return {}
    except OSError:
        pass
    print(f"{directory} is not writable: packages are not cached", file=sys.stderr)
    return {"UV_NO_CACHE": "1", "PIP_NO_CACHE_DIR": "1"}
