"""Write the locks: every package that runs or ships, by version and hash.

A lock `requirements.txt` lies beside its input, `requirements.in`, which lists the
direct dependencies. It holds for Python 3.11 and later on Linux and macOS, for x86_64
and arm64.
"""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tools.errors import UserError
from tools.packages import find_uv, run, variables
from tools.project import ROOT

# In this order: an input may name an earlier lock as a constraint.
LOCKS = (
    "src/common/requirements-layer.txt",
    "src/common/requirements.txt",
    "tests/requirements.txt",
    "tests/shim/requirements.txt",
    "infra/requirements.txt",
    "tools/requirements.txt",
    "tools/requirements-audit.txt",
)
# Renovate reads the command in a lock's header and wants `=` in its options.
OPTIONS = ("--universal", "--generate-hashes", "--python-version=3.11")
NODE_OPTIONS = ("--package-lock-only", "--omit-lockfile-registry-resolved")

# One package of a lock, with its hashes and the reasons why it is there.
BLOCK = re.compile(
    r"^(?P<name>[\w.-]+)(?:\[.*?\])?==(?P<version>\S+)(?: ; (?P<marker>[^\\\n]+))?.*\n"
    r"(?: .*\n?)*",
    re.MULTILINE,
)


class Package(NamedTuple):
    """One package of a lock."""

    name: str
    version: str
    is_direct: bool
    has_hashes: bool


def lock(check: bool = False, upgrade: bool = False) -> None:
    """Write the locks, or check that they fit their inputs.

    Args:
        check: only compare, which needs no network.
        upgrade: take the newest versions that the inputs allow; otherwise packages keep
            the versions that they have.

    Raises:
        UserError: a lock does not fit, or its packages do not go together.
    """
    if check:
        check_locks(ROOT, LOCKS)
        return
    program = find_uv()
    if not program:
        raise UserError(
            "Only uv writes locks, and it is not in .venv: run make install"
        )
    write_locks(program, ROOT, LOCKS, variables(), upgrade)
    if (ROOT / "infra" / "package.json").exists():
        lock_node_packages(ROOT)


def write_locks(
    uv: Path,
    root: Path,
    locks: Sequence[str],
    environment: Mapping[str, str],
    upgrade: bool = False,
) -> None:
    """Write locks from their inputs.

    Args:
        uv: the program.
        root: directory that the locks' paths are relative to.
        locks: the locks, each after those that constrain it.
        environment: of uv; it names the index.
        upgrade: see `lock`.

    Raises:
        UserError: an input's packages do not go together.
    """
    for name in locks:
        command: list[str | Path] = [uv, "pip", "compile", "--quiet", *OPTIONS]
        command += ["--upgrade"] if upgrade else []
        command += [f"--output-file={name}", str(Path(name).with_suffix(".in"))]
        run(command, environment, cwd=root)


def lock_node_packages(root: Path) -> None:
    """Write `infra/package-lock.json`, without the address of the registry.

    Raises:
        UserError: npm fails or is not there.
    """
    directories = f"{ROOT / '.venv-infra' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    npm = shutil.which("npm", path=directories)
    if npm is None:
        raise UserError("npm is in .venv-infra, which does not exist: run make lint")
    run([npm, "install", "--silent", *NODE_OPTIONS], os.environ, root / "infra")


def check_locks(root: Path, locks: Sequence[str]) -> None:
    """Check that locks fit their inputs.

    Raises:
        UserError: some do not.
    """
    problems = [f"{name}: {fault}" for name in locks for fault in faults(root / name)]
    if problems:
        raise UserError(
            "\n".join(["Run make lock, because locks do not fit their inputs:", *problems])
        )


def faults(path: Path) -> list[str]:
    """Return why a lock does not fit its input, nothing if it does."""
    source = path.with_suffix(".in")
    if not path.exists():
        return ["does not exist"]
    packages = read_lock(path)
    wanted = read_input(source)
    direct = {each.name: each.version for each in packages if each.is_direct}
    found = [
        f"{name} is {direct.get(name, 'missing')}, {source.name} says {version}"
        for name, version in wanted.items()
        if direct.get(name) != version
    ]
    found += [
        f"{name} is not in {source.name}" for name in direct if name not in wanted
    ]
    found += [f"{each.name} has no hash" for each in packages if not each.has_hashes]
    return found


def read_lock(path: Path) -> list[Package]:
    """Return the packages of a lock."""
    return [
        Package(
            normalized(block["name"]),
            block["version"],
            is_direct=re.search(r"^ +#.* -r ", block[0], re.MULTILINE) is not None,
            has_hashes="--hash=sha256:" in block[0],
        )
        for block in BLOCK.finditer(path.read_text(encoding="utf-8"))
    ]


def read_input(path: Path) -> dict[str, str]:
    """Return the versions that an input pins, with those of the inputs it includes."""
    pinned: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.partition("#")[0].strip()
        if text.startswith("-r "):
            pinned |= read_input(path.parent / text.removeprefix("-r "))
        elif text and not text.startswith("-c "):
            name, _, version = text.partition(";")[0].partition("==")
            pinned[normalized(name.partition("[")[0])] = version.strip()
    return pinned


def normalized(name: str) -> str:
    """Return a package's name as indexes and locks spell it."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
