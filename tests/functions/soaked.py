"""The end of the worker that the soak runs: some messages misbehave.

It follows the worker's own code, whose `run` is called `load` there.
"""

import json
import os
import signal
import sys
from threading import Event
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from context import CustomContext

    def load(event: str, context: CustomContext) -> Any:
        """Load the objects of a message."""


class Panic(BaseException):
    """An error like the `PanicException` of extension modules in Rust."""


def run(event: str, context: "CustomContext") -> Any:
    """Load the objects of a message, unless it says `{"soak": "kill"}` or the like."""
    end = json.loads(event).get("soak") if event.startswith('{"soak"') else ""
    if end == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if end == "hang":
        Event().wait()
    if end == "exit":
        sys.exit()
    if end == "panic":
        raise Panic
    return load(event, context)
