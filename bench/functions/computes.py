"""Compute for about a millisecond."""

from context import CustomContext


def run(event: str, context: CustomContext) -> int:
    """Return a sum."""
    return sum(number * number for number in range(15_000))
