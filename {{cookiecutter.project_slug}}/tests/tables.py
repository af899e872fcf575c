"""Tables of cases that one test checks."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any

import pytest

Test = Callable[..., None]

SHOWN = 500  # characters of a case


def for_each(
    names: str | Sequence[str], cases: Iterable[Any]
) -> Callable[[Test], Test]:
    """Run a test with each case, as one test that reports every case that fails.

    `pytest.mark.parametrize` makes a test of each case. That takes most of the time of
    quick ones. Here the cases share their fixtures, so a case must not change them.

    Args:
        names: the arguments that a case gives values to.
        cases: the values of each case: a tuple, or one value for one name.
    """
    names = [names] if isinstance(names, str) else names

    def decorate(test: Test) -> Test:
        @wraps(test)
        def run_all(**fixtures: Any) -> None:
            failures = []
            for case in cases:
                values = [case] if len(names) == 1 else case
                given = dict(zip(names, values, strict=True))
                try:
                    test(**fixtures, **given)
                except (Exception, pytest.fail.Exception) as failure:
                    failure.add_note(f"case: {given}"[:SHOWN])
                    failures.append(failure)
            if len(failures) == 1:
                raise failures[0]
            if failures:
                raise BaseExceptionGroup(f"{len(failures)} cases failed", failures)

        # pytest takes the names of fixtures from the signature
        signature = inspect.signature(test)
        others = [
            each for each in signature.parameters.values() if each.name not in names
        ]
        # mypy does not know that a function can have a signature of its own
        run_all.__signature__ = signature.replace(parameters=others)  # type: ignore[attr-defined]
        return run_all

    return decorate
