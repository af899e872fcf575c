"""Lets Python collect its garbage seldom in tests, and not at a process's end.

Most of the processes that tests start end soon, and import much: to look through that
takes a fifth of their time. `make test` names this folder in PYTHONPATH.
"""

import atexit
import gc

gc.set_threshold(100_000, 50, 50)
atexit.register(gc.freeze)
