"""Numbers with their nouns, for messages."""


def count(number: int, what: str) -> str:
    """Return a number with its noun, such as `1 row` or `2,000 rows`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
