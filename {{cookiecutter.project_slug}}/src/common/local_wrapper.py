"""The function from the command line and in a container: it polls a queue."""

import json
import logging
import signal
import sys
import threading
from pathlib import Path
from time import monotonic
from typing import Any

from context import CustomContext
from func import run
from settings import SettingsError

logger = logging.getLogger("function")

Message = dict[str, Any]


class Lease:
    """How long received messages stay hidden from others; a `parent` of the context."""

    def __init__(self, seconds: float) -> None:
        self._end = monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        """Return the time left, as AWS's context object does."""
        return max(0, round((self._end - monotonic()) * 1000))


class Poller:
    """Takes messages from a queue and runs the function on them.

    A message that is done is deleted. One that fails comes back when its visibility
    timeout ends, and goes to the dead-letter queue after the receives that the
    queue's redrive policy allows.

    Args:
        context: gives the settings and SQS, and is handed on to the function.
        stop: ends the polling when it is set; messages not begun are given back.
    """

    def __init__(self, context: CustomContext, stop: threading.Event) -> None:
        self._context = context
        self._stop = stop
        self._sqs = context.sqs
        self._url = self._queue_url(context.var.read_queue)

    def poll(self) -> None:
        """Take messages until told to stop or, with `drain`, until there are none."""
        var = self._context.var
        visibility = self._numbers("VisibilityTimeout")[0]
        logger.info("polling %s", self._url)
        while not self._stop.is_set():
            messages = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=var.poll_batch_size,
                WaitTimeSeconds=min(var.poll_interval, 1 if var.drain else 20),
            ).get("Messages", [])
            self._context.parent = Lease(visibility)
            self._handle(messages)
            if not messages and var.drain and self._is_empty():
                return

    def _handle(self, messages: list[Message]) -> None:
        done, not_begun = [], []
        for message in messages:
            if self._stop.is_set():
                not_begun.append(message)
            elif self._is_done(message):
                done.append(message)
        if done:
            self._sqs.delete_message_batch(QueueUrl=self._url, Entries=_entries(done))
        if not_begun:
            self._sqs.change_message_visibility_batch(
                QueueUrl=self._url, Entries=_entries(not_begun, VisibilityTimeout=0)
            )

    def _is_done(self, message: Message) -> bool:
        try:
            report = run(message["Body"], self._context)
        except Exception:
            logger.exception("message %s failed", message["MessageId"])
            return False
        logger.info("message %s done: %s", message["MessageId"], json.dumps(report))
        return True

    def _is_empty(self) -> bool:
        return not any(
            self._numbers(
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesNotVisible",
                "ApproximateNumberOfMessagesDelayed",
            )
        )

    def _numbers(self, *names: str) -> list[int]:
        found = self._sqs.get_queue_attributes(
            QueueUrl=self._url, AttributeNames=list(names)
        )
        return [int(found["Attributes"][name]) for name in names]

    def _queue_url(self, name: str | None) -> str:
        if not name:
            raise SettingsError("no queue to poll: set --read_queue or READ_QUEUE")
        if "://" in name:
            return name
        return str(self._sqs.get_queue_url(QueueName=name)["QueueUrl"])


def _entries(messages: list[Message], **more: Any) -> list[dict[str, Any]]:
    return [
        {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"], **more}
        for number, message in enumerate(messages)
    ]


def main(args: list[str]) -> int:
    """Poll the queue, or run once on one event, as `args` say; return the exit code.

    SIGTERM and SIGINT end the polling: the message in hand is finished, the others
    that were received with it are given back.
    """
    logging.basicConfig(format="%(asctime)s %(message)s")
    logger.setLevel(logging.INFO)
    stop = threading.Event()
    try:
        with CustomContext(args=args) as context:
            if context.var.event:
                event = Path(context.var.event).read_text(encoding="utf-8")
                print(json.dumps(run(event, context), indent=2))
            else:
                for number in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(number, lambda *_: stop.set())
                Poller(context, stop).poll()
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        logger.error("%s: %s", type(error).__name__, error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
