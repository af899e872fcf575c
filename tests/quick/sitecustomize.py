"""Lets each Python that tests start collect its garbage seldom, and not at its end.

They live shortly, and import much: to look through it takes a fifth of their time.
`make test` names this folder in PYTHONPATH.
"""

import atexit
import gc

gc.set_threshold(100_000, 50, 50)
atexit.register(gc.freeze)
