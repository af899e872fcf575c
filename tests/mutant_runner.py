"""Runs tests again and again, each time in a fork that has all libraries already.

Its arguments are the directories of tests that it may be asked for. The first run, of
all of them, finds out which libraries they need. After that, each line of its input has
files or directories of tests, and each run is answered with pytest's exit code.
"""

import json
import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from math import ceil
from time import monotonic

import pytest

LEAST = 20.0  # seconds
SLOWEST = 10  # times as long as the first run


def main() -> None:
    """Answer until the input ends."""
    read, write = os.pipe()
    code, seconds = run(sys.argv[1:], 0, write)
    with open(read, encoding="utf-8") as libraries:
        for name in json.load(libraries) if code == 0 else ():
            with suppress(Exception):
                import_module(name)
    print(code, flush=True)
    sys.dont_write_bytecode = True  # else it would be that of a mutant
    timeout = ceil(max(LEAST, SLOWEST * seconds))
    for line in sys.stdin:
        code, _ = run(line.split(), timeout)
        print(code, flush=True)


def run(tests: list[str], timeout: int, write: int | None = None) -> tuple[int, float]:
    """Run tests up to the first failure.

    Args:
        tests: files and directories.
        timeout: seconds until the run is ended; 0 for no limit.
        write: where to write the names of the libraries that were imported.

    Returns:
        pytest's exit code, or the negative number of the signal that ended the run; and
        its seconds.
    """
    started = monotonic()
    child = os.fork()
    if not child:
        run_in_child(tests, timeout, write)
    _, status = os.waitpid(child, 0)
    with suppress(ProcessLookupError):  # what the tests have started
        os.killpg(child, signal.SIGKILL)
    if write is not None:
        os.close(write)
    return os.waitstatus_to_exitcode(status), monotonic() - started


def run_in_child(tests: list[str], timeout: int, write: int | None) -> None:
    """Run tests, and exit with pytest's exit code."""
    code = 1
    try:
        os.setsid()
        signal.alarm(timeout)
        silence = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(silence, stream)
        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests])
        if write is not None:
            with open(write, "w", encoding="utf-8") as libraries:
                json.dump(list_libraries(), libraries)
    finally:
        os._exit(code)


def list_libraries() -> list[str]:
    """Return the names of imported modules that are not the project's."""
    roots = (sys.prefix, sys.base_prefix)
    return [
        name
        for name, module in list(sys.modules.items())
        if (getattr(module, "__file__", None) or "").startswith(roots)
    ]


if __name__ == "__main__":
    main()
