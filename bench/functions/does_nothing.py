"""Do nothing, so that only the poller is measured."""

from context import CustomContext


def run(event: str, context: CustomContext) -> None:
    """Do nothing."""
