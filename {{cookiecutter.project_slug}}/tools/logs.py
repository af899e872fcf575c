"""Prints what a function has logged where it is deployed: CloudWatch Logs."""

import argparse
import heapq
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from time import time
from typing import Any

from place import Place, answer, parser
from sizes import Refusal

FOLLOW_SECONDS = 1  # between two questions


def show(place: Place, options: argparse.Namespace) -> int:
    """Print the events of the last minutes, and go on if that is wanted; return 0.

    Raises:
        Refusal: there are no logs at all.
    """
    start = int((time() - options.since * 60) * 1000)
    seen: set[Any] = set()
    while True:
        for event in events(place, options.function, start):
            what = (event["timestamp"], event["logStreamName"], event["message"])
            known = event.get("eventId", what)  # an emulator may have none
            if known in seen:
                continue
            seen.add(known)
            start = max(start, event["timestamp"])
            at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
            print(f"{at:%Y-%m-%dT%H:%M:%SZ} {event['message'].rstrip()}", flush=True)
        if not options.follow:
            break
        threading.Event().wait(FOLLOW_SECONDS)
    if not seen:
        print(
            f"{options.function} has logged nothing in the last {options.since} "
            "minutes; SINCE= takes more.",
            file=sys.stderr,
        )
    return 0


def events(place: Place, function: str, start: int) -> Iterator[Any]:
    """Yield the events of a function's Lambda and of its containers, in order.

    Args:
        place: where it runs.
        function: its name.
        start: in milliseconds since 1970; earlier ones are left out.

    Raises:
        Refusal: there are no logs at all.
    """
    logs = place.client("logs")
    name = place.named(function)
    streams = [
        pages(logs, group, start)
        for group in (f"/aws/lambda/{name}", f"/ecs/{name}")
        if is_there(logs, group)
    ]
    if not streams:
        told = place.lacks(f"log of {name}")
        if not place.name:
            told = (
                f"no Lambda {name} has logged in the shim: 'make run' and 'make "
                "invoke' tell in their own terminal, and what was deployed by 'make "
                "deploy ENV=local' has its logs with ENV=local"
            )
        raise Refusal(told)
    yield from heapq.merge(*streams, key=lambda event: event["timestamp"])


def pages(logs: Any, group: str, start: int) -> Iterator[Any]:
    """Yield the events of a group, page after page."""
    paginator = logs.get_paginator("filter_log_events")
    for page in paginator.paginate(logGroupName=group, startTime=start):
        yield from page["events"]


def is_there(logs: Any, group: str) -> bool:
    """Tell whether there is a log group."""
    found = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    return group in [each["logGroupName"] for each in found]


if __name__ == "__main__":
    words = parser(__doc__)
    words.add_argument("--function", required=True)
    words.add_argument("--since", type=int, default=60, help="minutes")
    words.add_argument("--follow", action="store_true", help="until Ctrl-C")
    sys.exit(answer(words.parse_args(), show))
