"""Does what its messages say: `{"name": "a", "seconds": 2, "end": "kill"}`."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from threading import Event
from time import sleep
from typing import Any

from context import CustomContext

LAST_SECONDS = 3  # for which files stay open


class Panic(BaseException):
    """An error like the `PanicException` of extension modules in Rust."""


def run(event: str, context: CustomContext) -> Any:
    """Append the message's name to the file of attempts, wait, and end as it says."""
    message = json.loads(event)
    with Path(os.environ["ATTEMPTS"]).open("a", encoding="utf-8") as attempts:
        attempts.write(f"{message['name']}\n")
    if "call" in message:
        context.http.request("GET", message["call"])
    if "seconds" in message:
        sleep(message["seconds"])
    if message.get("end") == "require_time":
        return context.require_time()
    return ENDS[message.get("end", "done")]()


def kill() -> None:
    """End the process as the kernel does when it is out of memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def fail() -> None:
    """Raise an ordinary error."""
    raise ValueError("as the message says")


def cancel() -> None:
    """Raise asyncio's error, which is no subclass of Exception."""
    raise asyncio.CancelledError


def panic() -> None:
    """Raise an error of an extension module."""
    raise Panic("as the message says")


def hang() -> None:
    """Never return."""
    Event().wait()


def use_up_files() -> None:
    """Open files until there are no descriptors left, and keep them for a while."""
    files = []
    try:
        while True:
            files.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        sleep(LAST_SECONDS)
    finally:
        for each in files:
            os.close(each)


ENDS: dict[str, Callable[[], Any]] = {
    "done": lambda: None,
    "kill": kill,
    "fail": fail,
    "exit": sys.exit,
    "cancel": cancel,
    "panic": panic,
    "hang": hang,
    "use_up_files": use_up_files,
    "odd_report": lambda: {date(2026, 1, 5): object()},
}
