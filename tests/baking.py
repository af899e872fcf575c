"""Bake projects, run their make targets, and share installed environments."""

import atexit
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NoReturn, Self

import pytest
from filelock import FileLock

import sql_client

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = ROOT / "{{cookiecutter.project_slug}}"
SHARED = ROOT / ".build" / "shared"
DEADLINE = 180  # seconds; a machine may be slow, and only a failure waits so long

# The locks that decide what each virtual environment holds.
LOCKS = {
    ".venv": ["src/common/requirements*.txt", "tests/requirements.txt"],
    ".venv-shim": ["tests/shim/requirements*.txt"],
    ".venv-infra": ["infra/requirements.txt", "infra/package*.json"],
    ".venv-update": ["tools/requirements-update.txt"],
}

# Prefixes of variables that must not reach a project: they belong to this machine's
# user, to pytest or to make, which passes on what its command line sets.
FOREIGN = (
    *("AWS_", "DB_", "MAKE", "MFLAGS", "VIRTUAL_ENV", "PYTHON", "RUFF_", "PYTEST_"),
    *("JOBS", "TEST_ARGS"),
)


class Project:
    """A baked project."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def database(self) -> str:
        """The answer to `database`: "postgres" or "mysql"."""
        record = (self.path / ".portable.json").read_text(encoding="utf-8")
        return str(json.loads(record)["database"])

    def run(
        self, *words: str | Path, env: dict[str, str] | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the project's directory; `stdout` also has its errors.

        Raises:
            AssertionError: the command failed, and `check` is true.
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
        """Run a make target."""
        return self.run("make", *words, env=env, check=check)

    def start(self, *words: str) -> "Running":
        """Start a make target in the background, as in a terminal of its own."""
        return Running(self.path, ["make", *words], clean_environment())

    def share_installs(self) -> "Project":
        """Link to virtual environments installed earlier from the same locks."""
        for venv in (".venv", ".venv-shim", ".venv-infra"):
            if venv != ".venv-infra" or self._checks_stacks():
                self.share_install(venv)
        return self

    def share_layer(self) -> "Project":
        """Copy a layer for the shim that was built earlier from the same lock.

        The build recognises the layer by the comment in its zip.
        """
        key = self.digest("src/common/requirements-layer.txt", "tools/build.py")
        shared = SHARED / f"layer-{key}"
        layer = self.path / ".build" / "layer"
        with FileLock(f"{shared}.lock"):
            if shared.exists():
                shutil.copytree(shared, layer, dirs_exist_ok=True)
            else:
                self.make("build", "TARGET=layer")
                shutil.copytree(layer, shared)
        return self

    def digest(self, *globs: str) -> str:
        """Return a short hash of the content of some files."""
        paths = sorted(path for glob in globs for path in self.path.glob(glob))
        content = b"".join(path.read_bytes() for path in paths)
        return hashlib.sha256(content).hexdigest()[:12]

    def _checks_stacks(self) -> bool:
        """Return whether `make lint` checks the stacks on this machine."""
        return has_terraform() or (self.path / "infra" / "cdk.json").exists()

    def share_install(self, venv: str) -> None:
        """Link to a virtual environment, after installing it in a copy that stays.

        Scripts in an environment name the path that it was installed at.
        """
        SHARED.mkdir(parents=True, exist_ok=True)
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        keeper = SHARED / f"{self.digest(*LOCKS[venv])}-{version}{venv}"
        stamp = keeper / venv / "pyvenv.cfg"
        with FileLock(f"{keeper}.lock"):
            if not stamp.exists() or stamp.stat().st_mtime == 0:  # or was interrupted
                shutil.rmtree(keeper, ignore_errors=True)
                ignored = shutil.ignore_patterns(".git")
                shutil.copytree(self.path, keeper, symlinks=True, ignore=ignored)
                install = ("-m", "tools", "install", f"--venv={venv}")
                Project(keeper).run(sys.executable, *install)
        (self.path / venv).symlink_to(keeper / venv)
        stamp.touch()  # newer than the locks that were just baked

    @contextmanager
    def shim(self, mode: str = "process") -> Iterator[dict[str, str]]:
        """Run the shim on free ports; yield the variables of its clients."""
        ports = [f"AWS_PORT={free_port()}", f"DB_PORT={free_port()}"]
        with self.start("shim", f"SHIM={mode}", *ports) as shim:
            shim.wait_until((self.path / ".shim" / "shim.env").exists)
            yield self.shim_environment()

    def shim_environment(self) -> dict[str, str]:
        """Return the variables of the shim's clients, as a shell reads them."""
        script = "set -a; . .shim/shim.env; env"
        output = subprocess.check_output(
            ["sh", "-c", script], cwd=self.path, env={}, text=True
        )
        pairs = (line.partition("=") for line in output.splitlines())
        prefixes = ("AWS_", "DB_", "BUCKET", "NO_PROXY", "no_proxy")
        return {name: value for name, _, value in pairs if name.startswith(prefixes)}

    def query(self, statement: str) -> list[list[Any]]:
        """Return the rows of a statement in the shim's database; none for a change."""
        return sql_client.query(self.database, self.shim_environment(), statement)

    def wait_for_rows(self, statement: str) -> list[list[Any]]:
        """Wait until a statement returns rows, and return them."""
        rows: list[list[Any]] = wait_until(
            lambda: self.query(statement), f"rows of {statement}"
        )
        return rows


class Running:
    """A command that runs in the background until Ctrl-C at the latest.

    Args:
        folder: its working directory.
        words: the command.
        environment: all of its environment.
    """

    def __init__(
        self, folder: Path, words: Sequence[str | Path], environment: dict[str, str]
    ) -> None:
        handle, name = tempfile.mkstemp(suffix=".log", dir=folder.parent)
        self._log = Path(name)
        with os.fdopen(handle, "w") as output:
            self.process = subprocess.Popen(
                words,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            pytest.fail(f"Ctrl-C has not ended it; it printed:\n{self.output}")

    @property
    def output(self) -> str:
        """All that it has printed so far."""
        return self._log.read_text(encoding="utf-8")

    def wait_until(self, is_true: Callable[[], Any]) -> None:
        """Wait until a condition is true.

        Raises:
            AssertionError: the command ends first, or the deadline passes.
        """
        wait_until(lambda: self.process.poll() is not None or is_true(), self.output)
        assert is_true(), self.output

    def wait_for(self, text: str) -> None:
        """Wait until it has printed a text.

        Raises:
            AssertionError: the command ends first, or the deadline passes.
        """
        self.wait_until(lambda: text in self.output)


def bake(folder: Path, **answers: str) -> Project:
    """Bake a project below a directory, with the template's defaults for the rest.

    Raises:
        AssertionError: cookiecutter failed.
    """
    baked = _bake_once(tuple(answers.items()))
    folder.mkdir(parents=True, exist_ok=True)
    return Project(shutil.copytree(baked, folder / baked.name, symlinks=True))


@cache
def _bake_once(answers: tuple[tuple[str, str], ...]) -> Path:
    """Return a project of some answers that no test changes."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    result = cookiecutter(folder, *(f"{name}={value}" for name, value in answers))
    assert result.returncode == 0, result.stderr
    [path] = folder.iterdir()
    return path


def cookiecutter(
    folder: Path, *answers: str, source: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run cookiecutter on this template without asking questions."""
    program = Path(sys.executable).with_name("cookiecutter")
    words = ["--no-input", "--default-config", f"--output-dir={folder}", *answers]
    return subprocess.run(
        [program, source, *words],
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def count_passed(output: str) -> int:
    """Return how many tests passed, according to pytest's last line."""
    return int(output.rpartition(" passed")[0].split()[-1])


def clean_environment(more: dict[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without what is foreign to a project."""
    kept = {
        name: value
        for name, value in os.environ.items()
        # PYTHON says which Python creates virtual environments
        if name == "PYTHON" or not name.startswith(FOREIGN)
    }
    return kept | (more or {})


def free_port() -> int:
    """Return a free port of the loopback interface.

    It is outside the ranges from which Linux and macOS give ports to clients, so that
    no client gets it before it is used.
    """
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(is_true: Callable[[], Any], what: str) -> Any:
    """Wait until a condition is true, and return its value.

    Raises:
        AssertionError: the deadline passes.
    """
    end = monotonic() + DEADLINE
    while not (value := is_true()):
        assert monotonic() < end, f"waited {DEADLINE} s in vain for {what}"
        sleep(0.1)
    return value


def skip(reason: str) -> NoReturn:
    """Skip a test that this machine cannot run, or fail it if SKIPS=refused."""
    if os.environ.get("SKIPS") == "refused":
        pytest.fail(f"SKIPS=refused, but {reason}")
    pytest.skip(reason)


def has_terraform() -> bool:
    """Return whether this machine has Terraform."""
    return shutil.which("terraform") is not None
