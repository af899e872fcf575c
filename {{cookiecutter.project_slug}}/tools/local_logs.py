"""Logs of what runs on this machine: pollers, invocations and containers.

Pollers and invocations write a copy of their log to a file, and Docker keeps the log of
a container that runs.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from tools.project import BUILD, answers

MAX_BYTES = 10_000_000  # a longer file is started anew
Event = dict[str, Any]


def copy_to_file(func: str) -> None:
    """Let what this process starts write its log to the function's file, too."""
    path = name_file(func)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    if path.stat().st_size > MAX_BYTES:
        os.truncate(path, 0)
    os.environ["LOG_COPY"] = str(path)


def name_file(func: str) -> Path:
    """Return the file with the log of a function."""
    return BUILD / "logs" / f"{func}.log"


def label(func: str) -> str:
    """Return the label of a function's containers."""
    return f"function={answers().project_slug}/{func}"


def read_file(func: str) -> Iterator[Event]:
    """Yield the events in a function's file; see `logs.read_events`."""
    path = name_file(func)
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    position, time = 0, "1970-01-01T00:00:00Z"
    for line in lines:
        if not line.endswith(b"\n"):  # it is being written
            break
        text = line.decode(errors="replace").rstrip()
        with suppress(ValueError):  # of a process that was killed
            time = json.loads(text)["time"]
        yield make_event(time, f"{time}:{position}", text)
        position += len(line)


def read_containers(func: str) -> Iterator[Event]:
    """Yield the events of a function's containers that run, one after the other."""
    if not shutil.which("docker"):
        return
    command = ["docker", "ps", "--quiet", f"--filter=label={label(func)}"]
    for container in run(command).split():
        for line in run(["docker", "logs", "--timestamps", container]).splitlines():
            time, _, text = line.partition(" ")
            yield make_event(time, f"{container}:{time}", text)


def run(command: list[str]) -> str:
    """Return the output and the errors of a command; nothing if it fails."""
    found = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return found.stdout if found.returncode == 0 else ""


def make_event(time: str, identity: str, message: str) -> Event:
    """Return an event as CloudWatch Logs does; times are in ISO 8601."""
    milliseconds = int(datetime.fromisoformat(time).timestamp() * 1000)
    return {"timestamp": milliseconds, "eventId": identity, "message": message}
