"""Report the latency of a message."""

import time

from context import CustomContext


def run(event: str, context: CustomContext) -> dict[str, float]:
    """Return the seconds since the time in the message."""
    return {"delay": time.monotonic() - float(event)}
