"""How many examples the tests of properties try."""

import os

from hypothesis import settings


def examples(number: int) -> settings:
    """Return settings of a test that tries this many examples, or `EXAMPLES`."""
    return settings(max_examples=int(os.environ.get("EXAMPLES", number)))
