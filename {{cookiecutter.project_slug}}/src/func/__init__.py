"""The functions, one module each.

Wrappers import `run`, `NEEDS` and `SETTINGS` from this package. A build replaces this
file with one that takes them from the module of one function, such as `func.worker`.
"""

from typing import TYPE_CHECKING, Any

from context import CustomContext

if TYPE_CHECKING:
    from settings import Setting

__version__ = "source"

# Names of the shared settings that the function requires. A function may omit it.
NEEDS: tuple[str, ...] = ()
# The settings of its own. A function may omit them, too.
SETTINGS: "list[Setting]" = []


def run(event: str, context: CustomContext) -> Any:
    """Process one message. Every function's module has such a `run`.

    Args:
        event: body of the message, as JSON.
        context: settings, clients, and the time left.

    Returns:
        A report for the log that can be written as JSON. Numbers in it become metrics.

    Raises:
        Exception: the message failed and returns to the queue.
    """
    raise NotImplementedError("this is not a build: run `make build` first")
