"""Seeds of a test run: one that is always the same, two that never were before, or those that somebody asks for again.

In: EVENTHUB_PROVE_SEED, a seed or several with commas between, as a run printed them. Out: the run's seeds.
Must stay true: every process of a run has the same ones (the first to ask draws them); a run prints them; a test that
takes `seed` runs once for each, and its name holds it.
"""

import os
import random
from typing import Any

import pytest

ASKED = "EVENTHUB_PROVE_SEED"
FIXED, FRESH = 20260101, 2


def seeds() -> list[int]:
    """This run's seeds, the first being the one of tests that run once. Raises ValueError for what is no number."""
    if not os.environ.get(ASKED):
        fresh = random.SystemRandom()
        drawn = [FIXED, *(fresh.randrange(10**9) for _ in range(FRESH))]
        os.environ[ASKED] = ",".join(map(str, drawn))
    return [int(one) for one in os.environ[ASKED].split(",")]


def at_length() -> list[Any]:
    """Parameters for a test that takes its time: the first seed always, the others where `full` is asked for."""
    first, *others = seeds()
    return [first, *(pytest.param(other, marks=pytest.mark.full) for other in others)]
