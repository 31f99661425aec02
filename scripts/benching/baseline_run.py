"""The baselines, measured like EventHub: same client, users, servers and accounting.

In: the load that EventHub had. Out: for each kind, its figures; then the ratio to the better one.
Must stay true: literal's clients try again 25 ms ± half of it after a 429, so that 25 ms is the mean wait; each kind
gets a warm-up of its own; a baseline that oversold or lost something is an error, not a figure.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import click

from scripts.benching.baseline_tables import baseline_tables, count_baseline
from scripts.benching.children import serving
from scripts.benching.cpu import machine_seconds, read_cpu
from scripts.benching.sale_options import SaleOptions
from scripts.benching.system import System
from scripts.benching.wrk import Answers, WrkLoad, put_load

RETRY_MS = 25
SERVERS = ("mysql", "redis")


async def run_baseline(
    system: System, load: WrkLoad, options: SaleOptions, *, kind: str
) -> dict[str, Any]:
    """Start that kind of baseline, load it, stop it. Raises click.ClickException when it is unsound."""
    environment = {"REDIS_URL": system.redis_url, "EVENTHUB_JWT_KEYS": system.jwt_keys}
    arguments = ["--patient"] if kind == "patient" else []
    async with (
        baseline_tables(system.mysql_url, events=options.events, quota=options.tickets) as tables,
        serving(
            "scripts.benching.baseline",
            arguments,
            environment | {"MYSQL_URL": tables.url},
            processes=options.baseline_processes,
        ) as (port, pids),
    ):
        mine = replace(
            load,
            url=f"http://127.0.0.1:{port}",
            ticket_types=tables.ticket_types,
            retry=RETRY_MS if kind == "literal" else 0,
        )
        warm = 0
        if options.warm_up > 0:
            warming = replace(mine, seconds=options.warm_up, limit=10_000_000)
            warm = (await asyncio.to_thread(put_load, warming)).accepted
        servers = {name: pid for name, pid in system.pids().items() if name in SERVERS}
        before, machine_before = read_cpu(pids | servers), machine_seconds()
        answers = await asyncio.to_thread(put_load, mine)
        cpu = read_cpu(pids | servers).since(before)
        foreign = machine_seconds() - machine_before - sum(cpu.values()) - answers.client_seconds
        counted = await count_baseline(tables.url)
    if not counted.sound or counted.orders < answers.accepted + warm:
        raise click.ClickException(f"the {kind} baseline is unsound: {asdict(counted)}")
    others = {"othersCores": round(max(0.0, foreign / answers.seconds), 2)}
    return _figures(answers, cpu) | others


def _figures(answers: Answers, cpu: Mapping[str, float]) -> dict[str, Any]:
    accepted = max(answers.accepted, 1)
    each = {name: round(seconds * 1e6 / accepted, 1) for name, seconds in sorted(cpu.items())}
    return {
        "offered": answers.issued,
        "accepted": answers.accepted,
        "refused": answers.refused,
        "errors": answers.failed,
        "ordersPerSecond": round(answers.per_second(answers.accepted), 1),
        "p50Ms": round(answers.p50, 1),
        "p99Ms": round(answers.p99, 1),
        "cpuMicrosPerOrder": each | {"total": round(sum(cpu.values()) * 1e6 / accepted, 1)},
        "clientCpuMicrosPerOrder": round(answers.client_seconds * 1e6 / accepted, 1),
    }


def better(kinds: Mapping[str, Mapping[str, Any]], ours: float) -> dict[str, Any]:
    """Which baseline sold more, and how many times more EventHub did."""
    best = max(kinds, key=lambda kind: float(kinds[kind]["ordersPerSecond"]))
    rate = float(kinds[best]["ordersPerSecond"])
    return {"better": best, "ratio": round(ours / rate, 2) if rate else None}
