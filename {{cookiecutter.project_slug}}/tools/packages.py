"""Install packages from locks with uv, or with pip where uv is not available.

A lock is a requirements file with hashes, which both read. uv does not read pip's
configuration, so it gets its index, proxy and certificates as environment variables.
"""

import ast
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

from tools.errors import UserError
from tools.project import ROOT

VENV = ROOT / ".venv"
UV = VENV / "bin" / "uv"
BUILD_LOCK = ROOT / "tools" / "requirements-build.txt"

# pip's settings and uv's variables. Both take lists, uv with a separator of its own.
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

# The minor version of glibc 2 below Lambda's Python: 3.11 runs on Amazon Linux 2, later
# ones on Amazon Linux 2023. A wheel for an older glibc fits, too.
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
GLIBC = {"3.11": 26, "3.12": 34, "3.13": 34}
OLDEST_GLIBC = 17  # of wheels for manylinux2014, which is another name for it
# uv takes only some versions, and accepts wheels for all older ones.
UV_GLIBC = {26: "manylinux_2_17", 34: "manylinux_2_34"}
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}


def sync(venv: Path, lock: Path) -> None:
    """Install a lock's packages into a virtual environment.

    uv also removes all other packages. pip leaves them.

    Raises:
        UserError: a package cannot be installed.
    """
    # without it, uv takes the environment for the Python that it links to
    if not (venv / "pyvenv.cfg").exists():
        raise UserError(f"{venv} is damaged: delete it and run 'make install'")
    python = venv / "bin" / "python"
    command: list[str | Path]
    if uv := find_uv():
        command = [uv, "pip", "sync", "--quiet", "--require-hashes"]
        command += ["--build-constraints", BUILD_LOCK, "--python", python, lock]
    else:
        # an isolated build would take any version of setuptools
        installer = [*pip(), "--python", python, "install"]
        run("The installation", [*installer, *locked(BUILD_LOCK)], variables())
        command = [*installer, "--no-build-isolation", "--use-pep517", *locked(lock)]
    run("The installation", command, variables())


def install_packages(
    lock: Path, target: Path, *, python: str = "", machine: str | None = None
) -> None:
    """Install a lock's packages into a directory without compiling them.

    Args:
        lock: a requirements file with hashes.
        target: the directory.
        python: version of Lambda's Python, such as "3.13". Only used with `machine`.
        machine: Lambda's processor, "x86_64" or "arm64". None for this machine and the
            Python of `.venv`.

    Raises:
        UserError: a package cannot be installed or has no wheel for that platform.
    """
    command: list[str | Path]
    if uv := find_uv():
        # a copy, because builds change these files and uv's cache must not change
        command = [uv, "pip", "install", "--quiet", "--link-mode=copy"]
        command += ["--python", VENV / "bin" / "python", "--require-hashes"]
        command += ["--target", target, "--requirement", lock]
        if machine:
            platform = f"{MACHINES[machine]}-{UV_GLIBC[GLIBC[python]]}"
            command += [f"--python-platform={platform}"]
    else:
        command = [*pip(), "install", "--no-compile", "--target", target]
    if machine:
        command += ["--only-binary=:all:", f"--python-version={python}"]
    with TemporaryDirectory() as scratch:
        if not uv:
            if machine:
                tags = list_platforms(python, machine)
                command += ["--no-deps", *(f"--platform={tag}" for tag in tags)]
                # pip itself would take the packages of the Python that it runs on
                text = select_packages(lock.read_text(encoding="utf-8"), python)
                lock = Path(scratch) / lock.name
                lock.write_text(text, encoding="utf-8")
            command += locked(lock)
        run("The installation", command, variables())


def select_packages(lock: str, python: str) -> str:
    """Return the part of a lock that Lambda's Python needs, without markers.

    Args:
        lock: a requirements file with hashes and environment markers.
        python: version of Lambda's Python, such as "3.13".
    """
    from packaging.markers import Marker  # only needed once .venv is there

    linux = {"sys_platform": "linux", "os_name": "posix", "platform_system": "Linux"}
    environment = linux | {
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "python_version": python,
        "python_full_version": f"{python}.0",
    }
    kept = []
    for entry in re.split(r"\n(?=\S)", lock):
        marked = re.fullmatch(r"(\S+) ; (.+?) (\\\n.*)", entry, re.DOTALL)
        if not marked:
            kept.append(entry)
        elif Marker(marked[2]).evaluate(environment):
            kept.append(f"{marked[1]} {marked[3]}")
    return "\n".join(kept)


def list_platforms(python: str, machine: str) -> list[str]:
    """Return the platforms of wheels that run on Lambda, the newest first.

    Args:
        python: version of Lambda's Python, such as "3.13".
        machine: Lambda's processor, "x86_64" or "arm64".
    """
    newest_first = range(GLIBC[python], OLDEST_GLIBC - 1, -1)
    names = [*(f"manylinux_2_{minor}" for minor in newest_first), "manylinux2014"]
    return [f"{name}_{MACHINES[machine]}" for name in names]


def install_uv(lock: Path) -> None:
    """Install uv into `.venv`, or print a note that pip takes its place."""
    if settings := find_pip_only_settings():
        print(f"Using pip, which is configured with {settings}", file=sys.stderr)
        return
    if f"uv=={read_uv_version()} " in lock.read_text(encoding="utf-8"):
        return
    command = [*pip(), "install", "--force-reinstall", "--only-binary=:all:"]
    command += locked(lock)
    done = subprocess.run(command, env=variables(), capture_output=True, text=True)
    if done.returncode != 0 or find_uv() is None:
        reason = done.stderr.strip().rpartition("\n")[2] or "it does not run here"
        print(f"Using pip instead of uv: {reason}", file=sys.stderr)


def find_uv() -> Path | None:
    """Return the path of `.venv`'s uv if it runs and can replace pip here."""
    return UV if read_uv_version() and not find_pip_only_settings() else None


def read_uv_version() -> str:
    """Return the version of `.venv`'s uv, or an empty string if it does not run."""
    try:
        done = subprocess.run([UV, "--version"], capture_output=True, text=True)
    except OSError:  # it is missing, damaged, or for another machine
        return ""
    return done.stdout.split()[1] if done.returncode == 0 else ""


def pip() -> list[str | Path]:
    """Return the command that runs pip with `.venv`'s Python."""
    wheel = find_bundled_pip()
    program = [unpack(wheel) / "pip"] if wheel else ["-m", "pip"]
    return [VENV / "bin" / "python", "-I", *program, "--disable-pip-version-check"]


def unpack(wheel: Path) -> Path:
    """Unpack a wheel into `.venv` unless it is there, and return the directory.

    Python compiles what is in a wheel each time that it runs, and a directory once.
    """
    directory = VENV / wheel.stem
    if not directory.exists():
        partial = VENV / f"{wheel.stem}.part"
        with ZipFile(wheel) as archive:
            archive.extractall(partial)
        partial.replace(directory)
    return directory


@cache
def find_bundled_pip() -> Path | None:
    """Return the wheel of pip that comes with Python, or None if it is not found.

    ensurepip would compile all of it first, which takes a quarter of the time of an
    install.
    """
    directories = [
        Path(sysconfig.get_path("stdlib")) / "ensurepip" / "_bundled",
        Path(sysconfig.get_config_var("WHEEL_PKG_DIR") or "/usr/share/python-wheels"),
    ]
    wheels = [wheel for path in directories for wheel in path.glob("pip-*.whl")]
    return wheels[0] if wheels else None


def locked(lock: Path) -> list[str | Path]:
    """Return the options by which pip installs a lock and prints only errors."""
    return ["--quiet", "--quiet", "--require-hashes", "--requirement", lock]


def run(
    name: str,
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    cwd: Path = ROOT,
) -> None:
    """Run an installer, which reports its own errors.

    Args:
        name: what it does, for the error.
        command: program and arguments.
        environment: of the program.
        cwd: directory to run it in.

    Raises:
        UserError: it failed.
    """
    done = subprocess.run(command, cwd=cwd, env=environment)
    if done.returncode != 0:
        raise UserError(f"{name} failed with exit code {done.returncode}, see above")


def variables() -> dict[str, str]:
    """Return the environment of uv and pip."""
    return os.environ | convert_index_settings() | check_cache()


@cache
def read_pip_settings() -> dict[str, str]:
    """Return pip's configuration from its files and from the environment."""
    done = subprocess.run([*pip(), "config", "list"], capture_output=True, text=True)
    settings = {}
    for section in ("global", "install", ":env:"):  # as in pip, the last one wins
        pattern = rf"^{section}\.([\w-]+)=(.*)$"
        for name, value in re.findall(pattern, done.stdout, re.MULTILINE):
            settings[name] = str(ast.literal_eval(value))
    return settings


def find_pip_only_settings() -> str:
    """Return the names of those of pip's settings that uv cannot take over."""
    return ", ".join(name for name in PIP_ONLY if name in read_pip_settings())


def convert_index_settings() -> dict[str, str]:
    """Return pip's index, proxy and certificates as uv's environment variables.

    Variables that are set already stay.
    """
    found = {}
    for name, value in read_pip_settings().items():
        if value and name in UV_VARIABLES:
            separator = "," if name in COMMA_SEPARATED else " "
            found[UV_VARIABLES[name]] = separator.join(value.split())
    if "UV_INDEX" in found:
        # pip takes a version from any index. The hashes say which file is right.
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return {name: value for name, value in found.items() if name not in os.environ}


@cache
def check_cache() -> dict[str, str]:
    """Return the variables that turn off a cache that is not writable."""
    parent = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    directory = Path(os.environ.get("UV_CACHE_DIR") or Path(parent) / "uv")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        is_writable = os.access(directory, os.W_OK)
    except OSError:
        is_writable = False
    if is_writable:
        return {}
    print(f"Not caching packages: {directory} is not writable", file=sys.stderr)
    return {"UV_NO_CACHE": "1", "PIP_NO_CACHE_DIR": "1"}
