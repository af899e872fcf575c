"""Does nothing, so that what is left is the poller."""

from context import CustomContext


def run(event: str, context: CustomContext) -> None:
    """Do nothing."""
