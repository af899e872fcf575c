"""Tells how long its message was on the way."""

import time

from context import CustomContext


def run(event: str, context: CustomContext) -> dict[str, float]:
    """Return the seconds since the time that the message says."""
    return {"delay": time.monotonic() - float(event)}
