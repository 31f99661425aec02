"""`scripts/bench scale`: does anything get slower, or dearer, by adding a process?

In: a kind of process and how many of it, one after the other. Out: JSON: a sale's figures for each number.
Must stay true: the same load on the same ticket types each time, up and down again in the next round; the numbers that
ran before run again afterwards, also after a failure; on a machine with few cores the CPU per order decides, not the
rate.
"""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import click

from scripts.benching.machine import heading
from scripts.benching.measuring import become_quiet
from scripts.benching.sale import make_shows, sale
from scripts.benching.sale_options import SaleOptions
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
    "othersCores",
)


async def scale(
    system: System, *, kind: str, counts: Sequence[int], options: SaleOptions, rounds: int = 1
) -> dict[str, Any]:
    """Run the sale for each count, `rounds` times. Raises click.ClickException when scaling fails."""
    before = sum(1 for name in system.pids() if name.startswith(f"{kind}-"))
    result: dict[str, Any] = {
        **await heading("scale", system),
        "load": {
            "kind": kind, "clients": options.clients, "events": options.events, "seconds": options.seconds,
            "rounds": rounds,
        },
    }  # fmt: skip
    shows = await make_shows(system, options.events, options.tickets)
    found: dict[str, list[dict[str, Any]]] = {str(count): [] for count in counts}
    try:
        for turn in range(rounds):
            for count in counts if turn % 2 == 0 else reversed(counts):
                await _set(kind, count)
                figures = await sale(system, replace(options, audit=False), shows)
                found[str(count)].append(figures)
                await become_quiet(system)
    finally:
        await _set(kind, before)
    return result | summed_up(found)


def summed_up(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """The round with the median CPU per order of each count, and how much dearer the last count is than the first."""
    counts: dict[str, Any] = {}
    for count, runs in found.items():
        middle = sorted(runs, key=_total)[len(runs) // 2]
        counts[count] = {key: middle[key] for key in KEPT} | {"rounds": [_total(r) for r in runs]}
    first, *_, last = (_total(one) for one in (*counts.values(), *counts.values()))
    return {"counts": counts, "cpuGrowth": round(last / first, 3)}


def _total(figures: Mapping[str, Any]) -> float:
    return float(figures["cpuMicrosPerOrder"]["total"])


async def _set(kind: str, count: int) -> None:
    process = await asyncio.create_subprocess_exec(
        CHECKOUT / "scripts" / "scale", f"{kind}={count}", stdout=sys.stderr
    )
    if await process.wait():
        raise click.ClickException(f"scripts/scale {kind}={count} failed")
    await asyncio.sleep(SETTLE_SECONDS)
