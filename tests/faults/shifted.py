"""EventHub on a machine whose clock is wrong: `python -m tests.faults.shifted SECONDS MODULE`.

In: by how much the wall clock is ahead (negative: behind). Out: that process; its monotonic clock is right.
Must stay true: every wall clock that our own modules read is shifted, and nothing else is.
"""

import importlib
import pkgutil
import runpy
import sys
import time
from datetime import datetime, timedelta, tzinfo
from typing import Any

OURS = ("contracts", "db", "gateway", "workers")


def shift(seconds: float) -> None:
    """Shift time.time, time.time_ns, and `datetime.now` in every module of ours."""
    wall, wall_ns = time.time, time.time_ns
    time.time = lambda: wall() + seconds
    time.time_ns = lambda: wall_ns() + int(seconds * 1e9)

    class Shifted(datetime):
        """`now` is wrong; everything else is datetime's. What it makes is a plain datetime: orjson takes no other."""

        def __new__(cls, *fields: Any, **named: Any) -> datetime:  # type: ignore[misc]  # a plain datetime, see above
            return datetime(*fields, **named)

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # a plain datetime will do
            return datetime.now(tz) + timedelta(seconds=seconds)

    for name in OURS:
        package = importlib.import_module(name)
        for found in pkgutil.walk_packages(package.__path__, f"{name}."):
            if found.name.endswith("__main__"):
                continue
            module = importlib.import_module(found.name)
            if getattr(module, "datetime", None) is datetime and _reads_the_clock(module):
                module.datetime = Shifted  # type: ignore[attr-defined]  # it has one


def _reads_the_clock(module: object) -> bool:
    with open(str(getattr(module, "__file__", "")), encoding="utf-8") as source:
        return "datetime.now(" in source.read()


if __name__ == "__main__":
    ahead, target = sys.argv[1:]
    shift(float(ahead))
    sys.argv = [target]
    runpy.run_module(target, run_name="__main__")
