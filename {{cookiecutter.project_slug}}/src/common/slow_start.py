"""The number of messages that a poller may hold at a time."""

from collections import deque
from collections.abc import Collection
from time import monotonic

from message_queue import ReceivedMessage

START_WITHIN = 1.0  # seconds until a worker starts a message that was received
QUICK = 0.02  # seconds; a request for each message would make quick ones much slower
RECENT = 10  # messages whose durations predict those of the next ones
REDELIVERY_GROWTH = 0.1  # messages


class SlowStart:
    """A limit of messages in flight, which grows while messages are done quickly.

    SQS counts a receive when it hands out a message, not when a worker starts it. A
    process that dies thus spends a receive of each message that it holds. The limit
    begins at one message and grows by one with each that is done, as TCP's congestion
    window does (RFC 5681), up to the workers and the messages that they can start
    within a second.

    A message that has been running for a second makes room for another one, so that
    slow functions keep all workers busy, too. A failure or a redelivery takes the limit
    back to one message per worker. An empty queue, or a redelivery that may follow the
    death of a worker, takes it back to one message.

    At first, the messages that a poller held when it died come back together. Until
    then, a request asks for one message, unless messages take next to no time: the
    message that ends the process is then held alone.

    Args:
        workers: number of messages that are processed at the same time.
        batch_size: most messages to receive in one request.
        visibility_timeout: seconds until the messages of a dead poller come back.
    """

    def __init__(
        self, workers: int, batch_size: int, visibility_timeout: float
    ) -> None:
        self._workers = workers
        self._cautious_until = monotonic() + visibility_timeout
        self._most = workers + batch_size - 1
        self._window = 1.0
        self._durations: deque[float] = deque(maxlen=RECENT)

    def room(self, held: Collection[ReceivedMessage]) -> int:
        """Return how many more messages to receive.

        Args:
            held: the messages that are running or wait for a worker.
        """
        idle = self._workers - len(held)
        if idle <= 0:
            return 0
        running = [each.seconds_running() for each in held]
        slowest = max([*self._durations, *running], default=START_WITHIN)
        can_start = int(self._workers * START_WITHIN / max(slowest, 1e-6))
        limit = min(int(self._window), max(self._workers, can_start))
        untested = [each for each in held if not _has_survived(each)]
        room = max(0, limit - len(held), min(idle, limit - len(untested)))
        is_cautious = slowest > QUICK and monotonic() < self._cautious_until
        return min(1, room) if is_cautious else room

    def record_empty_queue(self) -> None:
        """Take into account that there was no message, as RFC 5681 does when idle."""
        self._window = 1

    def record_receive(self, message: ReceivedMessage) -> None:
        """Take a message into account that was just received."""
        if message.may_follow_crash:
            self._window = 1
        elif message.receive_count > 1:
            self._window = min(self._window, self._workers)

    def record_done(self, message: ReceivedMessage, seconds: float) -> None:
        """Take into account that a message was done in some seconds."""
        self._durations.append(seconds)
        growth = 1 if message.receive_count == 1 else REDELIVERY_GROWTH
        self._window = min(self._most, self._window + growth)

    def record_failure(self, seconds: float) -> None:
        """Take into account that a message failed after some seconds."""
        self._durations.append(seconds)
        self._window = min(self._window, self._workers)


def _has_survived(message: ReceivedMessage) -> bool:
    """Whether a message has been running for a while without ending the process."""
    return not message.may_follow_crash and message.seconds_running() > START_WITHIN
