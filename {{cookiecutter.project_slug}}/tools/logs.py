"""Print the logs of a function, from CloudWatch Logs or from this machine."""

import heapq
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from time import sleep, time
from typing import Any

from tools import local_logs
from tools.environment import SHIM_FILE, Environment, client, enter
from tools.errors import UserError
from tools.project import require_function

POLL_SECONDS = 1
LATE = 10_000  # milliseconds that an event may arrive after a later one


class NoLogError(UserError):
    """A function has not logged anything yet."""


def show(func: str, env: str, since: int, follow: bool) -> int:
    """Print the log events of the last minutes; return 0.

    Args:
        func: the function.
        env: an environment of `config/deploy.yml`; empty for the shim.
        since: how many minutes to go back.
        follow: whether to print new events until Ctrl-C, also of a log that does not
            exist yet.

    Raises:
        NoLogError: the function has no log.
    """
    require_function(func)
    environment = enter_logs(env)
    start = int((time() - since * 60) * 1000)
    seen: set[Any] = set()
    is_waiting = False
    while True:
        try:
            for event in read_events(environment, func, start):
                names = ("timestamp", "logStreamName", "message")
                fields = tuple(map(event.get, names))
                key = event.get("eventId", fields)  # an emulator may have no ids
                if key not in seen:
                    seen.add(key)
                    start = max(start, event["timestamp"] - LATE)
                    print_event(event)
        except NoLogError as error:
            if not follow:
                raise
            if not is_waiting:
                print(f"Waiting: {error}.", file=sys.stderr, flush=True)
            is_waiting = True
        if not follow:
            break
        sleep(POLL_SECONDS)
    if not seen:
        print(
            f"{func} has logged nothing in the last {since} minutes: SINCE=… goes "
            "back further.",
            file=sys.stderr,
        )
    return 0


def enter_logs(env: str) -> Environment:
    """Enter an environment; logs on this machine can be read without the shim."""
    return enter(env) if env or SHIM_FILE.exists() else Environment("")


def print_event(event: dict[str, Any]) -> None:
    """Print an event with its time in UTC."""
    at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
    print(f"{at:%Y-%m-%dT%H:%M:%SZ} {event['message'].rstrip()}", flush=True)


def read_events(
    environment: Environment, func: str, start: int, pattern: str = ""
) -> Iterator[dict[str, Any]]:
    """Yield the events of a function's Lambda and of its containers, oldest first.

    Without ENV, also those of pollers, invocations and containers on this machine.

    Args:
        environment: where it runs.
        func: the function.
        start: milliseconds since 1970; earlier events are left out.
        pattern: a filter pattern of CloudWatch Logs, or empty for all events.

    Raises:
        NoLogError: the function has no log.
    """
    name = environment.resource_name(func)
    streams: list[Iterator[dict[str, Any]]] = []
    if environment.name or SHIM_FILE.exists():
        logs = client("logs")
        streams = [
            filter_events(logs, group, start, pattern)
            for group in (f"/aws/lambda/{name}", f"/ecs/{name}")
            if group_exists(logs, group)
        ]
    if not environment.name:
        for local in (local_logs.read_file(func), local_logs.read_containers(func)):
            events = sorted(local, key=lambda event: event["timestamp"])
            if events:
                streams.append(each for each in events if each["timestamp"] >= start)
    if not streams:
        if environment.name:
            raise NoLogError(str(environment.explain_missing(f"log of {name}")))
        raise NoLogError(
            f"there is no log of {func} on this machine: start 'make run FUNC={func}', "
            "or add ENV=local for what 'make deploy' put into the shim"
        )
    yield from heapq.merge(*streams, key=lambda event: event["timestamp"])


def filter_events(
    logs: Any, group: str, start: int, pattern: str
) -> Iterator[dict[str, Any]]:
    """Yield the events of a log group, page after page."""
    paginator = logs.get_paginator("filter_log_events")
    options = {"filterPattern": pattern} if pattern else {}
    for page in paginator.paginate(logGroupName=group, startTime=start, **options):
        yield from page["events"]


def group_exists(logs: Any, group: str) -> bool:
    """Return whether there is a log group of exactly this name."""
    found = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    return group in [each["logGroupName"] for each in found]
