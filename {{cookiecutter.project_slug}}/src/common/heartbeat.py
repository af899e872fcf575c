"""Logs what is stuck, and touches a file for the container's health check."""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from settings import SettingsError

logger = logging.getLogger("function")

INTERVAL = 5  # seconds between two beats
# Seconds without progress after which a thread of the poller counts as stuck. botocore
# may retry a request for minutes.
MAX_SILENCE = 900


class Heartbeat:
    """Logs stuck messages and threads, and touches a file while nothing is stuck.

    Args:
        path: the file, or nothing to touch no file.
        find_stuck: returns the names of stuck messages and threads.

    Raises:
        SettingsError: the file cannot be written.
    """

    def __init__(self, path: str | None, find_stuck: Callable[[], list[str]]) -> None:
        self._file = Path(path) if path else None
        self._find_stuck = find_stuck
        self._stop = threading.Event()

    def __enter__(self) -> None:
        if self._file:
            try:
                self._file.touch()
            except OSError as error:
                raise SettingsError(
                    f"the heartbeat file {self._file} cannot be written "
                    f"({error.strerror}): set --heartbeat to another path"
                ) from None
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def __exit__(self, *exception: object) -> None:
        self._stop.set()

    def _beat(self) -> None:
        logged: list[str] = []
        while not self._stop.wait(INTERVAL):
            stuck = self._find_stuck()
            if stuck and stuck != logged:
                logger.error("stuck: %s", ", ".join(stuck))
            if self._file and not stuck:
                with suppress(OSError):  # the health check sees that the file is old
                    self._file.touch()
            logged = stuck
