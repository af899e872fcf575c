"""The messages in flight: received from SQS, and neither deleted nor returned yet."""

import queue
import threading
from collections import defaultdict
from math import inf
from time import monotonic

import heartbeat
from message_queue import MAX_BATCH, MessageQueue, ReceivedMessage

BATCH_DELAY = 0.02  # seconds to wait for more finished messages, to fill a batch
MAX_IN_FLIGHT = 11 * 3600  # seconds; SQS hides a message for 12 hours in all


class InFlight:
    """Extends the visibility of messages in flight, and deletes or returns them.

    A thread of its own, the acknowledger, sends the requests to SQS in batches, so
    workers do not wait for SQS.

    Args:
        message_queue: the queue that the messages are from.
        workers: number of messages that are processed at the same time.

    Attributes:
        changed: condition that guards the messages, notified when a worker is idle.
    """

    def __init__(self, message_queue: MessageQueue, workers: int) -> None:
        self.changed = threading.Condition()
        self._message_queue = message_queue
        self._workers = workers
        self._messages: set[ReceivedMessage] = set()
        self._finished: queue.SimpleQueue[ReceivedMessage | None] = queue.SimpleQueue()
        self._cycle_started = inf
        self._acknowledger = threading.Thread(
            target=self._acknowledge_until_stopped, name="acknowledger", daemon=True
        )

    def start(self) -> None:
        """Start the acknowledger."""
        self._acknowledger.start()

    def stop(self) -> None:
        """Delete or return all finished messages, then stop the acknowledger."""
        self._finished.put(None)
        self._acknowledger.join()

    def add(self, message: ReceivedMessage) -> None:
        """Add a message that was just received."""
        with self.changed:
            self._messages.add(message)

    def finish(self, message: ReceivedMessage, return_after: int | None) -> None:
        """Return a message to the queue after some seconds, or delete it (None)."""
        with self.changed:
            message.finish(return_after)
            self._finished.put(message)
            if self.has_capacity():
                self.changed.notify_all()

    def has_capacity(self) -> bool:
        """Whether a worker is idle, and few finished messages wait for a request."""
        with self.changed:
            is_worker_idle = len(self.unfinished()) < self._workers
            return is_worker_idle and len(self._messages) <= self._workers + MAX_BATCH

    def is_empty(self) -> bool:
        """Whether all messages have been deleted or returned."""
        with self.changed:
            return not self._messages

    def unfinished(self) -> list[ReceivedMessage]:
        """Return the messages that are running or waiting for a worker."""
        with self.changed:
            return [each for each in self._messages if not each.is_finished]

    def find_stuck(self, stuck_after: float) -> list[str]:
        """Return the names of stuck messages, and of the acknowledger if it is stuck.

        Args:
            stuck_after: seconds without a call of `time_remaining` or `require_time`
                after which a function counts as stuck.
        """
        now = monotonic()
        stuck = [
            f"message {message.id}"
            for message in self.unfinished()
            if message.is_started and now - message.lease.last_asked > stuck_after
        ]
        if now - self._cycle_started > heartbeat.MAX_SILENCE:
            stuck.append("acknowledger")
        return stuck

    def _acknowledge_until_stopped(self) -> None:
        is_stopping = False
        while not is_stopping:
            self._cycle_started = monotonic()
            finished, is_stopping = self._collect_finished()
            self._acknowledge(finished)
            self._extend_visibility()

    def _collect_finished(self) -> tuple[list[ReceivedMessage], bool]:
        """Wait for finished messages; return a batch, and whether to stop after it."""
        finished: list[ReceivedMessage] = []
        visibility_timeout = self._message_queue.visibility_timeout
        timeout = min(visibility_timeout, heartbeat.MAX_SILENCE) / 6
        while len(finished) < MAX_BATCH:
            try:
                message = self._finished.get(timeout=timeout)
            except queue.Empty:
                break
            if message is None:
                return finished, True
            finished.append(message)
            timeout = BATCH_DELAY
        return finished, False

    def _acknowledge(self, finished: list[ReceivedMessage]) -> None:
        """Delete messages that are done, and return the others to the queue."""
        by_delay: dict[int | None, list[ReceivedMessage]] = defaultdict(list)
        for message in finished:
            by_delay[message.return_after].append(message)
        for seconds, messages in by_delay.items():
            if seconds is None:
                self._message_queue.delete(messages)
            else:
                self._message_queue.change_visibility(messages, seconds)
        with self.changed:
            self._messages -= set(finished)
            self.changed.notify_all()

    def _extend_visibility(self) -> None:
        """Extend each lease that has lost a third of its time."""
        timeout = self._message_queue.visibility_timeout
        now = monotonic()
        with self.changed:
            expiring = [
                message
                for message in self._messages
                if message.lease.time_left() < timeout * 2 / 3
                and now - message.received_at < MAX_IN_FLIGHT
            ]
        for start in range(0, len(expiring), MAX_BATCH):
            batch = expiring[start : start + MAX_BATCH]
            if self._message_queue.change_visibility(batch, int(timeout)):
                for message in batch:
                    message.lease.extend(timeout)
