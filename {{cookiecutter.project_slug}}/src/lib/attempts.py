"""Applies an action to several items, so that one failure does not stop the others."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from errors import is_outage

T = TypeVar("T")
R = TypeVar("R")


def try_each(action: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Call `action` for each item, and return the results.

    An outage, or too little time, ends it at once: the other items would fail as well.

    Raises:
        ExceptionGroup: several items failed.
        Exception: one item failed, or the others would fail as well.
    """
    results: list[R] = []
    errors: list[Exception] = []
    for item in items:
        try:
            results.append(action(item))
        except Exception as error:
            if is_outage(error) or isinstance(error, TimeoutError):
                raise
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        count = len(errors) + len(results)
        raise ExceptionGroup(f"{len(errors)} of {count} failed", errors)
    return results
