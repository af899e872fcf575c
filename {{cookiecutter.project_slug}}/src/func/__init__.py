"""Functions: one file each, and its defaults in `config/` under the same name.

What a wrapper imports as `func.run` is the `run` of one of these files: the build
puts it here in the place of the one below, which only says what each must be. `NEEDS`
names the settings without which a function cannot begin; one that has none leaves it
out.
"""

from typing import Any

from context import CustomContext

__version__ = "source"
NEEDS: tuple[str, ...] = ()


def run(event: str, context: CustomContext) -> Any:
    """Handle one message.

    Args:
        event: body of the message, as JSON.
        context: all that touches disk or network.

    Returns:
        A report that JSON can hold, for the log.

    Raises:
        Exception: the message is not done, and goes back to the queue.
    """
    raise NotImplementedError("this is no build: see `make help`")
