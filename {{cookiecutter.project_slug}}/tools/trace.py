"""Print one message's path, from the logs of all functions."""

import heapq
import json
import sys
from collections.abc import Iterator
from time import time
from typing import Any

from tools import logs
from tools.environment import Environment
from tools.errors import UserError
from tools.project import functions


def show(message: str, env: str, since: int) -> int:
    """Print the log lines that name a message; return 0, or 1 if there are none.

    Args:
        message: the message's ID.
        env: an environment of `config/deploy.yml`; empty for the shim.
        since: how many minutes to go back.

    Raises:
        UserError: there is no ID, or no function has a log.
    """
    if not message:
        raise UserError("MESSAGE= is missing: 'make logs' shows the IDs of messages")
    environment = logs.enter_logs(env)
    start = int((time() - since * 60) * 1000)
    streams, missing = [], None
    for name in functions():
        try:
            streams.append(list(read_lines(environment, name, message, start)))
        except logs.NoLogError as error:
            missing = error
    if missing and not streams:
        raise missing
    lines = list(heapq.merge(*streams, key=lambda line: line[0]))
    for _, text in lines:
        print(text)
    if not lines:
        print(
            f"No function has logged {message} in the last {since} minutes: SINCE=… "
            "goes back further.",
            file=sys.stderr,
        )
    return 0 if lines else 1


def read_lines(
    environment: Environment, func: str, message: str, start: int
) -> Iterator[tuple[int, str]]:
    """Yield time and text of each line of a function's log that names a message.

    Raises:
        NoLogError: the function has no log.
    """
    for event in logs.read_events(environment, func, start):
        if message in event["message"]:
            yield event["timestamp"], f"{func:12} {describe(event['message'])}"


def describe(line: str) -> str:
    """Return the parts of a line of JSON that show a message's path."""
    try:
        fields: dict[str, Any] = json.loads(line)
    except ValueError:
        return line.rstrip()
    parts = [f"{fields.get('time', '')} {fields.get('message', '')}"]
    for name in ("receiveCount", "timeInQueue", "duration", "version"):
        if name in fields:
            parts.append(f"{name}={fields[name]}")
    parts += [f"object={each}" for each in fields.get("objects") or ()]
    return "  ".join(parts)
