"""The machine and the servers that a figure was measured on.

In: the running system. Out: plain JSON. Must stay true: no name, address or account in it.
"""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contracts.runtime.times import to_wire
from scripts.benching.systems.system import System
from scripts.versions import server_versions


def machine() -> dict[str, Any]:
    """Cores, model, memory, kernel, Python, and how busy it was before."""
    model = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory = Path("/proc/meminfo").read_text().split()[1]
    return {
        "cores": len(os.sched_getaffinity(0)),
        "model": model[0] if model else platform.machine(),
        "memoryGiB": round(int(memory) / 1024**2, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "loadBefore": round(os.getloadavg()[0], 2),
    }


async def heading(bench: str, system: System) -> dict[str, Any]:
    """What every result begins with: the bench, when, on what machine and servers."""
    return {
        "bench": bench,
        "at": to_wire(datetime.now(UTC)),
        "machine": machine(),
        "servers": await server_versions(system.mysql_url, system.amqp_url, system.redis_url),
    }
