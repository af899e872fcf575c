"""How the wrappers judge and describe the errors of functions."""

import sys
from collections.abc import Iterator
from typing import Any

# Parts of AWS's answers to requests whose time is wrong. The code of some is that of a
# wrong secret key, `InvalidSignatureException`.
CLOCK_SKEW = ("RequestTimeTooSkewed", "Signature expired", "Signature not yet current")


class UnreachableError(ConnectionError):
    """A service cannot be reached. A later attempt may succeed."""


class NoTimeLeftError(TimeoutError):
    """Too little time is left for the current message."""


class BadInputError(ValueError):
    """Input that no later attempt accepts, such as a file of another format.

    Its message says all there is to know, so it is logged without a traceback.
    """


# The errors that say that a client of `lib.clients` is unreachable, by its name.
_client_errors: dict[str, tuple[type[BaseException], ...]] = {}


def declare_client(name: str, unreachable: tuple[type[BaseException], ...]) -> None:
    """Let errors of these types say that the client of this name is unreachable."""
    _client_errors[name] = unreachable


def is_outage(error: BaseException) -> bool:
    """Whether an error says that a service cannot be reached.

    It is an outage of AWS, of the database, or of a client of `lib.clients`. Other
    connection errors are errors of the function. An exception group is an outage if one
    of its errors is.
    """
    return is_service_outage(error) or bool(find_client(error))


def is_service_outage(error: BaseException) -> bool:
    """Whether an error says that AWS or the database cannot be reached.

    The types that count are `UnreachableError`, and botocore's failed connections and
    timeouts.
    """
    types: tuple[type[BaseException], ...] = (UnreachableError,)
    # where botocore has not been imported, no error can be of its types
    if botocore := sys.modules.get("botocore.exceptions"):
        types += (botocore.ConnectionError, botocore.HTTPClientError)
    return any(isinstance(each, types) for each in flatten(error))


def find_client(error: BaseException) -> str:
    """Return the name of the client that an error says is unreachable, or no text.

    Clients may share a type of error. Then it may be any of them.
    """
    return " or ".join(
        name
        for name, types in _client_errors.items()
        if any(_is_of_client(each, types) for each in flatten(error))
    )


def _is_of_client(error: BaseException, types: tuple[type[BaseException], ...]) -> bool:
    # botocore's errors are also those of urllib3, which a client may declare
    is_own = isinstance(error, types) and not isinstance(error, NoTimeLeftError)
    return is_own and not is_service_outage(error)


def is_bad_input(error: BaseException) -> bool:
    """Whether an error, or each one in a group, is a `BadInputError`."""
    leaves = [
        each for each in flatten(error) if not isinstance(each, BaseExceptionGroup)
    ]
    return all(isinstance(each, BadInputError) for each in leaves)


def is_clock_skew(error: BaseException) -> bool:
    """Whether AWS refused a request because this machine's clock is wrong."""
    return any(words in as_text(error) for words in CLOCK_SKEW)


def describe(error: BaseException) -> str:
    """Return an error's class, message and notes, separated by colons."""
    parts = [type(error).__name__, as_text(error), *_notes(error)]
    if not _members(error) and (client := find_client(error)):
        parts.append(f"the client {client} is unreachable")
    if is_clock_skew(error):
        parts.append("this machine's clock is wrong: synchronize it")
    parts += [describe(each) for each in _members(error)]
    return ": ".join(parts)


def name_objects(error: BaseException) -> list[str]:
    """Return the S3 objects that an error's notes name, such as `s3://bucket/key`."""
    notes = [note for each in flatten(error) for note in _notes(each)]
    return [note for note in dict.fromkeys(notes) if note.startswith("s3://")]


def flatten(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and, of an exception group, all errors in it."""
    yield error
    for each in _members(error):
        yield from flatten(each)


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
