"""The shim's servers: as local processes on loopback, or by Docker Compose."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from urllib.request import urlopen

import bootstrap
import database

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".shim"
PIDS = STATE / "pids"
COMPOSE = ["docker", "compose", "--file", str(ROOT / "tests" / "docker-compose.yml")]
START_SECONDS = 60


class ShimError(RuntimeError):
    """The shim cannot run; the message says why, and what to do."""


class Processes:
    """Processes that are started, watched and ended together."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: list[str], **environment: str) -> None:
        """Start a process; what it says goes to `.shim/<name>.log`."""
        with (STATE / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(
                command,
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the shim, which ends them
            )
        commands = {os.getpid(): sys.orig_argv} | {
            process.pid: process.args for process in self._running.values()
        }
        PIDS.write_text(json.dumps(commands))

    def check(self) -> None:
        """Raise ShimError when one has ended."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise ShimError(f"{name} has ended; see {STATE / name}.log")

    def wait_for(self, what: str, is_ready: Callable[[], bool]) -> None:
        """Wait until the condition holds; raise ShimError when it does not in time."""
        deadline = monotonic() + START_SECONDS
        while not is_ready():
            self.check()
            if monotonic() > deadline:
                raise ShimError(f"{what} is not ready after {START_SECONDS} s")
            if self._stop.wait(0.05):
                raise ShimError("told to stop")

    def end(self) -> None:
        """End them, and what they have started."""
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            _kill_group(process.pid)
            process.wait()
        PIDS.unlink(missing_ok=True)


@contextlib.contextmanager
def processes(
    options: Namespace, stop: threading.Event
) -> Iterator[Callable[[], None]]:
    """Run the servers as local processes; yield a check that they still do."""
    folder = STATE / "database"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    servers = Processes(stop)
    try:
        servers.start(
            "aws",
            [sys.executable, str(Path(__file__).with_name("aws.py"))],
            BIND_HOST="127.0.0.1",
            GATEWAY_PORT=str(options.aws_port),
            MINISTACK_REGION=options.region,
            LAMBDA_EXECUTOR="local",
            IOT_MTLS_ENABLED="0",
            SFTP_ENABLED="0",
            AWS_ACCESS_KEY_ID="shim",  # who may do all where AUTH=true enforces IAM
            AWS_SECRET_ACCESS_KEY="shim",
        )
        make_database(folder)
        servers.start("database", database.command(folder, options.db_port))
        servers.wait_for("S3 and SQS", lambda: _aws_answers(options.aws_port))
        _make_bucket_and_queues(options)
        servers.wait_for("the database", lambda: database.is_ready(options.db_port))
        database.prepare(options.db_port)
        yield servers.check
    finally:
        servers.end()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def containers(
    options: Namespace, stop: threading.Event
) -> Iterator[Callable[[], None]]:
    """Run the servers by Docker Compose; yield a check that does nothing."""
    checkout = hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]
    compose = [*COMPOSE, "--project-name", f"shim-{checkout}"]
    environment = os.environ | {
        "AWS_PORT": str(options.aws_port),
        "DB_PORT": str(options.db_port),
        "AWS_REGION": options.region,
    }

    def run(*words: str) -> int:
        return subprocess.run([*compose, *words], env=environment).returncode

    if not engine_answers():
        raise ShimError("no Docker engine with Compose answers here: see 'make doctor'")
    try:
        if run("up", "--wait", "--quiet-pull") != 0:
            run("logs", "--tail=20")
            raise ShimError("Docker Compose could not start it; see above")
        yield lambda: None
    finally:
        run("down", "--volumes", "--remove-orphans")


def make_database(folder: Path) -> None:
    """Make a new database, or copy the first one made alike: ten times as fast.

    The first one is kept, before it is served, in the shim's virtual environment.
    """
    server = database.program()
    how = Path(database.__file__).read_text(encoding="utf-8")
    of = f"{server} {server.stat().st_mtime_ns} {os.geteuid()} {how}"
    name = hashlib.sha256(of.encode()).hexdigest()[:12]
    kept, data = Path(sys.prefix) / "databases" / name, folder / "data"
    if kept.exists():
        _copy(kept, data)
        return
    database.make(folder)
    kept.parent.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=kept.parent) as unfinished,
        contextlib.suppress(OSError),  # another shim was the first
    ):
        _copy(data, Path(unfinished) / name)
        (Path(unfinished) / name).rename(kept)


def end_leftovers(ports: tuple[int, int]) -> None:
    """End the servers of a shim of this checkout that was killed; free their ports.

    Raises:
        ShimError: the shim was not killed, it still runs.
    """
    if not PIDS.exists():
        return
    left = json.loads(PIDS.read_text())
    shim = next(iter(left))  # it has noted itself first
    if _runs(shim, left[shim]):
        raise ShimError(f"this checkout's shim runs already, as process {shim}")
    servers = [int(pid) for pid, command in left.items() if _runs(pid, command)]
    for server in servers:
        _kill_group(server)
    deadline = monotonic() + 10
    while servers and not all(map(is_free, ports)) and monotonic() < deadline:
        threading.Event().wait(0.1)
    PIDS.unlink()


def is_free(port: int) -> bool:
    """Tell whether nobody listens on a port of the loopback interface."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _runs(pid: str, command: list[str]) -> bool:
    """Tell whether a process is there, and still runs what it was started with."""
    words = ["ps", "-o", "args=", "-ww", "-p", pid]
    found = subprocess.run(words, capture_output=True, text=True).stdout.strip()
    return bool(found) and " ".join(command).endswith(found)


def engine_answers() -> bool:
    """Tell whether a Docker engine runs here, and Compose with it."""
    return shutil.which("docker") is not None and all(
        subprocess.run(["docker", *words], capture_output=True).returncode == 0
        for words in (["info"], ["compose", "version"])
    )


def _aws_answers(port: int) -> bool:
    try:
        url = f"http://127.0.0.1:{port}/_ministack/health"
        with urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _copy(data: Path, to: Path) -> None:
    subprocess.run(["cp", "-R", str(data), str(to)], check=True)


def _make_bucket_and_queues(options: Namespace) -> None:
    """Make them in this process, for another one takes longer to start than that.

    What the shell says of AWS is for another one than the shim's.
    """
    shell = dict(os.environ)
    for name in shell:
        if name.startswith("AWS_"):
            del os.environ[name]
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "shim",
        "AWS_SECRET_ACCESS_KEY": "shim",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_DEFAULT_REGION": options.region,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{options.aws_port}",
    }
    try:
        bootstrap.main()
    finally:
        os.environ.clear()
        os.environ |= shell


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
