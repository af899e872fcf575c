"""Check schedules as EventBridge Scheduler reads them.

The forms are described in the guide of EventBridge Scheduler, "Schedule types":
https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

import re
from datetime import datetime
from typing import NamedTuple

MONTHS = (
    *("JAN", "FEB", "MAR", "APR", "MAY", "JUN"),
    *("JUL", "AUG", "SEP", "OCT", "NOV", "DEC"),
)
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
RATE = re.compile(
    r"rate\((1 (minute|hour|day)|(?!1 )[1-9][0-9]* (minutes|hours|days))\)"
)


class Field(NamedTuple):
    """A field of a cron expression: its range, and what else it may hold."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()  # the first stands for `low`
    special: str = ""  # pattern of values other than numbers, ranges, steps and ?


DAY = r"(0?[1-9]|[12][0-9]|3[01])"
WEEKDAY = f"([1-7]|{'|'.join(WEEKDAYS)})"
FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day", 1, 31, special=rf"L(-(?!31){DAY})?|LW|{DAY}W"),
    Field("month", 1, 12, MONTHS),
    Field("weekday", 1, 7, WEEKDAYS, rf"L|{WEEKDAY}(L|#[1-5])"),
    Field("year", 1970, 2199),
)


def find_problem(expression: str) -> str:
    """Return what is wrong with a schedule and what to write; empty if it is valid.

    Args:
        expression: begins with `cron(`, `rate(` or `at(` and ends with `)`.
    """
    kind, _, inner = expression.removesuffix(")").partition("(")
    if kind == "cron":
        return _find_cron_problem(inner)
    if kind == "rate":
        wrong = "use rate(1 hour) or rate(5 minutes): minutes, hours or days"
        return "" if RATE.fullmatch(expression) else wrong
    try:
        time = datetime.strptime(inner, "%Y-%m-%dT%H:%M:%S").isoformat()
    except ValueError:
        time = ""
    # strptime takes single digits, too
    return "" if time == inner else "use a time such as at(2027-01-31T02:00:00)"


def _find_cron_problem(inner: str) -> str:
    parts = inner.split()
    if len(parts) != len(FIELDS):
        names = " ".join(field.name for field in FIELDS)
        return f"use six fields, cron({names}), such as cron(0 2 * * ? *) for 02:00"
    for field, text in zip(FIELDS, parts, strict=True):
        if not _is_valid(field, text.upper()):
            values = f"{field.low} to {field.high}"
            if field.names:
                values += f" or {field.names[0]} to {field.names[-1]}"
            return f"the {field.name} is {text}: use {values}"
    if (parts[2] == "?") == (parts[4] == "?"):
        return "write ? for either day or weekday, such as cron(0 2 ? * MON *)"
    return ""


def _is_valid(field: Field, text: str) -> bool:
    """Return whether a field is `*`, `?` or a list of what it may hold."""
    if text == "?":
        return field.special != ""
    return text == "*" or all(_is_item(field, each) for each in text.split(","))


def _is_item(field: Field, text: str) -> bool:
    """Return whether an item of a list is a value or a range, perhaps with a step."""
    if field.special and re.fullmatch(field.special, text):
        return True
    values, slash, step = text.partition("/")
    if slash and not (_is_number(step) and 0 < int(step) <= field.high):
        return False
    if values == "*":
        return slash != ""
    numbers = [_find_number(field, each) for each in values.split("-", 1)]
    return min(numbers) >= field.low and numbers == sorted(numbers)


def _find_number(field: Field, text: str) -> int:
    """Return the number that a value stands for, -1 for one that is not allowed."""
    if text in field.names:
        return field.names.index(text) + field.low
    is_allowed = _is_number(text) and field.low <= int(text) <= field.high
    return int(text) if is_allowed else -1


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()
