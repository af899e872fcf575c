"""Many random faults, and the right end state."""

import random

import pytest

from baking import Project
from shim_helpers import fault
from soak import soak


@pytest.mark.long
@fault(
    "1,000 messages for 100 objects, with duplicates, poison messages, bad and missing "
    "objects, half of them with a version, and messages that end the process, hang, "
    "call `sys.exit` or panic; four workers, killed at random; a database with hostile "
    "defaults that restarts, is read-only for a while, and ends connections; requests "
    "that fail, in whole or for an entry, or that SQS never answers",
    "rows, rejects, ledger and dead letters are exactly those that the inputs imply",
)
def test_random_faults_lose_and_repeat_nothing(shimmed: Project) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}: make soak SEED={seed}")
    print(soak(shimmed, seed, messages=1000, objects=100))
