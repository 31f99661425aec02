"""The collector's settings: rarer, cheaper, and still collecting."""

import subprocess
import sys

CYCLES = """
import gc, weakref
from contracts.runtime.garbage_collection import THRESHOLDS, settle_collector

settle_collector()
assert gc.isenabled()
assert gc.get_threshold() == THRESHOLDS
assert gc.get_freeze_count() > 1000

class Node:
    pass

seen = []
for _ in range(THRESHOLDS[0] * 2):
    node = Node()
    node.itself = node
    seen.append(weakref.ref(node))
alive = sum(ref() is not None for ref in seen)
assert alive < len(seen), "no cycle was collected"
print("collected")
"""


def test_cycles_are_still_collected() -> None:
    """After the imports are frozen and the thresholds raised, garbage in cycles goes away by itself."""
    done = subprocess.run(
        [sys.executable, "-c", CYCLES], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "collected", done.stderr
