"""Runs a function on the messages of an SQS queue."""

import logging
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from math import inf
from time import monotonic
from typing import TypeVar

import heartbeat
import log
from context import CustomContext
from drain import Drain
from errors import describe, is_service_outage
from heartbeat import Heartbeat
from in_flight import InFlight
from message_queue import MessageQueue, ReceivedMessage
from settings import SettingsError
from slow_start import START_WITHIN

logger = logging.getLogger("function")

T = TypeVar("T")

MAX_PAUSE = 20  # seconds
MAX_RETRY_DELAY = 900  # seconds
LAST_REQUESTS = 1.0  # seconds for the last requests to SQS, after the grace period
CHECK_INTERVAL = 0.1  # seconds; a signal sets an event that wakes no thread
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
        handle: processes a message, given the message and a context.
        stop: set it to stop polling.

    Raises:
        SettingsError: the setting `read_queue` is missing.
    """

    def __init__(
        self,
        make_context: Callable[[], CustomContext],
        handle: Callable[[ReceivedMessage, CustomContext], None],
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
        # One at a time: SQS keeps a group's next message until the last one is deleted.
        workers, batch_size = (
            (1, 1)
            if self._queue.is_fifo
            else (self._var.workers, self._var.poll_batch_size)
        )
        self._batch_size = batch_size
        self._in_flight = InFlight(self._queue, workers, batch_size)
        self._drain = Drain(self._queue, self._in_flight, self._var.stuck_after)
        self._pool = ThreadPoolExecutor(workers, "worker")
        self._thread = threading.local()
        self._worker_contexts: list[CustomContext] = []
        self._outage = threading.Event()
        self._unreachable: set[str] = set()
        self._backoff = Backoff()
        self._request_started = inf

    def poll(self) -> bool:
        """Process messages until stopped; return whether all started ones finished.

        The calling thread waits for nothing but conditions with a deadline, so it
        ends within the grace period and two seconds, even if a function or SQS hangs.

        Raises:
            QueueError: the queue cannot be polled, and retries will not help.
            SettingsError: the heartbeat file cannot be written, or boto3 refuses the
                endpoint of SQS.
            DrainError: `drain` is set, and messages are left.
        """
        with Heartbeat(self._var.heartbeat, self._find_stuck):
            receiver = ThreadPoolExecutor(1, "receiver").submit(self._receive_messages)
            receiver.add_done_callback(self._on_receiver_end)
            has_finished = self._shut_down(receiver)
            if has_finished:
                for context in (self._context, *self._worker_contexts):
                    context.close()
            if receiver.done():
                receiver.result()  # raises the receiver's error
            self._drain.raise_if_incomplete()
            return has_finished

    def _receive_messages(self) -> None:
        """Receive messages and pass them to the workers, until stopped."""
        if not self._request(self._queue.connect):
            return
        self._in_flight.start()
        logger.info("polling %s", self._queue.url)
        while (limit := self._wait_for_capacity()) and self._wait_for_services():
            messages = self._request(partial(self._receive, limit))
            if messages is None:
                return
            for message in messages:
                if self._in_flight.add(message):
                    self._pool.submit(self._process, message)
            if not messages:
                self._in_flight.record_empty_queue()
            if self._var.once or self._is_drained(messages):
                return

    def _on_receiver_end(self, receiver: Future[None]) -> None:
        if receiver.exception():
            self._stop.set()  # running messages have the grace period
        with self._in_flight.changed:
            self._in_flight.changed.notify_all()

    def _receive(self, limit: int) -> list[ReceivedMessage]:
        wait = self._var.poll_interval
        if self._var.drain:
            wait = min(wait, 1)
        if self._var.once:
            limit = self._batch_size
        return self._queue.receive(limit, wait)

    def _is_drained(self, received: list[ReceivedMessage]) -> bool:
        """Return whether to stop because of the setting `drain`."""
        if not self._var.drain or not self._drain.may_be_done(received):
            return False
        self._stop_if_stuck()
        return bool(self._request(self._drain.is_done))

    def _stop_if_stuck(self) -> None:
        if self._var.drain and self._drain.is_stuck():
            self._stop.set()  # running messages have the grace period

    def _process(self, message: ReceivedMessage) -> None:
        """Call the function for a message, in a worker thread.

        Whatever the function raises, the message fails and the worker goes on: also
        `SystemExit`, `asyncio.CancelledError` or a panic in an extension module.
        """
        with self._in_flight.changed:
            if message.is_finished:  # `_shut_down` has returned it
                return
            message.start()
        with log.about_message(message.id, message.attributes):
            self._call_function(message)

    def _call_function(self, message: ReceivedMessage) -> None:
        """Call the function with the thread's own context, and note the outcome."""
        try:
            context = self._thread_context()
        except BaseException as error:
            self._log_not_started(message, error)
            self._fail(message)
            return
        context.parent = message.lease
        context.message = message.message
        try:
            self._handle(message, context)
        except BaseException as error:
            is_outage = is_service_outage(error) and self._is_down(context)
            self._fail(message, OUTAGE_RETRY_DELAY if is_outage else None)
        else:
            self._drain.record_done(message)
            self._in_flight.finish(message, return_after=None)

    def _log_not_started(self, message: ReceivedMessage, error: BaseException) -> None:
        function = log.name_function(self._context.function_name)
        fields = {"messageId": message.id, "outcome": "failed", "function": function}
        log.outcomes.error(
            "message %s failed before the function started: %s",
            message.id,
            describe(error),
            exc_info=error,
            extra={"fields": fields, "metrics": {"notStarted": 1}},
        )

    def _fail(self, message: ReceivedMessage, delay: int | None = None) -> None:
        """Return a message after some seconds: `retry_delay`, doubled each time."""
        if delay is None:
            self._drain.record_failure(message)
            delay = self._var.retry_delay * 2 ** (message.receive_count - 1)
        self._in_flight.finish(message, min(MAX_RETRY_DELAY, delay))

    def _is_down(self, context: CustomContext) -> bool:
        """Whether S3 or the database is down, after an error of a connection.

        Then the poller waits. Another service may be down instead: that delays only the
        messages that need it.
        """
        services = context.used_services
        try:
            context.check(services)
        except Exception:
            with self._in_flight.changed:
                self._unreachable |= services
                self._outage.set()
            return True
        return False

    def _thread_context(self) -> CustomContext:
        """Return the current thread's own context."""
        if not hasattr(self._thread, "context"):
            context = self._make_context()
            self._thread.context = context
            self._worker_contexts.append(context)
        thread_context: CustomContext = self._thread.context
        return thread_context

    def _wait_for_capacity(self) -> int:
        """Wait until a worker is idle; return how many messages to receive.

        Returns:
            0 if stopped.
        """
        with self._in_flight.changed:
            while not self._stop.is_set():
                if limit := self._in_flight.capacity():
                    return limit
                if not self._in_flight.changed.wait(CHECK_INTERVAL):
                    self._stop_if_stuck()
        return 0

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
                with self._in_flight.changed:
                    self._unreachable.clear()
                    self._outage.clear()
        return not self._stop.is_set()

    def _request(self, send: Callable[[], T]) -> T | None:
        """Send a request to SQS until it succeeds; return None if stopped.

        Raises:
            QueueError: it fails, and retries will not help.
            SettingsError: boto3 refuses the endpoint.
        """
        while not self._stop.is_set():
            self._request_started = monotonic()
            try:
                response = send()
            except SettingsError:
                raise
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

    def _shut_down(self, receiver: Future[None]) -> bool:
        """Wait for the end, and return whether all messages finished.

        Once stopped, messages in flight have the grace period. Those that no worker
        starts within a second, and those still running at the end of the grace period,
        return to the queue.
        """

        def is_idle() -> bool:
            return receiver.done() and not self._in_flight.unfinished()

        self._wait_for(lambda: is_idle() or self._stop.is_set())
        soon = min(self._var.grace, START_WITHIN)
        self._wait_for(is_idle, soon)
        self._return_to_queue("no worker was idle", lambda each: not each.is_started)
        self._wait_for(is_idle, self._var.grace - soon)
        has_finished = is_idle()
        self._return_to_queue("the grace period ended", lambda _: True)
        self._in_flight.stop()
        self._wait_for(lambda: self._in_flight.is_stopped() or self._stop.is_set())
        self._wait_for(self._in_flight.is_stopped, LAST_REQUESTS)
        return has_finished and self._in_flight.is_stopped()

    def _wait_for(self, is_true: Callable[[], bool], seconds: float = inf) -> None:
        deadline = monotonic() + seconds
        with self._in_flight.changed:
            while not is_true() and (left := deadline - monotonic()) > 0:
                self._in_flight.changed.wait(min(CHECK_INTERVAL, left))

    def _return_to_queue(
        self, reason: str, is_wanted: Callable[[ReceivedMessage], bool]
    ) -> None:
        with self._in_flight.changed:
            for message in filter(is_wanted, self._in_flight.unfinished()):
                logger.warning(
                    "message %s returned to the queue: %s", message.id, reason
                )
                self._in_flight.finish(message, return_after=0)
