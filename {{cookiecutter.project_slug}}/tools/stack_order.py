"""Work on several stacks at a time, each after those that it needs."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from subprocess import CalledProcessError

from tools.errors import UserError


class NotStartedError(Exception):
    """A stack that is needed has failed, or the user has stopped everything."""


def work_on(
    stacks: Sequence[str],
    needs: Mapping[str, Sequence[str]],
    prepare: Callable[[str], object],
    act: Callable[[str], object],
) -> list[str]:
    """Prepare all stacks, and act on each once those that it needs are done.

    Args:
        stacks: each comes after those that it needs.
        needs: of each stack, those that have to be done before.
        prepare: what a stack waits for nothing to do. One at a time, in their order.
        act: the work on a stack.

    Returns:
        The stacks that failed, because a command of theirs did. Those that need them
        were not started, and none was after a failed preparation.

    Raises:
        UserError: what the first of the stacks raised other than failed commands.
    """
    turn, stop = threading.Lock(), threading.Event()
    results: dict[str, Future[None]] = {}

    def work(stack: str, needed: Sequence[Future[None]]) -> None:
        with turn:
            if stop.is_set():
                raise NotStartedError
            try:
                prepare(stack)
            except BaseException:
                stop.set()  # it would fail for the others, too
                raise
        if any(each.exception() for each in needed) or stop.is_set():
            raise NotStartedError
        act(stack)

    with ThreadPoolExecutor(len(stacks)) as pool:
        for stack in stacks:
            needed = [results[name] for name in needs.get(stack, ()) if name in results]
            results[stack] = pool.submit(work, stack, needed)
        try:
            wait(results.values())
        except KeyboardInterrupt:
            stop.set()  # the commands have received Ctrl-C, too, and come to an end
            raise
    errors = {name: result.exception() for name, result in results.items()}
    for error in errors.values():
        if error and not isinstance(error, CalledProcessError | NotStartedError):
            raise error
    return [
        name for name, error in errors.items() if isinstance(error, CalledProcessError)
    ]


def invert(needs: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return, of each stack, those that need it: what `destroy` has to do before."""
    inverted: dict[str, list[str]] = {}
    for stack, needed in needs.items():
        for name in needed:
            inverted.setdefault(name, []).append(stack)
    return inverted


def require_all(action: str, failed: Sequence[str]) -> None:
    """Report the stacks at which an action stopped.

    Raises:
        UserError: there are some.
    """
    if failed:
        raise UserError(f"{action} stopped at {', '.join(failed)}")
