"""Starts a project's workers by a fork of a process that has imported what they do.

Most of a worker's start is to import boto3 and the database's driver, and tests start
some hundred workers. What is the project's own, each imports for itself.
"""

import json
import os
import signal
import subprocess
from math import inf
from pathlib import Path
from threading import Event, Lock
from time import monotonic
from typing import Any

PROGRAM = Path(__file__).with_name("forking.py")


class Forks:
    """A process that forks others, for as long as this one lives.

    Args:
        python: of the virtual environment that the others need.
        environment: all of it, of this process.
    """

    def __init__(self, python: Path, environment: dict[str, str]) -> None:
        self._lock = Lock()
        self._process = subprocess.Popen(
            [python, PROGRAM],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C ends this process, and thereby that one
        )

    def ask(self, *words: Any) -> int | None:
        """Ask for a fork, or for what became of one."""
        with self._lock:
            assert self._process.stdin
            assert self._process.stdout
            print(json.dumps(words), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
            assert line, f"what forks has ended with {self._process.wait()}"
            answer: int | None = json.loads(line)
            return answer


_forks: dict[Path, Forks] = {}


class Forked:
    """A Python program in a process group of its own, used as `subprocess.Popen` is.

    Args:
        folder: of the project; the program is run there.
        words: the project's Python, the program and its arguments.
        environment: all of it.
        log: file that gets what it says.
    """

    def __init__(
        self, folder: Path, words: list[str], environment: dict[str, str], log: Path
    ) -> None:
        python, program, *arguments = words
        # the virtual environment may be shared, and a link
        found = folder.joinpath(python).parent.resolve() / "python"
        if found not in _forks:
            _forks[found] = Forks(found, environment)
        self._forks = _forks[found]
        self.returncode: int | None = None
        words = [str(folder / program), *arguments]
        pid = self._forks.ask("fork", str(folder), words, environment, str(log))
        assert pid
        self.pid = pid

    def poll(self) -> int | None:
        """Return the exit code, once there is one."""
        if self.returncode is None:
            self.returncode = self._forks.ask("poll", self.pid)
        return self.returncode

    def wait(self, timeout: float = inf) -> int:
        """Wait for the end; return the exit code.

        Raises:
            subprocess.TimeoutExpired: that takes more seconds.
        """
        end = monotonic() + timeout
        while (code := self.poll()) is None:
            if monotonic() > end:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            Event().wait(0.05)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Tell it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)
