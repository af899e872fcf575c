"""Wait like a function that calls another service."""

import time

from context import CustomContext


def run(event: str, context: CustomContext) -> None:
    """Wait for 50 milliseconds."""
    time.sleep(0.05)
