"""Poll with the code as it is now: start a new poller each time you save.

The new one starts while the old one still runs. Only when it polls does the old one
stop receiving, and it finishes its messages. If the new one cannot start, because of a
syntax error for example, it says why and the old one goes on.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from watchfiles import watch

from tools.errors import UserError
from tools.project import BUILD, ROOT

WATCHED = ("src", "config", "migrations", "tests/shim")
SUFFIXES = (".py", ".yml", ".sql", ".pem")
DECLARATIONS = ROOT / "config" / "deploy.yml"
# Milliseconds: a save is seen after STEP, several of them at once after DEBOUNCE.
STEP, DEBOUNCE, CHECK_EVERY = 20, 200, 100
# Ends with this process or a poller. A kill of this process would leave the poller,
# which would go on with the old code.
GUARD = "while kill -0 $0 && kill -0 $1; do sleep 1; done; kill -0 $0 || kill $1"


class Reloader:
    """The poller that runs, the next one, and the old ones that finish messages.

    Args:
        command: starts the poller.
        directory: for a file of each poller, which it touches once it polls.
    """

    def __init__(self, command: Sequence[str], directory: Path) -> None:
        self._command = command
        self._directory = directory
        self._number = 0
        self._current: subprocess.Popen[bytes] | None = None
        self._next: subprocess.Popen[bytes] | None = None
        self._old: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start a poller with the code as it is now."""
        if self._next:
            self._retire(self._next)
        self._number += 1
        self._ready.unlink(missing_ok=True)
        command = [*self._command, f"--heartbeat={self._ready}"]
        # in a group of its own, or Ctrl-C would reach it in addition to our signal
        self._next = subprocess.Popen(command, cwd=ROOT, process_group=0)
        guard = ["sh", "-c", GUARD, str(os.getpid()), str(self._next.pid)]
        nowhere = subprocess.DEVNULL
        subprocess.Popen(guard, stdout=nowhere, stderr=nowhere, process_group=0)

    def check(self) -> int | None:
        """Let the next poller take over once it polls.

        Returns:
            The exit code of the poller that ended by itself, if it did.
        """
        self._old = [each for each in self._old if each.poll() is None]
        if self._next and self._next.poll() is not None:
            self._report_failure()
        elif self._next and self._ready.exists():
            if self._current:
                _say("reloaded")
                self._retire(self._current)
            self._current, self._next = self._next, None
        return self._current.poll() if self._current else None

    def stop(self) -> None:
        """Stop all pollers, and wait until they have finished their messages.

        Ctrl-C meanwhile ends them at once.
        """
        for poller in filter(None, (self._current, self._next)):
            self._retire(poller)
        try:
            for poller in self._old:
                poller.wait()
        except KeyboardInterrupt:
            for poller in self._old:
                poller.kill()

    @property
    def _ready(self) -> Path:
        return self._directory / f"{self._number}.heartbeat"

    def _retire(self, poller: subprocess.Popen[bytes]) -> None:
        poller.terminate()
        self._old.append(poller)

    def _report_failure(self) -> None:
        self._next = None
        goes_on = "the old code goes on" if self._current else "nothing polls"
        _say(f"this code does not start, {goes_on} until you save it again")


def poll(prepare: Callable[[], Sequence[str]], name: str) -> int:
    """Run a poller, and replace it each time a file changes, until Ctrl-C.

    Args:
        prepare: sets the variables of the poller and returns its command. Called again
            when `config/deploy.yml` changes.
        name: of the function.

    Returns:
        The exit code of the poller if it ends by itself, else 0.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    reloader = Reloader(prepare(), BUILD / "run" / name)
    reloader.start()
    paths = [ROOT / each for each in WATCHED if (ROOT / each).exists()]
    try:
        for changes in watch(
            *paths,
            watch_filter=lambda _, path: path.endswith(SUFFIXES),
            debounce=DEBOUNCE,
            step=STEP,
            rust_timeout=CHECK_EVERY,
            yield_on_timeout=True,
        ):
            changed = {Path(path) for _, path in changes}
            if changed and _can_start(changed, prepare):
                reloader.start()
            code = reloader.check()
            if code is not None:
                return code
    except KeyboardInterrupt:
        pass
    finally:
        reloader.stop()
    return 0


def _can_start(changed: set[Path], prepare: Callable[[], object]) -> bool:
    """Bring the shim up to date if `config/deploy.yml` changed; say if that fails."""
    try:
        if DECLARATIONS in changed:
            prepare()
    except UserError as error:
        _say(f"{error}")
        return False
    return True


def _say(text: str) -> None:
    print(f"RELOAD=1: {text}", file=sys.stderr, flush=True)
