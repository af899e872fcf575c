"""The messages in flight: received from SQS, and neither deleted nor returned yet."""

import logging
import queue
import threading
from collections import defaultdict
from math import inf
from time import monotonic

import heartbeat
from message_queue import MAX_BATCH, MessageQueue, ReceivedMessage
from slow_start import SlowStart

logger = logging.getLogger("function")

BATCH_DELAY = 0.02  # seconds to wait for more finished messages, to fill a batch
RETRY_DELAY = 1.0  # seconds before a failed delete or return is sent again
MAX_IN_FLIGHT = 11 * 3600  # seconds; SQS hides a message for 12 hours in all
MAX_REMEMBERED = 10_000  # messages that are done


class InFlight:
    """Extends the visibility of messages in flight, and deletes or returns them.

    A thread of its own, the acknowledger, sends the requests to SQS in batches, so
    workers do not wait for SQS.

    Args:
        message_queue: the queue that the messages are from.
        workers: number of messages that are processed at the same time.
        batch_size: most messages to receive in one request.

    Attributes:
        changed: condition that guards the messages, notified when one is finished or
            acknowledged and when the acknowledger ends.
    """

    def __init__(
        self, message_queue: MessageQueue, workers: int, batch_size: int
    ) -> None:
        self.changed = threading.Condition()
        self._message_queue = message_queue
        self._workers = workers
        self._batch_size = batch_size
        self._slow_start = SlowStart(workers, batch_size, 0)
        self._messages: dict[str, ReceivedMessage] = {}
        self._done: dict[str, None] = {}  # the latest IDs, the oldest first
        self._finished: queue.SimpleQueue[ReceivedMessage | None] = queue.SimpleQueue()
        self._cycle_started = inf
        self._is_running = False

    def start(self) -> None:
        """Start the acknowledger, once the queue is connected."""
        timeout = self._message_queue.visibility_timeout
        self._slow_start = SlowStart(self._workers, self._batch_size, timeout)
        self._is_running = True
        threading.Thread(target=self._run, name="acknowledger", daemon=True).start()

    def stop(self) -> None:
        """Let the acknowledger end once all finished messages are acknowledged."""
        self._finished.put(None)

    def is_stopped(self) -> bool:
        """Whether the acknowledger has ended."""
        return not self._is_running

    def add(self, message: ReceivedMessage) -> bool:
        """Add a message just received, and return whether to process it.

        SQS may deliver a message again although it is running or done here: after a
        failed delete, or when its visibility could not be extended. It is not
        processed twice. The new delivery's receipt handle deletes it.
        """
        with self.changed:
            self._slow_start.record_receive(message)
            known = self._messages.get(message.id)
            if known and not known.is_finished:
                known.renew(message)
                return False
            self._messages[message.id] = message
            if message.id in self._done:
                logger.info("message %s was done before: deleted", message.id)
                self.finish(message, return_after=None)
                return False
            return True

    def record_empty_queue(self) -> None:
        """Receive one message at first when there are some again."""
        with self.changed:
            self._slow_start.record_empty_queue()

    def finish(self, message: ReceivedMessage, return_after: int | None) -> None:
        """Return a message to the queue after some seconds, or delete it (None)."""
        with self.changed:
            if message.is_finished and return_after is not None:
                return  # returned already, at the end of the grace period
            if message.is_started and not message.is_finished:
                self._record(message, return_after)
            message.finish(return_after)
            if return_after is None:
                self._remember(message.id)
            self._finished.put(message)
            self.changed.notify_all()

    def capacity(self) -> int:
        """Return how many messages to receive now.

        There are none to receive while all workers are busy, or while many finished
        messages wait for a request.
        """
        with self.changed:
            if len(self._messages) > self._workers + MAX_BATCH:
                return 0
            return min(self._batch_size, self._slow_start.room(self.unfinished()))

    def ids(self) -> set[str]:
        """Return the IDs of the messages that are neither deleted nor returned yet."""
        with self.changed:
            return set(self._messages)

    def unfinished(self) -> list[ReceivedMessage]:
        """Return the messages that are running or waiting for a worker."""
        with self.changed:
            return [each for each in self._messages.values() if not each.is_finished]

    def find_stuck(self, stuck_after: float) -> list[str]:
        """Return the names of stuck messages, and of the acknowledger if it is stuck.

        Args:
            stuck_after: see `find_stuck_messages`.
        """
        stuck = self.find_stuck_messages(stuck_after)
        if monotonic() - self._cycle_started > heartbeat.MAX_SILENCE:
            stuck.append("acknowledger")
        return stuck

    def find_stuck_messages(self, stuck_after: float) -> list[str]:
        """Return the names of messages whose function is stuck.

        Args:
            stuck_after: seconds without a call of `time_remaining` or `require_time`
                after which a function counts as stuck.
        """
        now = monotonic()
        return [
            f"message {message.id}"
            for message in self.unfinished()
            if message.is_started and now - message.lease.last_asked > stuck_after
        ]

    def _record(self, message: ReceivedMessage, return_after: int | None) -> None:
        seconds = monotonic() - message.started_at
        if return_after is None:
            self._slow_start.record_done(message, seconds)
        else:
            self._slow_start.record_failure(seconds)

    def _remember(self, message_id: str) -> None:
        self._done[message_id] = None
        if len(self._done) > MAX_REMEMBERED:
            del self._done[next(iter(self._done))]

    def _run(self) -> None:
        try:
            self._acknowledge_until_stopped()
        finally:
            with self.changed:
                self._is_running = False
                self.changed.notify_all()

    def _acknowledge_until_stopped(self) -> None:
        failed: list[ReceivedMessage] = []
        is_stopping = False
        while failed or not is_stopping:
            self._cycle_started = monotonic()
            finished, is_last = self._collect_finished(RETRY_DELAY if failed else inf)
            is_stopping |= is_last
            failed = self._acknowledge([*dict.fromkeys(failed + finished)])
            self._extend_visibility()

    def _collect_finished(self, timeout: float) -> tuple[list[ReceivedMessage], bool]:
        """Wait for finished messages; return a batch, and whether it is the last.

        Args:
            timeout: most seconds to wait for the first message.
        """
        finished: list[ReceivedMessage] = []
        visibility_timeout = self._message_queue.visibility_timeout
        timeout = min(timeout, visibility_timeout / 6, heartbeat.MAX_SILENCE / 6)
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

    def _acknowledge(self, finished: list[ReceivedMessage]) -> list[ReceivedMessage]:
        """Delete messages that are done, and return the others to the queue.

        Returns:
            The messages to try again, because they are still hidden from others.
        """
        by_delay: dict[int | None, list[ReceivedMessage]] = defaultdict(list)
        for message in finished:
            if self._messages.get(message.id, message) is message:  # not redelivered
                by_delay[message.return_after].append(message)
        failed = self._message_queue.delete(by_delay.pop(None, []))
        for seconds, messages in by_delay.items():
            if seconds is not None:
                failed += self._message_queue.change_visibility(messages, seconds)
        failed = [message for message in failed if message.lease.time_left()]
        self._forget([message for message in finished if message not in failed])
        return failed

    def _forget(self, messages: list[ReceivedMessage]) -> None:
        with self.changed:
            for message in messages:
                if self._messages.get(message.id) is message:
                    del self._messages[message.id]
            self.changed.notify_all()

    def _extend_visibility(self) -> None:
        """Extend each lease that has lost a third of its time."""
        timeout = self._message_queue.visibility_timeout
        now = monotonic()
        with self.changed:
            expiring = [
                message
                for message in self._messages.values()
                if message.return_after is None
                and message.lease.time_left() < timeout * 2 / 3
                and now - message.received_at < MAX_IN_FLIGHT
            ]
        failed = self._message_queue.change_visibility(expiring, int(timeout))
        for message in expiring:
            if message not in failed:
                message.lease.extend(timeout)
