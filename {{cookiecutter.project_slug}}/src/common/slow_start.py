"""The number of messages that a poller may hold at a time."""

from collections import deque

from message_queue import ReceivedMessage

START_WITHIN = 1.0  # seconds until a worker starts a message that was received
RECENT = 10  # messages whose durations predict those of the next ones
REDELIVERY_GROWTH = 0.1  # messages


class SlowStart:
    """A limit of messages in flight, which grows while messages are done quickly.

    SQS counts a receive when it hands out a message, not when a worker starts it. A
    process that dies thus spends a receive of each message that it holds. The limit
    begins at one message and grows by one with each that is done, as TCP's congestion
    window does (RFC 5681), up to the workers and the messages that they can start
    within a second.

    A failure or a redelivery takes it back to one message per worker. A redelivery that
    may follow the death of a worker takes it back to one message.

    Args:
        workers: number of messages that are processed at the same time.
        batch_size: most messages to receive in one request.
    """

    def __init__(self, workers: int, batch_size: int) -> None:
        self._workers = workers
        self._most = workers + batch_size - 1
        self._window = 1.0
        self._durations: deque[float] = deque(maxlen=RECENT)

    def limit(self) -> int:
        """Return the most messages to hold, those that are running included."""
        slowest = max(self._durations, default=START_WITHIN)
        can_start = int(self._workers * START_WITHIN / max(slowest, 1e-6))
        return min(int(self._window), max(self._workers, can_start))

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
