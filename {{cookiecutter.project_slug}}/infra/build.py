"""Lays wrapper, context, library, function and configuration side by side.

A function is built below `.build/local/` for the command line and the container, and
below `.build/lambda/` as a zip; what it needs besides is the layer's zip. The same
sources give the same bytes.
"""

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "src"
BUILD = ROOT / ".build"
WRAPPERS = {
    "local": ("local_wrapper.py", "poller.py"),
    "lambda": ("lambda_wrapper.py",),
}
NAME = "[a-z][a-z0-9_]{0,19}"
# Lambda's Python, for functions on x86_64
PLATFORM = ["--platform", "manylinux2014_x86_64", "--python-version", "3.13"]
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc")


def assemble(target: str, function: str) -> Path:
    """Lay a function and its wrapper out in a folder of their own; return it."""
    if not re.fullmatch(NAME, function):
        raise SystemExit(
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
    (folder / "func" / "__init__.py").write_text(
        f'__version__ = "{version(folder)}"\n\nfrom func.{function} import run as run\n'
    )
    return folder


def version(folder: Path) -> str:
    """Return a name for what a folder holds."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
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
        command += [*PLATFORM, "--only-binary", ":all:"]
    requirements = SOURCES / "common" / "requirements-layer.txt"
    subprocess.run([*command, "--requirement", str(requirements)], check=True)
    return folder


def pack(folder: Path) -> Path:
    """Zip a folder beside itself, the same content to the same bytes; return that."""
    result = folder.with_name(f"{folder.name}.zip")
    with zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix())
            entry.external_attr = (
                0o755 if path.stat().st_mode & 0o100 else 0o644
            ) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
    return result


def main() -> int:
    """Build one target; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=[*WRAPPERS, "layer"])
    parser.add_argument("name", help="function; for the layer, aws or local")
    options = parser.parse_args()
    if options.target == "layer":
        result = pack(install_layer(options.name))
    else:
        result = assemble(options.target, options.name)
        if options.target == "lambda":
            result = pack(result)
    size = f", {result.stat().st_size / 1024:,.0f} KB" if result.is_file() else ""
    print(f"built {result.relative_to(ROOT)}{size}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
