"""Runs a function on the messages of an SQS queue."""

import logging
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import inf
from time import monotonic
from typing import TypeVar

import heartbeat
import log
from context import CustomContext
from errors import describe, is_outage
from heartbeat import Heartbeat
from in_flight import InFlight
from message_queue import MessageQueue, ReceivedMessage
from settings import SettingsError

logger = logging.getLogger("function")

T = TypeVar("T")

MAX_PAUSE = 20  # seconds
MAX_RETRY_DELAY = 900  # seconds
OUTAGE_RETRY_DELAY = 1  # seconds; the poller itself waits for the outage to end


class Backoff:
    """Pauses that double with each failure, up to a limit, with jitter.

    See https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    def __init__(self) -> None:
        self._failures = 0

    def next_pause(self) -> float:
        """Return the seconds to wait after one more failure."""
        self._failures += 1
        longest = min(MAX_PAUSE, 0.2 * 2**self._failures)
        return random.uniform(longest / 2, longest)  # noqa: S311 - jitter


class Poller:
    """Receives messages, calls the function, and deletes the messages that are done.

    A failed message becomes visible again after a delay. After as many receives as the
    queue's redrive policy allows, SQS moves it to the dead-letter queue.

    Args:
        make_context: creates a context. Each thread has its own.
        handle: processes a message, given its ID, its body and a context.
        stop: set it to stop polling.

    Raises:
        SettingsError: the setting `read_queue` is missing.
    """

    def __init__(
        self,
        make_context: Callable[[], CustomContext],
        handle: Callable[[str, str, CustomContext], None],
        stop: threading.Event,
    ) -> None:
        self._make_context = make_context
        self._handle = handle
        self._stop = stop
        self._context = make_context()
        self._var = self._context.var
        if not self._var.read_queue:
            raise SettingsError("no queue to poll: set --read_queue or READ_QUEUE")
        self._queue = MessageQueue(self._context)
        # the messages of a group must be processed in their order
        self._workers = 1 if self._queue.is_fifo else self._var.workers
        self._in_flight = InFlight(self._queue, self._workers)
        self._thread = threading.local()
        self._worker_contexts: list[CustomContext] = []
        self._client_lock = threading.Lock()
        self._failed_groups: set[str] = set()
        self._outage = threading.Event()
        self._unreachable: set[str] = set()
        self._backoff = Backoff()
        self._request_started = inf

    def poll(self) -> bool:
        """Process messages until stopped; return whether all started ones finished.

        Raises:
            QueueError: the queue cannot be polled, and retries will not help.
            SettingsError: the heartbeat file cannot be written.
        """
        with Heartbeat(self._var.heartbeat, self._find_stuck):
            if not self._request(self._queue.connect):
                return True
            logger.info("polling %s", self._queue.url)
            pool = ThreadPoolExecutor(self._workers, "worker")
            self._in_flight.start()
            try:
                self._receive_until_stopped(pool)
            finally:
                has_finished = self._shut_down(pool)
                self._in_flight.stop()
                if has_finished:
                    for context in (self._context, *self._worker_contexts):
                        context.close()
            return has_finished

    def _receive_until_stopped(self, pool: ThreadPoolExecutor) -> None:
        while self._wait_for_capacity() and self._wait_for_services():
            messages = self._request(self._receive)
            if messages is None:
                return
            for message in messages:
                self._in_flight.add(message)
                pool.submit(self._process, message)
            if self._var.once or (not messages and self._request(self._is_drained)):
                return

    def _receive(self) -> list[ReceivedMessage]:
        wait = self._var.poll_interval
        if self._var.drain:
            wait = min(wait, 1)
        messages = self._queue.receive(self._var.poll_batch_size, wait)
        self._failed_groups.clear()
        return messages

    def _is_drained(self) -> bool:
        return self._var.drain and self._in_flight.is_empty() and self._queue.is_empty()

    def _process(self, message: ReceivedMessage) -> None:
        """Call the function for a message, in a worker thread."""
        with self._in_flight.changed:
            if message.is_finished:  # `_shut_down` has returned it
                return
            if self._stop.is_set() or message.group in self._failed_groups:
                self._in_flight.finish(message, return_after=0)
                return
            message.start()
        context = self._thread_context()
        context.parent = message.lease
        try:
            with log.about_message(message.id, message.attributes):
                self._handle(message.id, message.body, context)
        except Exception as error:
            if message.group:
                self._failed_groups.add(message.group)
            delay = self._var.retry_delay * 2 ** (message.receive_count - 1)
            if is_outage(error):
                self._unreachable |= context.used_services
                self._outage.set()
                delay = OUTAGE_RETRY_DELAY
            self._in_flight.finish(message, min(MAX_RETRY_DELAY, delay))
        else:
            self._in_flight.finish(message, return_after=None)

    def _thread_context(self) -> CustomContext:
        """Return the current thread's own context."""
        if not hasattr(self._thread, "context"):
            with self._client_lock:  # boto3 cannot create two clients at once
                context = self._make_context()
                _ = context.s3
            self._thread.context = context
            self._worker_contexts.append(context)
        thread_context: CustomContext = self._thread.context
        return thread_context

    def _wait_for_capacity(self) -> bool:
        """Wait until a worker is idle; return False if stopped."""
        with self._in_flight.changed:
            while not self._stop.is_set() and not self._in_flight.has_capacity():
                self._in_flight.changed.wait(0.2)
        return not self._stop.is_set()

    def _wait_for_services(self) -> bool:
        """After an outage, wait until all services respond; return False if stopped."""
        backoff = Backoff()
        while self._outage.is_set() and not self._stop.wait(backoff.next_pause()):
            try:
                self._context.check(self._unreachable)
            except Exception as error:
                logger.warning("waiting for S3 or the database: %s", describe(error))
            else:
                logger.info("resumed")
                self._outage.clear()
        return not self._stop.is_set()

    def _request(self, send: Callable[[], T]) -> T | None:
        """Send a request to SQS until it succeeds; return None if stopped.

        Raises:
            QueueError: it fails, and retries will not help.
        """
        while not self._stop.is_set():
            self._request_started = monotonic()
            try:
                response = send()
            except Exception as error:
                self._queue.raise_if_permanent(error)
                logger.warning("waiting for SQS: %s", describe(error))
                self._stop.wait(self._backoff.next_pause())
            else:
                self._backoff = Backoff()
                return response
            finally:
                self._request_started = inf
        return None

    def _find_stuck(self) -> list[str]:
        stuck = self._in_flight.find_stuck(self._var.stuck_after)
        if monotonic() - self._request_started > heartbeat.MAX_SILENCE:
            stuck.append("receiver")
        return stuck

    def _shut_down(self, pool: ThreadPoolExecutor) -> bool:
        """Wait for started messages; return whether all of them finished.

        Once stopped, messages that have not been started return to the queue at once,
        and those that are still running after the grace period return, too.
        """
        pool.shutdown(wait=False)
        deadline = inf
        with self._in_flight.changed:
            while (messages := self._in_flight.unfinished()) and monotonic() < deadline:
                if self._stop.is_set():
                    deadline = min(deadline, monotonic() + self._var.grace)
                    self._return_not_started(messages)
                self._in_flight.changed.wait(min(0.1, deadline - monotonic()))
            for message in messages:
                logger.warning(
                    "message %s returned to the queue: the grace period ended",
                    message.id,
                )
                self._in_flight.finish(message, return_after=0)
        return not messages

    def _return_not_started(self, messages: list[ReceivedMessage]) -> None:
        for message in messages:
            if not message.is_started:
                self._in_flight.finish(message, return_after=0)
