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
    special: str = ""  # pattern of values other than numbers, ranges and steps


FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day", 1, 31, special=r"\?|L(-[0-9]{1,2})?|LW|[0-9]{1,2}W"),
    Field("month", 1, 12, MONTHS),
    Field("weekday", 1, 7, WEEKDAYS, r"\?|L|([1-7]|[A-Z]{3})(L|#[1-5])"),
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
        datetime.strptime(inner, "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return "use a time such as at(2027-01-31T02:00:00)"
    return ""


def _find_cron_problem(inner: str) -> str:
    parts = inner.split()
    if len(parts) != len(FIELDS):
        names = " ".join(field.name for field in FIELDS)
        return f"use six fields, cron({names}), such as cron(0 2 * * ? *) for 02:00"
    for field, text in zip(FIELDS, parts, strict=True):
        if not all(_is_valid(field, each.upper()) for each in text.split(",")):
            values = f"{field.low} to {field.high}"
            if field.names:
                values += f" or {field.names[0]} to {field.names[-1]}"
            return f"the {field.name} is {text}: use {values}"
    if (parts[2] == "?") == (parts[4] == "?"):
        return "write ? for either day or weekday, such as cron(0 2 ? * MON *)"
    return ""


def _is_valid(field: Field, text: str) -> bool:
    """Return whether an item is a value, a range, one of these with a step, or `*`."""
    if field.special and re.fullmatch(field.special, text):
        return True
    values, slash, step = text.partition("/")
    if slash and not (step.isdecimal() and int(step) > 0):
        return False
    if values == "*":
        return True
    return all(_is_value(field, each) for each in values.split("-", 1))


def _is_value(field: Field, text: str) -> bool:
    if text in field.names:
        return True
    return text.isdecimal() and field.low <= int(text) <= field.high
