"""Put wrapper, context, library, function and settings side by side.

`.build/local/<function>/` is what the command line and the container run, and the file
`.build/local/<function>.tag` identifies it for the tag of an image. The zips
`.build/lambda/<function>.zip` and `.build/layer/<platform>.zip` are what Lambda runs.
The same sources give the same bytes, whatever the machine, its Python, the time, the
path or the umask.
"""

import filecmp
import hashlib
import re
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.request import urlopen

from tools import deploy_config, packages
from tools.errors import UserError
from tools.project import BUILD, ROOT, functions

Platform = Literal["local", "aws"]

SOURCES = ROOT / "src"
LOCK = SOURCES / "common" / "requirements-layer.txt"
# What an image is made of besides a function's local build.
DOCKERFILE = SOURCES / "common" / "docker_wrapper"
IMAGE_LOCK = SOURCES / "common" / "requirements.txt"
CA_BUNDLE = ROOT / "config" / "rds-ca.pem"
CA_BUNDLE_URL = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
# Modules of src/common/ that only one wrapper uses; the others go into each build.
WRAPPERS = {
    "local": (
        *("local_wrapper.py", "poller.py", "message_queue.py"),
        *("in_flight.py", "slow_start.py", "heartbeat.py"),
    ),
    "lambda": ("lambda_wrapper.py",),
}
FUNCTION_NAME = "(?!.{21})[a-z][a-z0-9]*(_[a-z0-9]+)*"
# Scripts contain paths of this machine, and records the name of the installer. What
# python-box compiles is 18 of the layer's 23 MB, and loads no faster than its modules.
LEFT_OUT = (
    *("bin", ".lock", "box/*.so", "*.dist-info/RECORD", "*.dist-info/INSTALLER"),
    *("*.dist-info/REQUESTED", "*.dist-info/direct_url.json"),
)


class Artifact(NamedTuple):
    """A zip that was built, and what to say about it."""

    path: Path
    note: str = ""

    def describe(self) -> str:
        """Return its path and size."""
        packed = self.path.stat().st_size / 1024
        name = self.path.relative_to(ROOT)
        return f"built {name}, {packed:,.0f} KB{self.note}"


def build_for(stack: str, platform: Platform) -> list[Artifact]:
    """Build what a stack needs, or everything; return the zips.

    Args:
        stack: a stack of `infra/`, or empty for all.
        platform: "aws" for Lambda's Python, "local" for the one that runs this.
    """
    artifacts = []
    if stack in ("", "lambda"):
        artifacts += [build_lambda(name) for name in functions()]
    if stack in ("", "layer"):
        artifacts.append(build_layer(platform))
    if stack in ("", "ecr", "ecs"):
        for name in functions():
            build_local(name)
    return artifacts


def build_local(func: str) -> Path:
    """Assemble a function for the command line and the container; return its directory.

    A directory that is up to date is left alone, for a poller may be running in it.
    """
    result = BUILD / "local" / func
    result.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as scratch:
        fresh = assemble("local", func, Path(scratch) / "fresh")
        if not is_same(fresh, result):
            if result.exists():
                result.rename(Path(scratch) / "old")
            fresh.rename(result)
    write_tag(func, result)
    return result


def write_tag(func: str, directory: Path) -> None:
    """Write a hash of what a function's image is made of.

    All tools that name images read it: the same code is no new deployment.
    """
    content = hashlib.sha256(digest(directory).encode())
    for path in (DOCKERFILE, IMAGE_LOCK):
        content.update(path.read_bytes())
    tag = content.hexdigest()[:12]
    (BUILD / "local" / f"{func}.tag").write_text(tag, encoding="utf-8")


def read_tag(func: str, architecture: str, directory: Path = BUILD) -> str:
    """Return the tag of a function's image for a processor, such as `3f2a…-arm64`.

    Args:
        func: the function.
        architecture: x86_64 or arm64.
        directory: what was built, or placeholders for checks of the stacks.

    Raises:
        UserError: the function has not been built.
    """
    path = directory / "local" / f"{func}.tag"
    if not path.exists():
        raise UserError(f"{path.relative_to(ROOT)} is missing: run 'make build'")
    return f"{path.read_text(encoding='utf-8')}-{architecture}"


def build_lambda(func: str) -> Artifact:
    """Build the zip of a Lambda function.

    It is not compressed, since libraries of different versions compress differently.
    """
    with tempfile.TemporaryDirectory() as scratch:
        directory = assemble("lambda", func, Path(scratch) / func)
        return Artifact(pack(directory, BUILD / "lambda" / f"{func}.zip"))


def build_layer(platform: Platform) -> Artifact:
    """Build the zip of the layer, unless the packages are those of the last build.

    `.build/layer/<platform>.tag` gets a hash of all that the layer is made of. A layer
    with another hash is published as a new version.
    """
    result = BUILD / "layer" / f"{platform}.zip"
    tag = hash_layer(platform)
    is_current = read_comment(result) == tag.encode()
    if not is_current:
        with tempfile.TemporaryDirectory() as scratch:
            directory = Path(scratch) / "layer"
            install_packages(directory / "python", platform)
            if platform == "aws":  # Lambda's system does not know the CA of RDS
                shutil.copyfile(ensure_ca_bundle(), directory / CA_BUNDLE.name)
            # compressed, for it may be large; the tag decides about a deployment
            pack(directory, result, zipfile.ZIP_DEFLATED, tag.encode())
    result.with_suffix(".tag").write_text(tag, encoding="utf-8")
    return Artifact(result, " (up to date)" if is_current else "")


def assemble(wrapper: str, func: str, directory: Path) -> Path:
    """Copy a function and what it runs with into a new directory; return that.

    Args:
        wrapper: a key of `WRAPPERS`.
        func: the function.
        directory: the new directory, in one that exists.

    Raises:
        UserError: the function's name is not allowed, or it has no settings file.
    """
    settings = require_settings(func)
    directory.mkdir()
    others = {name for names in WRAPPERS.values() for name in names}
    for path in (SOURCES / "common").glob("*.py"):
        if path.name not in others or path.name in WRAPPERS[wrapper]:
            shutil.copyfile(path, directory / path.name)
    for path in (SOURCES / "lib").rglob("*.py"):
        copy = directory / path.relative_to(SOURCES)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    shutil.copyfile(settings, directory / "config.yml")
    if wrapper == "local" and CA_BUNDLE.exists():  # a Lambda has it in its layer
        shutil.copyfile(CA_BUNDLE, directory / CA_BUNDLE.name)
    module = directory / "func" / f"{func}.py"
    module.parent.mkdir()
    shutil.copyfile(SOURCES / "func" / f"{func}.py", module)
    module.with_name("__init__.py").write_text(
        f'__version__ = "{digest(directory)}"\n\n'
        f"from func import {func}\n\n"
        f"run = {func}.run\n"
        f'NEEDS = getattr({func}, "NEEDS", ())\n'
        f'SETTINGS = getattr({func}, "SETTINGS", [])\n'
    )
    return directory


def require_settings(func: str) -> Path:
    """Return the file of a function's settings.

    Raises:
        UserError: the function's name is not allowed, or there is no such file.
    """
    check_name(func)
    settings = ROOT / "config" / f"{func}.yml"
    if not settings.is_file():
        raise UserError(
            f"config/{func}.yml is missing: write the function's settings there, or "
            "{} for none"
        )
    return settings


def check_name(func: str) -> None:
    """Check that a function's name is allowed.

    Raises:
        UserError: it is not.
    """
    if not re.fullmatch(FUNCTION_NAME, func):
        raise UserError(
            f"FUNC={func} is not a valid name for a function: use a-z, 0-9 and "
            "single _ between them, start with a letter, at most 20 characters"
        )


def is_same(left: Path, right: Path) -> bool:
    """Return whether two directories hold the same files, Python's caches aside."""
    names = [path.relative_to(left) for path in list_files(left)]
    others = [path.relative_to(right) for path in list_files(right)]
    return names == others and all(
        filecmp.cmp(left / name, right / name, shallow=False) for name in names
    )


def list_files(directory: Path) -> list[Path]:
    """Return the files below a directory, in the same order everywhere."""
    found = directory.rglob("*")
    return sorted(
        path for path in found if path.is_file() and "__pycache__" not in path.parts
    )


def digest(directory: Path) -> str:
    """Return a short hash of the files below a directory."""
    result = hashlib.sha256()
    for path in list_files(directory):
        result.update(path.relative_to(directory).as_posix().encode() + b"\0")
        result.update(path.read_bytes() + b"\0")
    return result.hexdigest()[:12]


def hash_layer(platform: Platform) -> str:
    """Return a hash of all that a layer is made of, kept as the comment of its zip."""
    result = hashlib.sha256(LOCK.read_bytes() + repr(LEFT_OUT).encode())
    if platform == "aws":
        result.update(f"{read_python_version()} {read_architecture()}".encode())
        result.update(ensure_ca_bundle().read_bytes())
    else:
        result.update(sys.version.encode())
    return result.hexdigest()


def install_packages(directory: Path, platform: Platform) -> None:
    """Install the packages of the layer into a directory.

    Raises:
        UserError: a package cannot be installed.
    """
    if platform == "aws":
        python, machine = read_python_version(), read_architecture()
        try:
            packages.install_packages(LOCK, directory, python=python, machine=machine)
        except UserError as error:
            raise UserError(
                f"{error}: if a package has no wheel for Python {python} on {machine}, "
                "choose others in config/deploy.yml"
            ) from None
    else:
        packages.install_packages(LOCK, directory)
    for path in [path for glob in LEFT_OUT for path in directory.glob(glob)]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def ensure_ca_bundle() -> Path:
    """Return the path of RDS's CA bundle, which is downloaded the first time.

    See https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html

    Raises:
        UserError: it cannot be downloaded.
    """
    if not CA_BUNDLE.exists():
        try:
            with urlopen(CA_BUNDLE_URL, timeout=30) as answer:
                content = answer.read()
        except OSError as error:
            raise UserError(
                f"{CA_BUNDLE_URL} cannot be downloaded ({error}): save it as "
                "config/rds-ca.pem and commit it"
            ) from None
        CA_BUNDLE.write_bytes(content)
        print("downloaded config/rds-ca.pem, the CA bundle of RDS: commit it")
    return CA_BUNDLE


def read_python_version() -> str:
    """Return the version of Python on Lambda, such as `3.13`."""
    return str(deploy_config.load()["python"])


def read_architecture() -> str:
    """Return the processor of Lambda, such as `arm64`."""
    return str(deploy_config.load()["architecture"])


def read_comment(path: Path) -> bytes | None:
    """Return the comment of a zip, or None if there is no zip or it is corrupt."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.comment
    except (FileNotFoundError, zipfile.BadZipFile):
        return None


def pack(
    directory: Path,
    result: Path,
    compression: int = zipfile.ZIP_STORED,
    comment: bytes = b"",
) -> Path:
    """Zip a directory, the same content to the same bytes; return the zip."""
    result.parent.mkdir(parents=True, exist_ok=True)
    fresh = result.with_suffix(".new")
    with zipfile.ZipFile(fresh, "w") as archive:
        archive.comment = comment
        for path in sorted(path for path in directory.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(directory).as_posix())
            is_program = path.stat().st_mode & 0o100
            entry.external_attr = (0o755 if is_program else 0o644) << 16
            entry.compress_type = compression
            archive.writestr(entry, path.read_bytes())
    return fresh.rename(result)
