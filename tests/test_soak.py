"""Many faults at random, and at the end all is as it should be."""

import random

import pytest

from baking import Project
from playground import fault
from soak import soak


@pytest.mark.long
@fault(
    "2,000 messages with duplicates and poison over 200 objects, some bad or missing; "
    "half of the messages name the object's version; four workers killed at random, "
    "connections ended, requests hindered",
    "rows, rejects, ledger and dead letters are those that the inputs tell",
)
def test_end_state_is_what_the_inputs_tell(shimmed: Project) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}: make soak SEED={seed}")
    print(soak(shimmed, seed))
