"""The function from the command line and in a container: it polls a queue."""

import os
import signal

if __name__ == "__main__":
    # As process 1 of a container it is deaf until it has a handler, and what follows
    # takes a while. Nothing is in hand yet. The container keeps the signal until here.
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
from context import CustomContext
from func import NEEDS, __version__, run
from poller import Poller, PollerError
from settings import SettingsError


def handle(message: str, body: str, context: CustomContext) -> None:
    """Run the function on a message, and log what became of it.

    Raises:
        Exception: what the function raises.
    """
    about = (message, run.__module__.rpartition(".")[2], __version__)
    began = monotonic()
    try:
        report = run(body, context)
    except Exception:
        log.outcome(*about, began)
        raise
    log.outcome(*about, began, report)


def main(args: list[str]) -> int:
    """Poll the queue, or run once on one event, as `args` say; return the exit code.

    SIGTERM and SIGINT end the polling: a message in hand is finished or, after the
    grace time, given back; the others are given back at once. A second signal ends at
    once.
    """
    try:
        with CustomContext(args=args, needs=NEEDS) as context:
            var = context.var
            log_format = var.log_format
            if log_format == "auto":
                log_format = "text" if sys.stderr.isatty() else "json"
            log.start(log_format == "json", var.log_level, [var.db_pass])
            if var.event:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                event = Path(var.event).read_text(encoding="utf-8")
                print(json.dumps(run(event, context), indent=2, default=str))
                return 0
            poller = Poller(lambda: CustomContext(args=args), handle, _stop_by_signal())
            if not poller.poll():
                logging.shutdown()
                os._exit(0)  # without the threads whose time is up
    except (SettingsError, PollerError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        is_debug = log.logger.isEnabledFor(logging.DEBUG)
        log.logger.error("%s", log.described(error), exc_info=is_debug)
        return 1
    return 0


def _stop_by_signal() -> threading.Event:
    stop = threading.Event()

    def end(number: int, _: Any) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    return stop


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
