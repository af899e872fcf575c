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
from typing import Any, NoReturn

import log

if __name__ == "__main__" and log.prefers_json():
    log.configure(as_json=True)
    log.log_uncaught_errors()  # of the imports below, too

import func
from context import CustomContext
from denials import explain
from errors import describe
from func import __version__, run
from log_values import LogValues
from message import is_s3_test
from message_queue import QueueError, ReceivedMessage
from poller import Poller
from settings import SettingsError

MAX_REPORT = 1_000_000  # characters that are printed of a report


def main(args: list[str]) -> int:
    """Poll a queue, or run the function once on a file's event (`--event`).

    The first SIGTERM or SIGINT stops polling: messages in flight have a grace period
    to finish. A second signal exits at once.

    Args:
        args: command-line arguments, see `settings`.

    Returns:
        The exit code: 0 for success, 1 if the function failed, 2 if a setting or the
        queue is wrong.
    """
    log.configure(log.prefers_json())
    try:
        with CustomContext(args=args, function=func) as context:
            var = context.var
            as_json = log.prefers_json(var.log_format)
            log.configure(as_json, var.log_level, context.secrets)
            if var.event:
                return run_once(context)
            poll(context)
    except (SettingsError, QueueError) as error:
        log.mistake(error)
        return 2
    except Exception as error:
        is_debug = log.logger.isEnabledFor(logging.DEBUG)
        log.logger.error("%s", describe(error), exc_info=is_debug)
        return 1
    return 0


def run_once(context: CustomContext) -> int:
    """Run the function on the event in a file, and print its report as JSON.

    Returns:
        0, or 1 if the function failed: the log says where.

    Raises:
        SettingsError: the file cannot be read, or a setting of the function is wrong.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    path = Path(context.var.event)
    try:
        event = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the event {path} cannot be read: {error}") from None
    try:
        report = run(event, context)
    except SettingsError:
        raise
    except (Exception, SystemExit) as error:
        explain(error, context.function_name, context.var.bucket or "")
        log.failure(error)
        return 1
    print(json.dumps(LogValues(str, MAX_REPORT).convert(report), indent=2))
    return 0


def poll(context: CustomContext) -> None:
    """Run the function on the messages of a queue, until a signal stops it."""
    Poller(context.copy, handle, _stop_on_signal()).poll()


def handle(message: ReceivedMessage, context: CustomContext) -> None:
    """Run the function on a message, and log the outcome.

    Raises:
        BaseException: the function failed.
    """
    if is_s3_test(message.body):
        log.logger.info("message %s is a test of S3: deleted", message.id)
        return
    started = monotonic()
    try:
        report = run(message.body, context)
    except BaseException as error:
        explain(error, context.function_name, context.var.bucket or "")
        _log_outcome(message, started, error=error)
        raise
    _log_outcome(message, started, report)


def _log_outcome(
    message: ReceivedMessage,
    started: float,
    report: Any = None,
    error: BaseException | None = None,
) -> None:
    """Log the outcome, which a report that cannot be logged does not change."""
    function = log.name_function(run.__module__.rpartition(".")[2])
    try:
        log.outcome(message.id, function, __version__, started, report, error)
    except Exception:
        log.logger.exception("the outcome of message %s cannot be logged", message.id)


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


def _exit_now(code: int) -> NoReturn:
    """Exit without waiting for threads, since a function or a request may hang."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    _exit_now(main(sys.argv[1:]))
