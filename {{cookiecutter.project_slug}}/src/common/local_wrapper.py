"""Runs the function from the command line or in a container: polls an SQS queue."""

import os
import signal

if __name__ == "__main__":
    # The kernel ignores SIGTERM for process 1 of a container until there is a handler,
    # so the image blocks the signal until here. The imports below take a while, and
    # no message has been received yet: exit at once.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

import json
import logging
import sys
import threading
from pathlib import Path
from time import monotonic
from typing import Any

import log

if __name__ == "__main__" and log.prefers_json():
    log.configure(as_json=True)
    log.log_uncaught_errors()  # of the imports below, too

from context import CustomContext
from errors import describe
from func import NEEDS, __version__, run
from message_queue import QueueError
from poller import Poller
from settings import SettingsError


def main(args: list[str]) -> int:
    """Poll a queue, or run the function once on a file's event (`--event`).

    The first SIGTERM or SIGINT stops polling: running messages have a grace period to
    finish, all others return to the queue at once. A second signal exits at once.

    Args:
        args: command-line arguments, see `settings`.

    Returns:
        The exit code: 0 for success, 1 if the function failed, 2 if a setting or the
        queue is wrong.
    """
    log.configure(log.prefers_json())
    try:
        with CustomContext(args=args, needs=NEEDS) as context:
            var = context.var
            as_json = log.prefers_json(var.log_format)
            log.configure(as_json, var.log_level, context.secrets)
            if var.event:
                run_once(context)
            else:
                poll(args)
    except (SettingsError, QueueError) as error:
        log.mistake(error)
        return 2
    except Exception as error:
        is_debug = log.logger.isEnabledFor(logging.DEBUG)
        log.logger.error("%s", describe(error), exc_info=is_debug)
        return 1
    return 0


def run_once(context: CustomContext) -> None:
    """Run the function on the event in a file, and print its report as JSON."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    event = Path(context.var.event).read_text(encoding="utf-8")
    print(json.dumps(run(event, context), indent=2, default=str))


def poll(args: list[str]) -> None:
    """Run the function on the messages of a queue, until a signal stops it."""
    poller = Poller(lambda: CustomContext(args=args), handle, _stop_on_signal())
    if not poller.poll():
        logging.shutdown()
        os._exit(0)  # a normal exit would wait for threads past their grace period


def handle(message_id: str, body: str, context: CustomContext) -> None:
    """Run the function on a message, and log the outcome.

    Raises:
        Exception: the function failed.
    """
    function = run.__module__.rpartition(".")[2]
    started = monotonic()
    try:
        report = run(body, context)
    except Exception as error:
        log.outcome(message_id, function, __version__, started, error=error)
        raise
    log.outcome(message_id, function, __version__, started, report)


def _stop_on_signal() -> threading.Event:
    """Return an event that the first SIGTERM or SIGINT sets."""
    stop = threading.Event()

    def on_signal(number: int, _: Any) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    return stop


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
