"""`scripts/bench scale`: does anything get slower, or dearer, by adding a process?

In: a kind of process and how many of it, one after the other. Out: JSON: a sale's figures for each number.
Must stay true: the same load each time; the numbers that ran before run again afterwards, also after a failure; on a
machine with few cores the CPU per order decides, not the rate.
"""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import click

from contracts.times import to_wire
from scripts.benching.machine import machine, server_versions
from scripts.benching.measuring import become_quiet
from scripts.benching.sale import SaleOptions, sale
from scripts.benching.system import System
from scripts.stack.home import CHECKOUT

SETTLE_SECONDS = 6.0
"""Shards are shared out anew within a lease and a beat of a worker's coming or going."""
KEPT = (
    "accepted",
    "refused",
    "errors",
    "ordersPerSecond",
    "p50Ms",
    "p99Ms",
    "cpuMicrosPerOrder",
    "batchSizes",
)


async def scale(
    system: System, *, kind: str, counts: Sequence[int], options: SaleOptions
) -> dict[str, Any]:
    """Run the sale once for each count. Raises click.ClickException when scaling fails."""
    before = sum(1 for name in system.pids() if name.startswith(f"{kind}-"))
    result: dict[str, Any] = {
        "bench": "scale",
        "at": to_wire(datetime.now(UTC)),
        "machine": machine(),
        "servers": await server_versions(system),
        "load": {"kind": kind, "clients": options.clients, "events": options.events, "seconds": options.seconds},
        "counts": {},
    }  # fmt: skip
    try:
        for count in counts:
            await _set(kind, count)
            figures = await sale(system, replace(options, audit=False))
            result["counts"][str(count)] = {key: figures[key] for key in KEPT}
            await become_quiet(system)
    finally:
        await _set(kind, before)
    first, last = (
        result["counts"][str(n)]["cpuMicrosPerOrder"]["total"] for n in (counts[0], counts[-1])
    )
    return result | {"cpuGrowth": round(last / first, 3)}


async def _set(kind: str, count: int) -> None:
    process = await asyncio.create_subprocess_exec(
        CHECKOUT / "scripts" / "scale", f"{kind}={count}", stdout=sys.stderr
    )
    if await process.wait():
        raise click.ClickException(f"scripts/scale {kind}={count} failed")
    await asyncio.sleep(SETTLE_SECONDS)
