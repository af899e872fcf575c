"""Takes messages from an SQS queue, and gives back those that are not done."""

import logging
import queue
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

from context import CustomContext, is_outage
from settings import SettingsError

logger = logging.getLogger("function")

BATCH = 10
LONGEST_HIDING = 11 * 3600  # SQS hides a message for 12 hours, in all
LONGEST_PAUSE = 20
LINGER = 0.02
BEAT = 5
LONGEST_SILENCE = 900  # of a thread; a request that is tried again takes minutes

# Errors that no waiting mends, and what to do about each.
REMEDIES = {
    "NonExistentQueue": "there is no queue {queue}: name another by --read_queue",
    "QueueDoesNotExist": "there is no queue {queue}: name another by --read_queue",
    "AccessDenied": "access to {queue} is denied: the role needs sqs:ReceiveMessage, "
    "DeleteMessage, ChangeMessageVisibility, GetQueueUrl and GetQueueAttributes",
    "ExpiredToken": "the credentials have expired: renew them, and start again",
    "InvalidClientTokenId": "AWS does not know these credentials: check them",
    "UnrecognizedClient": "AWS does not know these credentials: check them",
    "SignatureDoesNotMatch": "the secret key is wrong: check the credentials",
    "NoCredentials": "there are no AWS credentials: set them in the environment",
    "InvalidRegion": "there is no such AWS region: check --region or AWS_REGION",
    "NoRegion": "there is no AWS region: set --region or AWS_REGION",
}


class PollerError(RuntimeError):
    """The queue cannot be polled, and waiting does not help."""


class Lease:
    """How long a message stays hidden from others; a `parent` of the context."""

    def __init__(self, seconds: float) -> None:
        self.extend(seconds)
        self.asked = monotonic()

    def extend(self, seconds: float) -> None:
        """Hide it for so long from now on."""
        self._end = monotonic() + seconds

    def left(self) -> float:
        """Return the seconds left."""
        return max(0, self._end - monotonic())

    def get_remaining_time_in_millis(self) -> int:
        """Return the time left, as AWS's context object does.

        Who asks is at work: `asked` notes when.
        """
        self.asked = monotonic()
        return round(self.left() * 1000)


class Held:
    """A message that was received, until SQS knows what became of it."""

    def __init__(self, message: dict[str, Any], visibility: float) -> None:
        self.id: str = message["MessageId"]
        self.body: str = message["Body"]
        self.receipt: str = message["ReceiptHandle"]
        attributes = message.get("Attributes", {})
        self.receives = int(attributes.get("ApproximateReceiveCount", 1))
        self.group: str = attributes.get("MessageGroupId", "")
        self.lease = Lease(visibility)
        self.since = monotonic()
        self.is_begun = self.is_finished = False
        self.hide_for: int | None = None  # seconds until it comes back; None: delete it

    def begin(self) -> None:
        """Note that it is worked on from now."""
        self.lease.asked = monotonic()
        self.is_begun = True


class Backoff:
    """Pauses that double, up to a limit, with jitter.

    See https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    def __init__(self) -> None:
        self.failures = 0

    def pause(self) -> float:
        """Return the seconds to wait after one more failure."""
        self.failures += 1
        longest = min(LONGEST_PAUSE, 0.2 * 2**self.failures)
        return random.uniform(longest / 2, longest)  # noqa: S311 - jitter


class Poller:
    """Runs a function on the messages of a queue.

    A message that is done is deleted. One that fails comes back after a while, and goes
    to the dead-letter queue after the receives that the queue's redrive policy allows.
    While messages are worked on, or wait for it, their visibility is extended.

    Args:
        make_context: makes a context; each thread has one of its own.
        handle: does the work, given a message's id, its body and a context.
        stop: ends the polling when it is set.
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
        self._local = threading.local()
        self._contexts: list[CustomContext] = []
        self._lock = threading.Lock()
        self._held: set[Held] = set()
        self._finished: queue.SimpleQueue[Held | None] = queue.SimpleQueue()
        self._room = threading.Condition()
        self._stopped_groups: set[str] = set()
        self._outage = threading.Event()
        self._backoff = Backoff()
        self._url = ""
        self._workers = 1
        self._visibility = 30.0
        self._asking = self._keeping = inf  # since when: requests, a turn of the keeper
        self._is_over = threading.Event()

    def poll(self) -> bool:
        """Take messages until told to stop; tell whether all that was begun has ended.

        Raises:
            PollerError: the queue cannot be polled, and waiting does not help.
        """
        self._start_heart()
        if not self._patiently(self._find_queue):
            return True
        logger.info("polling %s", self._url)
        if not self._url.endswith(".fifo"):
            self._workers = self._var.workers
        pool = ThreadPoolExecutor(self._workers, "worker")
        keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        keeper.start()
        try:
            while self._wait_for_room() and self._wait_out_outage():
                messages = self._patiently(self._receive)
                if messages is None:
                    break
                for message in messages:
                    held = Held(message, self._visibility)
                    with self._room:
                        self._held.add(held)
                    pool.submit(self._work_on, held)
                if self._var.once or (
                    not messages and self._patiently(self._is_drained)
                ):
                    break
        finally:
            has_ended = self._end(pool)
            self._finished.put(None)
            keeper.join()
            self._is_over.set()
            for context in (self._context, *self._contexts):
                if has_ended:
                    context.close()
        return has_ended

    def _work_on(self, held: Held) -> None:
        """Handle a message, in a thread of the pool."""
        with self._room:
            if held.hide_for is not None:  # given back meanwhile
                return
            if self._stop.is_set() or held.group in self._stopped_groups:
                self._finish(held, hide_for=0)
                return
            held.begin()
        context = self._own_context()
        context.parent = held.lease
        try:
            self._handle(held.id, held.body, context)
        except Exception as error:
            if held.group:
                self._stopped_groups.add(held.group)
            delay = self._var.retry_delay * 2 ** (held.receives - 1)
            if is_outage(error):
                for name in {"rds", "s3"} & context.__dict__.keys():
                    getattr(self._context, name)  # so that it is checked
                self._outage.set()
                delay = 1
            self._finish(held, hide_for=min(900, delay))
        else:
            self._finish(held, hide_for=None)

    def _finish(self, held: Held, hide_for: int | None) -> None:
        held.hide_for = hide_for
        held.is_finished = True
        self._finished.put(held)
        with self._room:
            if self._in_hand() < self._workers:
                self._room.notify_all()

    def _own_context(self) -> CustomContext:
        if not hasattr(self._local, "context"):
            with self._lock:  # boto3's session makes one client at a time
                self._local.context = self._make_context()
                _ = self._local.context.s3
            self._contexts.append(self._local.context)
        context: CustomContext = self._local.context
        return context

    def _keep(self) -> None:
        """Tell SQS what has become of messages, and extend the visibility of others."""
        is_going_on = True
        while is_going_on:
            self._keeping = monotonic()
            finished: list[Held] = []
            wait = min(self._visibility, LONGEST_SILENCE) / 6
            while len(finished) < BATCH:
                try:
                    held = self._finished.get(timeout=LINGER if finished else wait)
                except queue.Empty:
                    break
                if held is None:
                    is_going_on = False
                    break
                finished.append(held)
            self._tell(finished)
            self._extend()

    def _tell(self, finished: list[Held]) -> None:
        done = [held for held in finished if held.hide_for is None]
        if done:
            self._request("delete_message_batch", done, {})
        for hide_for in {held.hide_for for held in finished} - {None}:
            some = [held for held in finished if held.hide_for == hide_for]
            more = {"VisibilityTimeout": hide_for}
            self._request("change_message_visibility_batch", some, more)
        with self._room:
            self._held -= set(finished)
            self._room.notify_all()

    def _extend(self) -> None:
        now = monotonic()
        with self._room:
            short = [
                held
                for held in self._held
                if held.lease.left() < self._visibility * 0.667
                and now - held.since < LONGEST_HIDING
            ]
        for first in range(0, len(short), BATCH):
            some = short[first : first + BATCH]
            more = {"VisibilityTimeout": int(self._visibility)}
            if self._request("change_message_visibility_batch", some, more):
                for held in some:
                    held.lease.extend(self._visibility)

    def _request(self, action: str, some: list[Held], more: dict[str, Any]) -> bool:
        """Send a batch; a failure means that messages come back, and does no harm."""
        entries = [
            {"Id": str(number), "ReceiptHandle": held.receipt, **more}
            for number, held in enumerate(some)
        ]
        try:
            send = getattr(self._context.sqs, action)
            failed = send(QueueUrl=self._url, Entries=entries).get("Failed", [])
        except Exception as error:
            failed = [{"Message": f"{type(error).__name__}: {error}"}]
        for each in failed:
            logger.warning("%s failed: %s", action, each.get("Message"))
        return not failed

    def _start_heart(self) -> None:
        """Touch the heartbeat file from now on, if there shall be one.

        Raises:
            SettingsError: the file cannot be written.
        """
        if not self._var.heartbeat:
            return
        file = Path(self._var.heartbeat)
        try:
            file.touch()
        except OSError as error:
            raise SettingsError(
                f"the heartbeat file {file} cannot be written ({error.strerror}): name "
                "another by --heartbeat"
            ) from None
        threading.Thread(target=self._beat, args=[file], daemon=True).start()

    def _beat(self, file: Path) -> None:
        """Touch the file for as long as all goes on."""
        told: list[str] = []
        while not self._is_over.wait(BEAT):
            silent = self._silent()
            if not silent:
                with suppress(OSError):  # the file's age tells
                    file.touch()
            elif silent != told:
                logger.error("stuck: %s", ", ".join(silent))
            told = silent

    def _silent(self) -> list[str]:
        """Return the threads, and the messages worked on, that do not go on."""
        with self._room:
            asked = {
                f"message {held.id}": held.lease.asked
                for held in self._held
                if held.is_begun and not held.is_finished
            }
        threads = {"receiver": self._asking, "keeper": self._keeping}
        now, limit = monotonic(), self._var.stuck_after
        return [
            *(name for name, at in asked.items() if now - at > limit),
            *(name for name, at in threads.items() if now - at > LONGEST_SILENCE),
        ]

    def _wait_for_room(self) -> bool:
        """Wait until a worker is about to be idle; tell whether to go on.

        What is finished, but not told to SQS yet, takes no worker; only so much of it
        may gather.
        """
        with self._room:
            while not self._stop.is_set() and (
                self._in_hand() >= self._workers
                or len(self._held) > self._workers + BATCH
            ):
                self._room.wait(0.2)
        return not self._stop.is_set()

    def _in_hand(self) -> int:
        return sum(not held.is_finished for held in self._held)

    def _wait_out_outage(self) -> bool:
        """Wait until what the function needs is there again; tell whether to go on."""
        backoff = Backoff()
        while self._outage.is_set() and not self._stop.wait(backoff.pause()):
            try:
                self._context.check()
            except Exception as error:
                logger.warning("waiting: %s", error)
            else:
                logger.info("going on")
                self._outage.clear()
        return not self._stop.is_set()

    def _patiently(self, act: Callable[[], Any]) -> Any:
        """Return what `act` returns, however long it takes; None when told to stop.

        Raises:
            PollerError: it fails for good.
        """
        while not self._stop.is_set():
            self._asking = monotonic()
            try:
                result = act()
            except Exception as error:
                self._refuse(error)
                logger.warning("waiting: %s: %s", type(error).__name__, error)
                self._stop.wait(self._backoff.pause())
            else:
                self._backoff = Backoff()
                return result
            finally:
                self._asking = inf
        return None

    def _refuse(self, error: Exception) -> None:
        # botocore gives a connection that was closed a response, which is None
        answer = (getattr(error, "response", None) or {}).get("Error", {})
        code = str(answer.get("Code", type(error).__name__)).rpartition(".")[2]
        code = code.removesuffix("Exception").removesuffix("Error")
        if code in REMEDIES:
            name = self._url or self._var.read_queue
            raise PollerError(REMEDIES[code].format(queue=name)) from error

    def _find_queue(self) -> bool:
        name = self._var.read_queue
        if "://" in name:
            self._url = name
        else:
            self._url = self._context.sqs.get_queue_url(QueueName=name)["QueueUrl"]
        self._visibility = max(1.0, self._numbers("VisibilityTimeout")[0])
        return True

    def _receive(self) -> list[dict[str, Any]]:
        answer = self._context.sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=self._var.poll_batch_size,
            WaitTimeSeconds=min(self._var.poll_interval, 1 if self._var.drain else 20),
            MessageSystemAttributeNames=["ApproximateReceiveCount", "MessageGroupId"],
        )
        self._stopped_groups.clear()
        return list(answer.get("Messages", []))

    def _is_drained(self) -> bool:
        if not self._var.drain:
            return False
        with self._room:
            is_idle = not self._held
        return is_idle and not any(
            self._numbers(
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesNotVisible",
                "ApproximateNumberOfMessagesDelayed",
            )
        )

    def _numbers(self, *names: str) -> list[int]:
        found = self._context.sqs.get_queue_attributes(
            QueueUrl=self._url, AttributeNames=list(names)
        )
        return [int(found["Attributes"][name]) for name in names]

    def _end(self, pool: ThreadPoolExecutor) -> bool:
        """Wait for what was begun; give the rest back, and what takes too long."""
        pool.shutdown(wait=False)
        end = monotonic() + self._var.grace
        with self._room:
            while self._held and (not self._stop.is_set() or monotonic() < end):
                if self._stop.is_set():
                    self._give_back_what_waits()
                else:
                    end = monotonic() + self._var.grace
                self._room.wait(0.1)
            late = list(self._held)
        for held in late:
            logger.warning("message %s given back: its time is up", held.id)
            self._finish(held, hide_for=0)
        return not late

    def _give_back_what_waits(self) -> None:
        for held in self._held:
            if not held.is_begun and held.hide_for is None:
                self._finish(held, hide_for=0)
