"""The error that a target reports as one sentence, and help with its remedy."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """The request cannot be met; the message says why and what to do instead.

    The message is a sentence without its full stop. The command line prints it without
    a traceback and exits with 1.
    """


def suggest(name: str, known: Iterable[str], example: str = "") -> str:
    """Return a remedy for an unknown name.

    Args:
        name: the name.
        known: all names that are known.
        example: one of them, where they are too many to list.

    Returns:
        The closest one, or if there is none, the example or all names.
    """
    names = {each.lower(): each for each in known}
    if close := get_close_matches(name.lower(), names, n=1):
        return f"the closest one is {names[close[0]]}"
    if example:
        return f"use one such as {example}"
    return f"choose one of {', '.join(names.values())}" if names else "there is none"
