"""Lays wrapper, context, library, function and configuration side by side.

A function is built below `.build/local/` for the command line and the container, and
below `.build/lambda/` as a zip; what it needs besides is the layer's zip. Zips carry
compiled files for the Python that will run them. The same sources give the same bytes.
"""

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import sizes
from sizes import ROOT, Refusal

SOURCES = ROOT / "src"
BUILD = ROOT / ".build"
AUTHORITIES = ROOT / "config" / "rds-ca.pem"
WRAPPERS = {
    "local": ("local_wrapper.py", "poller.py"),
    "lambda": ("lambda_wrapper.py",),
}
NAME = "[a-z][a-z0-9_]{0,19}"
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc")
# What nothing reads in a layer: pip's own notes, commands, tests, types, sources in C.
# python-box works as well without its 18 MB of compiled modules, and loads no slower.
NOTES = ("INSTALLER", "RECORD", "REQUESTED", "WHEEL")
UNREAD = (
    *(f"*.dist-info/{name}" for name in NOTES),
    *("bin", "**/tests", "**/*.pyi", "**/*.c", "box/*.so"),
)
# Where Lambda unpacks a zip, and what is not worth its bytes compiled: modules that are
# imported after the handler's start, or compiled in no time.
PLACES = {"lambda": "/var/task", "layer": "/opt"}
# How hard they are compressed: a layer by 9 is half a percent smaller, and takes thrice
# the time.
LEVELS = {"lambda": 9, "layer": 6}
LATE = r"/(settings|func/__init__|lib/(database|loads|rds))\.py$"


def assemble(target: str, function: str) -> Path:
    """Lay a function and its wrapper out in a folder of their own; return it.

    Raises:
        Refusal: its name cannot be.
    """
    if not re.fullmatch(NAME, function):
        raise Refusal(
            f"{function!r} is no name for a function: use a-z, 0-9 and _, begin with a "
            "letter, and end after 20 characters"
        )
    folder = BUILD / target / function
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in (*WRAPPERS[target], "context.py", "log.py", "settings.py"):
        shutil.copyfile(SOURCES / "common" / name, folder / name)
    shutil.copytree(SOURCES / "lib", folder / "lib", ignore=LEFT_OUT)
    (folder / "func").mkdir()
    shutil.copyfile(
        SOURCES / "func" / f"{function}.py", folder / "func" / f"{function}.py"
    )
    shutil.copyfile(ROOT / "config" / f"{function}.yml", folder / "config.yml")
    if target == "local" and AUTHORITIES.exists():  # a Lambda has them of its layer
        shutil.copyfile(AUTHORITIES, folder / AUTHORITIES.name)
    (folder / "func" / "__init__.py").write_text(
        f'__version__ = "{version(folder)}"\n\n'
        f"from func import {function}\n\n"
        f"run = {function}.run\n"
        f'NEEDS = getattr({function}, "NEEDS", ())\n'
    )
    return folder


def files(folder: Path) -> list[Path]:
    """Return all files below a folder, in the same order everywhere."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def version(folder: Path) -> str:
    """Return a name for what a folder holds."""
    digest = hashlib.sha256()
    for path in files(folder):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def install_layer(platform: str) -> Path:
    """Install what the functions need into a folder; return it.

    Args:
        platform: "aws" for Lambda's Python, "local" for the one that runs this.
    """
    folder = BUILD / "layer" / platform
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile"]
    command += ["--disable-pip-version-check", "--target", str(folder / "python")]
    if platform == "aws":
        machine = MACHINES[sizes.load()["architecture"]]
        command += ["--python-version", lambda_python(), "--only-binary", ":all:"]
        command += ["--platform", f"manylinux2014_{machine}"]
    requirements = SOURCES / "common" / "requirements-layer.txt"
    subprocess.run([*command, "--requirement", str(requirements)], check=True)
    if platform == "aws":  # who vouches for RDS is not known to Lambda's system
        shutil.copyfile(AUTHORITIES, folder / AUTHORITIES.name)
    for path in [path for glob in UNREAD for path in folder.glob(f"python/{glob}")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return folder


def lambda_python() -> str:
    """Return the version of Lambda's Python."""
    return str(sizes.load()["python"])


def find_python(platform: str) -> str | None:
    """Return a Python of the version that a platform has, if this machine has one."""
    if platform == "local" or sys.version.startswith(f"{lambda_python()}."):
        return sys.executable
    found = shutil.which(f"python{lambda_python()}")
    # a version manager may answer to the name without having the version
    if found and subprocess.run([found, "-V"], capture_output=True).returncode == 0:
        return found
    return None


def precompile(folder: Path, target: str, python: str) -> None:
    """Compile a folder's modules, so that they are as if compiled in their place.

    The files do not depend on times, on this folder's path or on the environment. Lines
    of tracebacks are told without the marks below them: that is a fifth of the size.
    """
    command = [python, "-I", "-S", "-X", "no_debug_ranges", "-m", "compileall", "-qq"]
    command += ["--invalidation-mode", "unchecked-hash", "-s", str(folder)]
    command += ["-p", PLACES[target], *(["-x", LATE] if target == "lambda" else [])]
    subprocess.run([*command, str(folder)], check=False)  # what fails stays a source


def pack(folder: Path, level: int) -> Path:
    """Zip a folder beside itself, the same content to the same bytes; return that."""
    result = folder.with_name(f"{folder.name}.zip")
    with zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files(folder):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix())
            entry.external_attr = (
                0o755 if path.stat().st_mode & 0o100 else 0o644
            ) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes(), compresslevel=level)
    return result


def build(target: str, name: str, platform: str) -> str:
    """Build a target; return what to tell of it.

    Args:
        target: local, lambda or layer.
        name: of the function.
        platform: "aws", or "local" for this machine's Python.

    Raises:
        Refusal: the name cannot be, or `config/deploy.yml` is wrong.
    """
    is_layer = target == "layer"
    result = install_layer(platform) if is_layer else assemble(target, name)
    if target == "local":
        return str(result.relative_to(ROOT))
    told = ""
    if python := find_python(platform):
        precompile(result, target, python)
    else:
        told = f"; slower to start, for want of python{lambda_python()} to compile it"
    unpacked = sum(path.stat().st_size for path in files(result))
    result = pack(result, LEVELS[target])
    packed = result.stat().st_size
    sizes_told = f"{packed / 1024:,.0f} KB ({unpacked / 1024:,.0f} KB unpacked)"
    return f"{result.relative_to(ROOT)}, {sizes_told}{told}"


def main() -> int:
    """Build one target; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=[*WRAPPERS, "layer"])
    parser.add_argument("name", help="function; for the layer, aws or local")
    parser.add_argument("--platform", choices=["aws", "local"], default="local")
    options = parser.parse_args()
    if options.target == "layer":
        options.platform = options.name
    try:
        told = build(options.target, options.name, options.platform)
    except Refusal as error:
        print(f"{error}.", file=sys.stderr)
        return 1
    print(f"built {told}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
