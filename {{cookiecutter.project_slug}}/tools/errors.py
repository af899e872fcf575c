"""The error that a target reports as one sentence, and help with its remedy."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """The request cannot be met; the message says why and what to do instead.

    The message is a sentence without its full stop. The command line prints it without
    a traceback and exits with 1.
    """


def suggest(name: str, known: Iterable[str]) -> str:
    """Return a remedy for an unknown name: the closest one, or all that are known."""
    names = list(known)
    if close := get_close_matches(name, names, n=1):
        return f"the closest one is {close[0]}"
    return f"choose one of {', '.join(names)}" if names else "there is none"
