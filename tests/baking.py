"""Bakes projects, runs their make words, and shares between them what they install."""

import atexit
import hashlib
import json
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any, NoReturn, Self

import pytest
from filelock import FileLock

from forks import Forked

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = ROOT / "{{cookiecutter.project_slug}}"
SHARED = ROOT / ".build" / "shared"
DEADLINE = 60
QUICK = str(ROOT / "tests" / "quick")
VARIABLES = {".venv": "VENV", ".venv-shim": "SHIM_VENV", ".venv-infra": "INFRA_VENV"}

# What the machine's own settings must not decide in a project.
FOREIGN = (
    *("AWS_", "DB_", "MAKE", "MFLAGS", "VIRTUAL_ENV", "PYTHON", "RUFF_", "PYTEST_"),
    "TEST_ARGS",  # make hands on what its command line sets
)


class Project:
    """A baked project."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._asker: Asker | None = None

    def run(
        self, *words: str | Path, env: dict[str, str] | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the project's folder and return what it said.

        Raises:
            AssertionError: the command failed, and `check` was not taken back.
        """
        result = subprocess.run(
            words,
            cwd=self.path,
            env=clean_environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if check and result.returncode != 0:
            raise AssertionError(
                f"{words} ended with {result.returncode}:\n{result.stdout}"
            )
        return result

    def make(
        self, *words: str, env: dict[str, str] | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a make word."""
        return self.run("make", *words, env=env, check=check)

    def start(self, *words: str) -> "Running":
        """Start a make word in the background, as a terminal of its own would."""
        return Running(self.path, ["make", *words], clean_environment())

    def share_installs(self) -> "Project":
        """Take the virtual environments of an earlier project of the same needs."""
        needs = {
            ".venv": ["src/common/requirements*.txt", "tests/requirements.txt"],
            ".venv-shim": ["tests/shim/requirements*.txt"],
            ".venv-infra": ["infra/requirements.txt", "infra/package.json"],
        }
        for folder, requirements in needs.items():
            name = self.digest(*requirements)
            is_used = folder != ".venv-infra" or self._lints_targets()
            if name and is_used:
                self._install(SHARED / f"{name}{folder}", self.path / folder)
        return self

    def share_layer(self) -> "Project":
        """Take the layer, for the shim, of an earlier project of the same needs."""
        name = self.digest("src/common/requirements-*.txt", "infra/build.py")
        shared = SHARED / f"{name}.layer.zip"
        layer = self.path / ".build" / "layer" / "local.zip"
        with FileLock(f"{shared}.lock"):
            if not shared.exists():
                self.make("build", "TARGET=layer")
                copied = shared.with_suffix(".new")
                shutil.move(layer, copied)  # it may be on another disk
                copied.rename(shared)
        layer.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(shared, layer)
        return self

    def digest(self, *globs: str) -> str:
        """Return a name for the content of some files, or none where there are none."""
        paths = sorted(path for glob in globs for path in self.path.glob(glob))
        content = b"".join(path.read_bytes() for path in paths)
        return hashlib.sha256(content).hexdigest()[:12] if paths else ""

    def _lints_targets(self) -> bool:
        return has_terraform() or not (self.path / "infra" / "terraform.py").exists()

    def _install(self, shared: Path, link: Path) -> None:
        SHARED.mkdir(parents=True, exist_ok=True)
        stamp = shared / ".installed"
        with FileLock(f"{shared}.lock"):
            if not stamp.exists():
                variable = VARIABLES[link.name]
                self.make(str(stamp), f"{variable}={shared}")
        link.symlink_to(shared)
        stamp.touch()  # later than the files that were just baked

    @contextmanager
    def shim(self, mode: str = "process") -> Iterator[dict[str, str]]:
        """Run the shim on free ports; yield the environment that leads to it."""
        ports = [f"AWS_PORT={free_port()}", f"DB_PORT={free_port()}"]
        with self.start("shim", f"SHIM={mode}", *ports) as shim:
            shim.wait_until((self.path / ".shim" / "shim.env").exists)
            yield self.shim_environment()

    def shim_environment(self) -> dict[str, str]:
        """Return the environment of the words that talk to the shim."""
        file = self.path / ".shim" / "shim.env"
        return dict(_variables(file, file.stat().st_mtime_ns))

    def query(self, statement: str, patiently: bool = False) -> list[list[Any]]:
        """Return the rows that a statement yields in the shim's database.

        Args:
            statement: the SQL.
            patiently: ask again and again, until there are some.
        """
        if patiently:
            return list(
                wait_until(lambda: self._ask(statement), f"rows of {statement}")
            )
        return self._ask(statement)

    def change(self, statement: str, check: bool = True) -> None:
        """Run a statement that yields no rows in the shim's database."""
        try:
            self._ask(statement, is_change=True)
        except AssertionError:
            if check:
                raise

    def _ask(self, statement: str, is_change: bool = False) -> list[list[Any]]:
        environment = self.shim_environment()
        if self._asker is None or self._asker.environment != environment:
            self._asker = Asker(self.path, environment)
        return self._asker.ask(statement, is_change)


@cache
def _variables(file: Path, _changed: int) -> dict[str, str]:
    """Return what a shell gets of a file that is as it was at a time."""
    words = ["sh", "-c", f". {shlex.quote(str(file))}; env"]
    said = subprocess.check_output(words, env={}, text=True)
    pairs = (line.partition("=") for line in said.splitlines())
    return {name: value for name, _, value in pairs if name.startswith(("AWS_", "DB_"))}


# fixtures; both take a project, the first one also check=False, the other anew=True
Lint = Callable[..., str]
CheckedOnce = Callable[..., AbstractContextManager[None]]


class Asker:
    """A process that asks a project's database, until this object is forgotten.

    Between two questions it has no connection. To start it takes far longer than to
    ask.
    """

    PROGRAM = """\
import json, sys
from context import CustomContext

def answer(statement, is_change):
    if is_change:
        with context.rds.transaction() as cursor:
            cursor.execute(statement)
        return []
    return [list(row) for row in context.rds.query(statement)]

context = CustomContext()
for line in sys.stdin:
    try:
        said = {"rows": answer(*json.loads(line))}
    except Exception as error:
        said = {"error": repr(error)}
    context.close()
    print(json.dumps(said, default=str), flush=True)
"""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.environment = environment
        # pymysql reads all certificates of the machine for each connection
        more = {"PYTHONPATH": "src/common:src", "SSL_CERT_FILE": os.devnull}
        self._process = subprocess.Popen(
            [".venv/bin/python", "-c", self.PROGRAM],
            cwd=folder,
            env=clean_environment(environment | more),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, statement: str, is_change: bool) -> list[list[Any]]:
        """Return the rows that a statement yields, or none where it is a change.

        Raises:
            AssertionError: the database refused.
        """
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps([statement, is_change]), file=self._process.stdin, flush=True)
        said = json.loads(self._process.stdout.readline())
        assert "error" not in said, f"{statement}: {said['error']}"
        return list(said["rows"])


def start_process(
    folder: Path, words: Sequence[str], environment: dict[str, str], log: Path
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, and have it write to a log."""
    with log.open("a") as output:
        return subprocess.Popen(
            words,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


class Running:
    """A command that runs in a terminal of its own until Ctrl-C, at the latest."""

    def __init__(
        self,
        folder: Path,
        words: Sequence[str | Path],
        environment: dict[str, str],
        start: Callable[..., subprocess.Popen[bytes] | Forked] = start_process,
    ) -> None:
        handle, name = tempfile.mkstemp(suffix=".log", dir=folder.parent)
        os.close(handle)
        self._log = Path(name)
        self.process = start(folder, list(map(str, words)), environment, self._log)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(DEADLINE)

    @property
    def said(self) -> str:
        """What it has said so far."""
        return self._log.read_text(encoding="utf-8")

    def wait_until(self, holds: Callable[[], Any]) -> None:
        """Wait until a condition holds.

        Raises:
            AssertionError: the command ends before, or the deadline passes.
        """
        wait_until(lambda: self.process.poll() is not None or holds(), self.said)
        assert holds(), self.said


def bake(folder: Path, **answers: str) -> Project:
    """Bake a project below a folder, with the template's defaults for the rest.

    Raises:
        AssertionError: cookiecutter refused.
    """
    tree = _baked(**answers)
    path = folder / tree.name
    shutil.copytree(tree, path, symlinks=True)
    return Project(path)


def _baked(**answers: str) -> Path:
    """Return a project that is for copying, for the same answers always the same."""
    pairs = [f"{name}={value}" for name, value in sorted(answers.items())]
    folder = _bakes() / hashlib.sha256("\n".join(pairs).encode()).hexdigest()[:12]
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            fresh = Path(tempfile.mkdtemp(dir=_bakes()))
            result = cookiecutter(fresh, *pairs)
            assert result.returncode == 0, result.stderr
            fresh.rename(folder)
    [path] = folder.iterdir()
    return path


def _bakes() -> Path:
    """Return the folder of bakes that this process shares with those it starts."""
    if "BAKES" not in os.environ:
        os.environ["BAKES"] = folder = tempfile.mkdtemp(prefix="baked-")
        atexit.register(shutil.rmtree, folder)
    return Path(os.environ["BAKES"])


# before test processes are started
os.environ["MYPY_CACHE_DIR"] = str(_bakes() / "mypy")


def cookiecutter(
    folder: Path, *answers: str, source: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run cookiecutter on this template as a user would, but for the questions."""
    program = Path(sys.executable).with_name("cookiecutter")
    words = ["--no-input", "--default-config", f"--output-dir={folder}", *answers]
    return subprocess.run(
        [program, source, *words],
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def passed(said: str) -> int:
    """Return how many tests have passed, as pytest told."""
    return int(said.rpartition(" passed")[0].split()[-1])


def clean_environment(more: dict[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without what belongs to this machine's user."""
    kept = {
        name: value
        for name, value in os.environ.items()
        # which Python makes virtual environments, here and in projects; how it is run
        if name == "PYTHON" or value == QUICK or not name.startswith(FOREIGN)
    }
    return kept | (more or {})


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on.

    It is none of those that the kernel gives to clients, on Linux or macOS: between
    this and its use, one of them could get it.
    """
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(holds: Callable[[], Any], what: str) -> Any:
    """Wait until a condition holds, and return its value.

    Raises:
        AssertionError: it does not, within the deadline.
    """
    began, waited = monotonic(), 0.0
    while not (value := holds()):
        waited = monotonic() - began
        assert waited < DEADLINE, f"waited {DEADLINE} s in vain for {what}"
        Event().wait(min(0.05 + waited / 20, 0.2))  # to ask costs time, too
    return value


def skip(reason: str) -> NoReturn:
    """Skip a test that this machine cannot run; where skips are refused, fail it."""
    if os.environ.get("SKIPS") == "refused":
        pytest.fail(f"skips are refused here, but {reason}")
    pytest.skip(reason)


def has_terraform() -> bool:
    """Tell whether this machine has Terraform."""
    return shutil.which("terraform") is not None


def need_server(database: str) -> None:
    """Skip a test where this machine has no server of a database."""
    path = os.environ["PATH"] + ":/usr/sbin:/opt/homebrew/bin"
    servers = [shutil.which(name, path=path) for name in ("mariadbd", "mysqld")]
    if database == "mysql" and not any(servers):
        skip("this machine has no MySQL or MariaDB server")
