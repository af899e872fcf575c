"""Whether the shim was told to stop."""

from time import sleep


class Stop:
    """A flag that a signal handler sets.

    It has no lock, unlike `threading.Event`: the handler would wait for ever if it
    interrupted a `wait` of the same thread that holds the lock.
    """

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        """Tell the shim to stop."""
        self._is_set = True

    def is_set(self) -> bool:
        """Return whether the shim was told to stop."""
        return self._is_set

    def wait(self, seconds: float) -> bool:
        """Wait some seconds, which a signal does not shorten; return `is_set`."""
        if not self._is_set:
            sleep(seconds)
        return self._is_set
