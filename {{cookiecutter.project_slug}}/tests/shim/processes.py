"""Starts, watches and stops local processes on ports of the loopback interface."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic, sleep
from typing import Self

from tests.shim.stop import Stop

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".shim"
PIDS = STATE / "pids"
VENV = ROOT / ".venv-shim"
START_SECONDS = 60
PORT_SECONDS = 10


class ShimError(Exception):
    """The shim cannot run; the message says why and what to do, without a full stop."""


class Processes:
    """The processes of this checkout's shim, which `.shim/pids` lists while it runs.

    Raises:
        ShimError: the checkout's shim is running already.
    """

    def __init__(self, stop: Stop) -> None:
        self.stop = stop
        self.patience = 0  # seconds to wait for ports of servers that were killed
        self._running: dict[str, tuple[subprocess.Popen[bytes], signal.Signals]] = {}

    def __enter__(self) -> Self:
        STATE.mkdir(exist_ok=True)
        self.patience = PORT_SECONDS if kill_leftovers() else 0
        try:
            self._write_pids()
        except OSError:
            PIDS.with_suffix(".new").unlink(missing_ok=True)
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()
        PIDS.unlink(missing_ok=True)

    def end(self) -> None:
        """Stop the processes and everything that they have started."""
        for process, stop_signal in self._running.values():
            process.send_signal(stop_signal)
        for process, _ in self._running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            _kill_group(process.pid)
            process.wait()
        self._running.clear()

    def start(
        self,
        name: str,
        command: list[str],
        environment: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        """Start a server; its output goes to `.shim/<name>.log`."""
        self._raise_if_stopped()
        with (STATE / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the shim, which stops them
            )
        self._running[name] = (process, stop_signal)
        self._write_pids()

    def check(self) -> None:
        """Raise ShimError if a server has ended."""
        for name, (process, _) in self._running.items():
            if process.poll() is not None:
                raise ShimError(f"{name} has ended: {last_line(name)}")

    def wait_for(self, what: str, is_ready: Callable[[], bool]) -> None:
        """Wait until a condition holds.

        Raises:
            ShimError: it does not within a minute, a server ends, or the shim is told
                to stop.
        """
        deadline = monotonic() + START_SECONDS
        while not is_ready():
            self.check()
            self._raise_if_stopped()
            if monotonic() > deadline:
                raise ShimError(f"{what} is not ready after {START_SECONDS} s")
            self.stop.wait(0.05)

    def _raise_if_stopped(self) -> None:
        if self.stop.is_set():
            raise ShimError("told to stop")

    def _write_pids(self) -> None:
        commands = {os.getpid(): sys.orig_argv} | {
            process.pid: process.args for process, _ in self._running.values()
        }
        new = PIDS.with_suffix(".new")
        new.write_text(json.dumps(commands), encoding="utf-8")
        new.replace(PIDS)


def run_logged(
    name: str,
    command: list[str],
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run a command to its end; its output goes to `.shim/<name>.log`.

    Raises:
        ShimError: it failed; the message has the last line of its output.
    """
    with (STATE / f"{name}.log").open("wb") as log:
        result = subprocess.run(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    if result.returncode != 0:
        raise ShimError(f"{name} failed: {last_line(name)}")


def last_line(name: str) -> str:
    """Return the last line of a log, and where the rest is."""
    path = STATE / f"{name}.log"
    text = path.read_text(encoding="utf-8", errors="replace").strip()
    return f"{text.rpartition(chr(10))[2] or 'no output'} (see {path})"


def kill_leftovers() -> bool:
    """Kill the servers of this checkout's killed shim; return whether it had any.

    Raises:
        ShimError: that shim still runs.
    """
    try:
        left: dict[str, list[str]] = json.loads(PIDS.read_text(encoding="utf-8"))
        shim = next(iter(left))  # it lists itself first
    except (FileNotFoundError, ValueError, StopIteration):
        return False
    if _is_running(shim, left[shim]):
        raise ShimError(
            f"this checkout's shim runs already, as process {shim}: use it, or stop it"
        )
    servers = [int(pid) for pid, command in left.items() if _is_running(pid, command)]
    for server in servers:
        _kill_group(server)
    deadline = monotonic() + 10
    while not all(map(_has_ended, servers)):
        if monotonic() > deadline:
            raise ShimError(f"servers of a killed shim do not end: processes {servers}")
        sleep(0.1)
    PIDS.unlink()
    return bool(servers)


def check_free(name: str, port: int, patience: float = 0) -> None:
    """Check that a port of the loopback interface is free.

    Args:
        name: the make variable that names it.
        port: the port.
        patience: seconds to wait for threads of a killed server, which let go last.

    Raises:
        ShimError: it is not.
    """
    deadline = monotonic() + patience
    while not _is_free(name, port):
        if monotonic() >= deadline:
            raise ShimError(
                f"port {port} of 127.0.0.1 is in use: stop the program that uses it, "
                f"or choose another port: make shim {name}={port + 1}"
            )
        sleep(0.1)


def _is_free(name: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            raise ShimError(
                f"port {port} is reserved for root: choose another, as in make shim "
                f"{name}={port + 4000}"
            ) from None
        except OSError:
            return False
        return True


def _is_running(pid: str, command: list[str]) -> bool:
    """Return whether a process still runs the command it was started with."""
    found = _command_line(pid)
    return bool(found) and " ".join(command).endswith(found)


def _has_ended(pid: int) -> bool:
    """Return whether a process is gone, or a zombie that its parent does not reap."""
    try:
        os.kill(pid, 0)
        stat = Path("/proc", str(pid), "stat").read_text(encoding="utf-8")
    except ProcessLookupError:
        return True
    except FileNotFoundError:  # a system without /proc, where the process still runs
        return False
    return stat.rpartition(")")[2].split()[0] == "Z"


def _command_line(pid: str) -> str:
    """Return the command of a process, empty if it does not run."""
    if Path("/proc/self/cmdline").exists():  # slim images have no ps
        try:
            arguments = Path("/proc", pid, "cmdline").read_bytes().split(b"\0")
        except OSError:
            return ""
        return b" ".join(arguments).decode(errors="replace").strip()
    command = ["ps", "-o", "args=", "-ww", "-p", pid]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
