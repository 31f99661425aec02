"""Memory of processes, as the kernel counts it.

In: pids by name. Out: MiB. Source: proc_pid_status(5), VmRSS (now) and VmHWM (the most there ever was).
Must stay true: a process that has ended is left out.
"""

from collections.abc import Mapping
from pathlib import Path


def resident(pids: Mapping[str, int]) -> dict[str, float]:
    """What each process holds in memory now."""
    return _read(pids, "VmRSS")


def peak(pids: Mapping[str, int]) -> dict[str, float]:
    """The most that each process has ever held."""
    return _read(pids, "VmHWM")


def _read(pids: Mapping[str, int], field: str) -> dict[str, float]:
    found = {}
    for name, pid in pids.items():
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        kib = [int(line.split()[1]) for line in lines if line.startswith(f"{field}:")]
        if kib:  # A process that is just ending has none.
            found[name] = round(kib[0] / 1024, 1)
    return found
