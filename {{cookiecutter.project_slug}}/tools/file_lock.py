"""A lock between processes, which ends with the process that has it."""

import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, activity: str) -> Iterator[bool]:
    """Have a lock for the length of a `with` block; yield whether it had to wait.

    Args:
        path: a file, which is created and stays.
        activity: shown while another process has the lock, as in "installs .venv".
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        has_waited = False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Waiting: another process {activity}", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
            has_waited = True
        yield has_waited
