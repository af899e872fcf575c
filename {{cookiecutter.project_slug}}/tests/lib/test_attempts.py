"""Several items: the failure of one does not stop the others."""

import pytest

from lib.attempts import try_each
from lib.database_errors import DatabaseUnreachableError


class Action:
    """Fails for items that are errors; `done` has the others."""

    def __init__(self) -> None:
        self.done: list[object] = []

    def __call__(self, item: object) -> object:
        """Raise an error, or return the item."""
        if isinstance(item, Exception):
            raise item
        self.done.append(item)
        return item


def test_results_keep_order() -> None:
    assert try_each(Action(), "abc") == ["a", "b", "c"]


def test_single_failure_is_raised_after_others() -> None:
    action = Action()
    with pytest.raises(ValueError, match="missing"):
        try_each(action, ["a", ValueError("missing"), "c"])
    assert action.done == ["a", "c"]


def test_several_failures_are_raised_once() -> None:
    failures = [ValueError("one"), OSError("two")]
    with pytest.raises(ExceptionGroup, match="2 of 3 failed") as raised:
        try_each(Action(), ["a", *failures])
    assert list(raised.value.exceptions) == failures


@pytest.mark.parametrize("error", [DatabaseUnreachableError("gone"), TimeoutError()])
def test_outage_stops_at_once(error: Exception) -> None:
    action = Action()
    with pytest.raises(type(error)):
        try_each(action, [ValueError("missing"), "a", error, "b"])
    assert action.done == ["a"]
