"""Computes for about a millisecond."""

from context import CustomContext


def run(event: str, context: CustomContext) -> int:
    """Return a sum that takes a while."""
    return sum(number * number for number in range(15_000))
