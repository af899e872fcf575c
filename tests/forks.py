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

PROGRAM = """\
import json, os, runpy, sys
from contextlib import suppress
import boto3, box, configargparse
with suppress(ImportError):
    import psycopg
with suppress(ImportError):
    import pymysql

boto3.Session().client("s3", region_name="eu-west-1")  # imports some more

def become(folder, words, environment, log):
    os.setsid()
    os.chdir(folder)
    for number, name in enumerate((os.devnull, log, log)):
        os.dup2(os.open(name, os.O_RDWR | os.O_APPEND), number)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv, sys.path[0] = words, os.path.dirname(words[0])
    runpy.run_path(words[0], run_name="__main__")
    sys.exit()

for line in sys.stdin:
    word, *given = json.loads(line)
    if word == "poll":
        pid, status = os.waitpid(given[0], os.WNOHANG)
        answer = os.waitstatus_to_exitcode(status) if pid else None
    elif not (answer := os.fork()):
        become(*given)
    print(json.dumps(answer), flush=True)
"""


class Forks:
    """A process that forks others, for as long as this one lives.

    Args:
        python: of the virtual environment that the others need.
        environment: all of it, of this process.
    """

    def __init__(self, python: Path, environment: dict[str, str]) -> None:
        self._lock = Lock()
        self._process = subprocess.Popen(
            [python, "-c", PROGRAM],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, *words: Any) -> int | None:
        """Ask for a fork, or for what became of one."""
        with self._lock:
            assert self._process.stdin
            assert self._process.stdout
            print(json.dumps(words), file=self._process.stdin, flush=True)
            answer: int | None = json.loads(self._process.stdout.readline())
            return answer


_forks: dict[Path, Forks] = {}


class Forked:
    """A Python program in a process of its own, used as `subprocess.Popen` is.

    Args:
        folder: of the project; the program is run there.
        words: the program and its arguments.
        environment: all of it.
        log: file that gets what it says.
    """

    def __init__(
        self, folder: Path, words: list[str], environment: dict[str, str], log: Path
    ) -> None:
        python = folder.joinpath(".venv").resolve() / "bin" / "python"
        if python not in _forks:
            _forks[python] = Forks(python, environment)
        self._forks = _forks[python]
        self.returncode: int | None = None
        words = [str(folder / words[0]), *words[1:]]
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
            Event().wait(0.02)
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
