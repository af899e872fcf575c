"""Outcomes of messages, as the wrappers log them in JSON."""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple


class Outcome(NamedTuple):
    """The outcome of one attempt at a message."""

    message_id: str
    is_done: bool
    report: Any


def read_outcomes(lines: Iterable[str]) -> list[Outcome]:
    """Return the outcomes in a log; other lines are left out."""
    return [
        Outcome(line["messageId"], line["outcome"] == "done", line.get("report"))
        for line in map(_parse, lines)
        if line.get("outcome") in ("done", "failed")
    ]


def _parse(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
