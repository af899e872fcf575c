"""Write the locks: every package that runs or ships, by version and hash.

Inputs, `*.in`, list direct dependencies, and locks, `*.txt`, all of them. Locks hold
for Python 3.11 and later on Linux and macOS, for x86_64 and arm64.
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


class Lock(NamedTuple):
    """A lock, its inputs, and another lock whose versions it takes."""

    path: str
    inputs: tuple[str, ...]
    constraint: str = ""


LAYER = ("src/common/requirements-database.in", "src/common/requirements-layer.in")
IMAGE = (*LAYER, "src/common/requirements.in")
SHIM = ("tests/shim/requirements-database.in", "tests/shim/requirements.in")
# Each one follows its constraint.
LOCKS = (
    Lock("src/common/requirements-layer.txt", LAYER),
    Lock("src/common/requirements.txt", IMAGE, "src/common/requirements-layer.txt"),
    Lock(
        "tests/requirements.txt",
        (*IMAGE, "tests/requirements.in"),
        "src/common/requirements.txt",
    ),
    Lock("tests/shim/requirements.txt", SHIM),
    Lock("infra/requirements.txt", ("infra/requirements.in",)),
    Lock("tools/requirements.txt", ("tools/requirements.in",)),
    Lock("tools/requirements-build.txt", ("tools/requirements-build.in",)),
    Lock("tools/requirements-audit.txt", ("tools/requirements-audit.in",)),
    Lock("tools/requirements-update.txt", ("tools/requirements-update.in",)),
)
# Renovate repeats the command in a lock's header. It wants `=` in options, and inputs
# that it can find there rather than in other inputs.
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
    locks: Sequence[Lock],
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
    for path, inputs, constraint in locks:
        command: list[str | Path] = [uv, "pip", "compile", "--quiet", *OPTIONS]
        command += ["--upgrade"] if upgrade else []
        command += [f"--constraints={constraint}"] if constraint else []
        command += [f"--output-file={path}", *inputs]
        run(f"Locking {path}", command, environment, cwd=root)


def lock_node_packages(root: Path) -> None:
    """Write `infra/package-lock.json`, without the address of the registry.

    Raises:
        UserError: npm fails or is not there.
    """
    directories = f"{ROOT / '.venv-infra' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    npm = shutil.which("npm", path=directories)
    if npm is None:
        raise UserError("npm is in .venv-infra, which does not exist: run make lint")
    command = [npm, "install", "--silent", *NODE_OPTIONS]
    run("npm", command, os.environ, root / "infra")


def check_locks(root: Path, locks: Sequence[Lock]) -> None:
    """Check that locks fit their inputs.

    Raises:
        UserError: some do not.
    """
    problems = [
        f"{lock.path}: {fault}" for lock in locks for fault in find_faults(root, lock)
    ]
    if problems:
        title = "Run make lock, because locks do not fit their inputs:"
        raise UserError("\n".join([title, *problems]))


def find_faults(root: Path, lock: Lock) -> list[str]:
    """Return why a lock does not fit its inputs, nothing if it does."""
    path = root / lock.path
    if not path.exists():
        return ["does not exist"]
    packages = read_lock(path)
    wanted: dict[str, str] = {}
    for name in lock.inputs:
        wanted |= read_input(root / name)
    direct = {each.name: each.version for each in packages if each.is_direct}
    found = [
        f"{name} is {direct.get(name, 'missing')}, its input says {version}"
        for name, version in wanted.items()
        if direct.get(name) != version
    ]
    found += [f"{name} is in no input" for name in direct if name not in wanted]
    found += [f"{each.name} has no hash" for each in packages if not each.has_hashes]
    return found


def read_lock(path: Path) -> list[Package]:
    """Return the packages of a lock."""
    return [
        Package(
            normalize(block["name"]),
            block["version"],
            is_direct=re.search(r"^ +#.* -r ", block[0], re.MULTILINE) is not None,
            has_hashes="--hash=sha256:" in block[0],
        )
        for block in BLOCK.finditer(path.read_text(encoding="utf-8"))
    ]


def read_input(path: Path) -> dict[str, str]:
    """Return the versions that an input pins."""
    pinned = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if text := line.partition("#")[0].strip():
            name, _, version = text.partition(";")[0].partition("==")
            pinned[normalize(name.partition("[")[0])] = version.strip()
    return pinned


def normalize(name: str) -> str:
    """Return a package's name as indexes and locks spell it."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
