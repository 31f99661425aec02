"""`scripts/bench memory`: what processes hold after many orders, and a gateway with thousands of waiting clients.

In: how many orders, purchases and waiting clients. Out: JSON: MiB by process at the beginning and after the orders,
their peak, the growth over the second half of the orders and what that comes to at a million; MiB of the gateway
while all wait.
Must stay true: a system of its own; nobody decides while the clients wait (inventory does not run), and all of them are
answered in the end; memory is read from the kernel, never from the process itself.
"""

import asyncio
import time
from dataclasses import dataclass, replace
from typing import Any

import click

from scripts.benching.auditing import audit_result
from scripts.benching.crowd import Tally, rush
from scripts.benching.machine import heading
from scripts.benching.measuring import become_quiet
from scripts.benching.memory_read import peak, resident
from scripts.benching.metrics import read_gauge
from scripts.benching.sale import load_for, make_shows
from scripts.benching.sale_options import QUOTA, SaleOptions
from scripts.benching.system import System
from scripts.benching.twin import scale_twin, twin
from scripts.benching.users import LoadUser, make_users
from scripts.benching.wrk import SECONDS_MAX, put_load

USERS = 5000
MILLION = 1_000_000
TELLING_ORDERS = 50_000
GATHER_SECONDS = 25.0
OVER_SECONDS = 5.0
"""The crowd comes within so many seconds: a rush, not a flood."""
NOT_PYTHON_OURS = frozenset({"mysql", "rabbitmq", "redis", "epmd", "port", "supervisord"})
PROCESS_MIB_MAX, GATEWAY_MIB_MAX = 150, 500


@dataclass(frozen=True, slots=True)
class MemoryOptions:
    """orders: sold; purchases: bought and paid after that; waiting: clients at once."""

    orders: int = 100_000
    purchases: int = 5000
    waiting: int = 10_000
    clients: int = 128
    audit: bool = True


async def memory(system: System, options: MemoryOptions) -> dict[str, Any]:
    """Run it. Raises click.ClickException when a process was replaced, or a client was left without an answer."""
    result: dict[str, Any] = {
        **await heading("memory", system),
        "load": {
            "clients": options.clients, "orders": options.orders, "purchases": options.purchases,
            "waiting": options.waiting,
        },
    }  # fmt: skip
    async with twin(system, "memory") as own:
        users = await make_users(own, max(USERS, options.waiting))
        shows = await make_shows(own, 1, QUOTA)
        ticket_type = shows[0].ticket_types[0]
        if options.orders:
            result["processes"] = await _after_orders(own, users[:USERS], ticket_type, options)
        if options.waiting:
            result["waiting"] = await _with_waiting(own, users[: options.waiting], ticket_type)
        if options.audit:
            result["audit"] = await audit_result(own)
    return result | {"within": _within(result)}


def _ours(system: System) -> dict[str, int]:
    return {name: pid for name, pid in system.pids().items() if name not in NOT_PYTHON_OURS}


async def _after_orders(
    system: System, users: list[LoadUser], ticket_type: int, options: MemoryOptions
) -> dict[str, Any]:
    """Read memory after a tenth, the half and all of the orders, and after the purchases."""
    pids, began = _ours(system), time.monotonic()
    seen: dict[int, dict[str, float]] = {0: resident(pids)}
    for orders in sorted({-(-options.orders // 10), -(-options.orders // 2), options.orders}):
        await _sell(system, users, ticket_type, options.clients, orders - max(seen))
        seen[orders] = resident(pids)
        click.echo(f"{orders} orders: at most {max(seen[orders].values())} MiB", err=True)
    bought = await _purchase(system, users, ticket_type, options) if options.purchases else 0
    if _ours(system) != pids:
        raise click.ClickException("a process was replaced during the load: nothing can be said")
    *_, half, whole = sorted(seen)
    slope = {name: (seen[whole][name] - seen[half][name]) / (whole - half) for name in pids}
    highest = peak(pids)
    # Before that many orders caches are still filling: their growth says nothing of a million.
    telling = whole >= TELLING_ORDERS
    return {
        "mibAfterOrders": {str(orders): mib for orders, mib in seen.items()},
        "mibAfterPurchases": resident(pids),
        "purchases": bought,
        "peakMiB": highest,
        "growthMiBPer100kOrders": {name: round(each * 1e5, 2) for name, each in slope.items()},
        "atAMillionMiB": {
            name: round(mib + max(0.0, slope[name]) * max(0, MILLION - whole), 1)
            for name, mib in highest.items()
        }
        if telling
        else None,
        "seconds": round(time.monotonic() - began, 1),
    }


async def _purchase(
    system: System, users: list[LoadUser], ticket_type: int, options: MemoryOptions
) -> int:
    """The other half of the processes has something to do as well; how many orders were paid."""
    asked = SaleOptions(clients=options.clients, seconds=SECONDS_MAX, orders=3 * options.purchases)
    load = load_for(system, asked, users, [ticket_type])
    answers = await asyncio.to_thread(put_load, replace(load, mode="purchase"))
    await become_quiet(system)
    if not answers.counts.get("200"):
        raise click.ClickException(f"nothing was paid: {dict(answers.counts)}")
    return answers.counts["200"]


async def _sell(
    system: System, users: list[LoadUser], ticket_type: int, clients: int, orders: int
) -> None:
    """Sell so many, load after load where one may not last long enough."""
    left = orders
    while left > 0:
        asked = SaleOptions(clients=clients, seconds=SECONDS_MAX / 2, orders=left)
        answers = await asyncio.to_thread(put_load, load_for(system, asked, users, [ticket_type]))
        if not answers.accepted:
            raise click.ClickException(f"nothing is sold: {dict(answers.counts)}")
        left -= answers.accepted
        await become_quiet(system)


async def _with_waiting(system: System, users: list[LoadUser], ticket_type: int) -> dict[str, Any]:
    """Everybody orders and nobody decides; then inventory comes back and answers all of them."""
    await scale_twin(system, {"inventory": 0})
    gateway = {name: pid for name, pid in _ours(system).items() if name.startswith("gateway")}
    before = resident(gateway)
    tally = Tally(len(users))
    tokens = [user.token for user in users]
    crowd = asyncio.create_task(
        rush(system.gateway_url, tokens, ticket_type, tally, over=OVER_SECONDS)
    )
    try:
        async with asyncio.timeout(GATHER_SECONDS):
            while await _waiting(system) < len(users):
                await asyncio.sleep(0.2)
    except TimeoutError:
        crowd.cancel()
        await asyncio.gather(crowd, return_exceptions=True)
        raise click.ClickException(f"not all are waiting: {tally.done} were answered") from None
    held = resident(gateway)
    await scale_twin(system, {"inventory": 1})
    await crowd
    await become_quiet(system)
    if tally.refused or tally.accepted + tally.lost["UNDECIDED"] != len(users):
        raise click.ClickException(f"left without an answer: {tally}")
    return {
        "clients": len(users),
        "beforeMiB": before,
        "waitingMiB": held,
        "peakMiB": peak(gateway),
        "kibPerClient": round((sum(held.values()) - sum(before.values())) * 1024 / len(users), 1),
        "accepted": tally.accepted,
        "undecided": tally.lost["UNDECIDED"],
    }


async def _waiting(system: System) -> float:
    ports = {n: p for n, p in system.health_ports().items() if n.startswith("gateway")}
    return await read_gauge(ports, "eventhub_waiting_clients")


def _within(result: dict[str, Any]) -> bool:
    """Whether the figures keep what is promised of them: 150 MiB a process, 500 a gateway full of clients."""
    told = result.get("processes", {})
    processes = told.get("atAMillionMiB") or told.get("peakMiB", {})
    gateways = result.get("waiting", {}).get("peakMiB", {})
    return max(processes.values(), default=0.0) <= PROCESS_MIB_MAX and (
        max(gateways.values(), default=0.0) <= GATEWAY_MIB_MAX
    )
