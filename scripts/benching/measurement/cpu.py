"""CPU time that processes have used, children included.

In: pids. Out: seconds of user and system time, and those of everybody on the machine.
Source: proc(5), /proc/[pid]/stat fields 4, 14, 15, 22; /proc/stat, first line.
Must stay true: a process that was replaced between two readings counts from zero, never negative; reading costs the
measured processes nothing.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class _Stat:
    parent: int
    seconds: float
    started: str


@dataclass(frozen=True, slots=True)
class CpuReading:
    """CPU seconds by (name, pid, start time) at one moment."""

    seconds: Mapping[tuple[str, int, str], float]

    def since(self, earlier: "CpuReading") -> dict[str, float]:
        """CPU seconds that each name used since an earlier reading."""
        used: dict[str, float] = {}
        for key, seconds in self.seconds.items():
            used[key[0]] = used.get(key[0], 0.0) + seconds - earlier.seconds.get(key, 0.0)
        return used


def read_cpu(pids: Mapping[str, int]) -> CpuReading:
    """What the named processes and all their descendants have used so far."""
    stats = _all_stats()
    children: dict[int, list[int]] = {}
    for pid, stat in stats.items():
        children.setdefault(stat.parent, []).append(pid)
    roots = set(pids.values())
    seconds: dict[tuple[str, int, str], float] = {}
    for name, root in pids.items():
        waiting = [root]
        while waiting:
            pid = waiting.pop()
            if pid in stats:
                seconds[name, pid, stats[pid].started] = stats[pid].seconds
            # A descendant with a name of its own (supervisord's children) is counted there.
            waiting += [child for child in children.get(pid, []) if child not in roots]
    return CpuReading(seconds)


def machine_seconds() -> float:
    """CPU seconds that everything on this machine has used since it was started (steal by its host included)."""
    fields = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle, waiting_for_disk = fields[3], fields[4]
    return (sum(fields) - idle - waiting_for_disk) / TICK


def _all_stats() -> dict[int, _Stat]:
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                text = (folder / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue  # It ended while we looked.
            fields = text.rpartition(")")[2].split()
            ticks = int(fields[11]) + int(fields[12])
            found[int(folder.name)] = _Stat(int(fields[1]), ticks / TICK, fields[19])
    return found
