"""Decides when a poller with `--drain` is done."""

from collections.abc import Iterable

from in_flight import InFlight
from message_queue import MessageQueue, ReceivedMessage

MAX_RECEIVES = 3  # of a message that fails, in a queue without a dead-letter queue


class DrainError(RuntimeError):
    """`--drain` has ended, although messages are left."""


class Drain:
    """Whether there is nothing left to do.

    A message that fails each time ends in the dead-letter queue. Without one, it would
    come back for days: after `MAX_RECEIVES` it is left in the queue. A stuck function
    would never end either.

    Args:
        queue: the queue to drain.
        in_flight: its messages in flight.
        stuck_after: seconds after which a function counts as stuck.
    """

    def __init__(
        self, queue: MessageQueue, in_flight: InFlight, stuck_after: float
    ) -> None:
        self._queue = queue
        self._in_flight = in_flight
        self._stuck_after = stuck_after
        self._failed: set[str] = set()
        self._stuck: list[str] = []

    def record_failure(self, message: ReceivedMessage) -> None:
        """Take into account that a message failed, other than by an outage."""
        is_hopeless = message.receive_count >= MAX_RECEIVES
        if is_hopeless and not self._queue.has_dead_letters:
            self._failed.add(message.id)

    def record_done(self, message: ReceivedMessage) -> None:
        """Take into account that a message is done."""
        self._failed.discard(message.id)

    def may_be_done(self, received: Iterable[ReceivedMessage]) -> bool:
        """Whether a request has returned no messages but those that fail each time."""
        return {message.id for message in received} <= self._failed

    def is_done(self) -> bool:
        """Whether no message is left, or only those that fail each time."""
        if not self._in_flight.ids() <= self._failed:
            return False
        return self._queue.count_messages() <= len(self._failed)

    def is_stuck(self) -> bool:
        """Whether a function is stuck."""
        if not self._stuck:
            self._stuck = self._in_flight.find_stuck_messages(self._stuck_after)
        return bool(self._stuck)

    def raise_if_incomplete(self) -> None:
        """Raise if messages are left.

        Raises:
            DrainError: some failed each time, or a function is stuck.
        """
        if self._stuck:
            raise DrainError(f"--drain has ended: stuck: {_join(self._stuck)}")
        if self._failed:
            raise DrainError(
                f"--drain has ended, but messages stay in the queue, which has no "
                f"dead-letter queue, after {MAX_RECEIVES} receives or more: "
                f"{_join(self._failed)}"
            )


def _join(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
