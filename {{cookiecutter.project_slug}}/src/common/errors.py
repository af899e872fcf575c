"""How the wrappers judge and describe the errors of functions."""

import sys
from collections.abc import Iterator
from typing import Any

# Parts of AWS's answers to requests whose time is wrong. The code of some is that of a
# wrong secret key, `InvalidSignatureException`.
CLOCK_SKEW = ("RequestTimeTooSkewed", "Signature expired", "Signature not yet current")


class UnreachableError(ConnectionError):
    """A service cannot be reached. A later attempt may succeed."""


_outages: set[type[BaseException]] = {UnreachableError}


def declare_outage(*error_types: type[BaseException]) -> None:
    """Let errors of these types, such as those of an HTTP client, count as outages."""
    _outages.update(error_types)


def is_outage(error: BaseException) -> bool:
    """Whether an error says that a service cannot be reached.

    The types that count are `UnreachableError`, those passed to `declare_outage`, and
    botocore's failed connections and timeouts. Other connection errors are errors of
    the function. An exception group is an outage if one of its errors is.
    """
    types = set(_outages)
    # where botocore has not been imported, no error can be of its types
    if botocore := sys.modules.get("botocore.exceptions"):
        types |= {botocore.ConnectionError, botocore.HTTPClientError}
    return any(isinstance(each, tuple(types)) for each in _flatten(error))


def is_clock_skew(error: BaseException) -> bool:
    """Whether AWS refused a request because this machine's clock is wrong."""
    return any(words in as_text(error) for words in CLOCK_SKEW)


def describe(error: BaseException) -> str:
    """Return an error's class, message and notes, separated by colons."""
    parts = [type(error).__name__, as_text(error), *_notes(error)]
    if is_clock_skew(error):
        parts.append("this machine's clock is wrong: synchronize it")
    parts += [describe(each) for each in _members(error)]
    return ": ".join(parts)


def name_objects(error: BaseException) -> list[str]:
    """Return the S3 objects that an error's notes name, such as `s3://bucket/key`."""
    notes = [note for each in _flatten(error) for note in _notes(each)]
    return [note for note in dict.fromkeys(notes) if note.startswith("s3://")]


def as_text(value: Any) -> str:
    """Return a value as text, whatever its `__str__` does."""
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__}>"


def _notes(error: BaseException) -> list[str]:
    return [as_text(note) for note in getattr(error, "__notes__", ())]


def _members(error: BaseException) -> tuple[BaseException, ...]:
    return error.exceptions if isinstance(error, BaseExceptionGroup) else ()


def _flatten(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and, of an exception group, all errors in it."""
    yield error
    for each in _members(error):
        yield from _flatten(each)
