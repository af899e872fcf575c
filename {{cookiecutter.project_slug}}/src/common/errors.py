"""How the wrappers judge and describe the errors of functions."""

# `ConnectionError` covers sockets and `lib.loads.DatabaseUnreachableError`,
# `HTTPClientError` is botocore's base class for failed connections and timeouts.
OUTAGES = {"ConnectionError", "HTTPClientError"}


def is_outage(error: BaseException) -> bool:
    """Whether an error says that a service cannot be reached.

    Classes are compared by name, so that botocore need not be imported.
    """
    return not OUTAGES.isdisjoint(base.__name__ for base in type(error).__mro__)


def describe(error: BaseException) -> str:
    """Return an error's class, message and notes, separated by colons."""
    notes = getattr(error, "__notes__", ())
    return ": ".join([type(error).__name__, str(error), *notes])
