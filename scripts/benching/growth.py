"""`scripts/bench growth`: what an order costs when the tables are full, and when many only look on.

In: how many orders, events and idle streams the large side has. Out: JSON: for each stage the CPU per order of both
sides, medians over the rounds, and their ratio; what listing events costs; what idle streams cost by themselves.
Must stay true: both sides run all the time, with processes of their own on the same servers, and are measured in turn
(who goes first changes): what else the machine does, or the servers remember, meets both alike. Both sell a ticket type
that has a history. The stages add up: with many events means with many orders as well.
"""

import asyncio
import statistics
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import aiohttp
import click

from contracts.runtime.times import to_wire
from scripts.benching.auditing import audit_result
from scripts.benching.cpu import read_cpu
from scripts.benching.filling import Filled, fill, pages_read
from scripts.benching.machine import heading
from scripts.benching.measuring import Measured, become_quiet, measure
from scripts.benching.memory_read import resident
from scripts.benching.sale import load_for
from scripts.benching.sale_options import SaleOptions
from scripts.benching.streams import idle_streams
from scripts.benching.system import System
from scripts.benching.twin import twin
from scripts.benching.users import LoadUser, make_users
from scripts.benching.wrk import put_load

SMALL_ORDERS, SMALL_EVENTS = 1000, 10
USERS = 2000
LISTINGS = 50
ENOUGH = 0.9
"""A starved machine may leave a few clients without an answer; the cost is told per accepted order."""
SETTINGS = {
    # Nothing of what is measured shall end in the middle of it.
    "EVENTHUB_ORDER_TTL": "7200",
    "EVENTHUB_MAX_HOLD": "7200",
    "EVENTHUB_COMMAND_DEADLINE": "7200",
}


@dataclass(frozen=True, slots=True)
class GrowthOptions:
    """orders, events, streams: of the large side; each: orders of one measured sale."""

    orders: int = 1_000_000
    events: int = 100_000
    streams: int = 10_000
    rounds: int = 5
    each: int = 3000
    clients: int = 128
    keys: bool = False
    idle_seconds: float = 5.0
    audit: bool = False


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two systems, and what it sells."""

    name: str
    system: System
    users: list[LoadUser]
    filled: Filled


async def growth(system: System, options: GrowthOptions) -> dict[str, Any]:
    """Run it. Raises click.ClickException when a side does not do its part."""
    result: dict[str, Any] = {
        **await heading("growth", system),
        "load": {
            "clients": options.clients, "rounds": options.rounds, "ordersEach": options.each,
            "idempotencyKeys": options.keys,
            "small": {"orders": SMALL_ORDERS, "events": SMALL_EVENTS},
            "large": {"orders": options.orders, "events": options.events, "streams": options.streams},
        },
    }  # fmt: skip
    async with AsyncExitStack() as stack:
        sides = await _sides(stack, system, options)
        result["fillSeconds"] = sides[1].filled.seconds
        result["orders"] = await _compared("orders", sides, options)
        if options.events:
            result |= await _with_events(sides, options)
        if options.streams:
            result["streams"] = await _with_streams(sides, options)
        if options.audit:
            result["audit"] = await audit_result(sides[1].system)
    return result


async def _sides(stack: AsyncExitStack, system: System, options: GrowthOptions) -> list[Side]:
    sides = []
    for name, orders in (("small", SMALL_ORDERS), ("large", options.orders)):
        other = await stack.enter_async_context(twin(system, name, SETTINGS))
        filled = await _fill(other, orders, SMALL_EVENTS)
        click.echo(f"{name}: {filled.orders} orders, {filled.seconds:.0f} s", err=True)
        sides.append(Side(name, other, await make_users(other, USERS), filled))
    for side in sides:
        await _warm_up(side, options)
    return sides


async def _fill(system: System, orders: int, events: int) -> Filled:
    organizer = (await make_users(system, 1, ("ORGANIZER",)))[0]
    return await fill(system.mysql_url, organizer.id, orders=orders, events=events)


def _load(side: Side, options: GrowthOptions) -> Any:
    """A sale of the first of the filled types: it has sold many tickets before."""
    asked = SaleOptions(clients=options.clients, seconds=60, orders=options.each, keys=options.keys)
    return load_for(side.system, asked, side.users, [side.filled.ticket_types[0]])


async def _warm_up(side: Side, options: GrowthOptions) -> None:
    await asyncio.to_thread(put_load, replace(_load(side, options), limit=2 * options.each))
    await become_quiet(side.system)


async def _compared(stage: str, sides: Sequence[Side], options: GrowthOptions) -> dict[str, Any]:
    """The same sale on both sides, again and again, in turn."""
    found: dict[str, list[Measured]] = {side.name: [] for side in sides}
    pages: dict[str, list[float]] = {side.name: [] for side in sides}
    for turn in range(options.rounds):
        for side in sides if turn % 2 == 0 else reversed(sides):
            before = await pages_read(side.system.mysql_url)
            measured = await measure(side.system, _load(side, options))
            read = await pages_read(side.system.mysql_url) - before
            pages[side.name].append(read / measured.answers.accepted)
            if measured.answers.accepted < ENOUGH * options.each:
                raise click.ClickException(f"{side.name}: {dict(measured.answers.counts)}")
            found[side.name].append(measured)
            click.echo(f"{stage}, round {turn + 1}, {side.name}: {_total(measured):.0f} µs", err=True)  # fmt: skip
    told = {
        name: _medians(runs) | {"pagesReadPerOrder": round(statistics.median(pages[name]), 3)}
        for name, runs in found.items()
    }
    small, large = (told[side.name]["cpuMicrosPerOrder"]["total"] for side in sides)
    return told | {"ratio": round(large / small, 3)}


def _total(measured: Measured) -> float:
    return measured.cpu_micros_per(measured.answers.accepted)["total"]


def _medians(runs: Sequence[Measured]) -> dict[str, Any]:
    """Medians over the rounds, process by process, and of the sums."""
    each = [run.cpu_micros_per(run.answers.accepted) for run in runs]
    names = sorted({name for one in each for name in one} - {"total"})
    cpu = {name: round(statistics.median(one.get(name, 0.0) for one in each), 1) for name in names}
    totals = [one["total"] for one in each]
    return {
        "cpuMicrosPerOrder": cpu | {"total": round(statistics.median(totals), 1)},
        "rounds": totals,
        "ordersPerSecond": round(
            statistics.median(run.answers.per_second(run.answers.accepted) for run in runs), 1
        ),
        "p99Ms": round(statistics.median(run.answers.p99 for run in runs), 1),
        "othersCores": round(statistics.median(run.others for run in runs), 2),
    }


async def _with_events(sides: Sequence[Side], options: GrowthOptions) -> dict[str, Any]:
    """The large side's catalogue grows: orders, and pages of the list that no cache has."""
    large = sides[1]
    more = options.events - SMALL_EVENTS
    filled = await _fill(large.system, 0, max(more, 1))
    click.echo(f"{more} more events, {filled.seconds:.0f} s", err=True)
    compared = await _compared("events", sides, options)
    listing: dict[str, Any] = {}
    queries = {"page": "limit=20", "found": "limit=20&q=Filled 7", "notFound": "limit=20&q=nowhere"}
    for what, query in queries.items():
        cost = {side.name: await _listed(side.system, query) for side in sides}
        ratio = cost["large"]["cpuMicros"] / max(cost["small"]["cpuMicros"], 1.0)
        listing[what] = cost | {"ratio": round(ratio, 2)}
    return {"events": compared, "listing": listing}


async def _listed(system: System, query: str) -> dict[str, float]:
    """CPU microseconds (gateway, database, Redis) and milliseconds of a page, each asked for the first time."""
    asked = ("gateway", "mysql", "redis")
    pids = {name: pid for name, pid in system.pids().items() if name.startswith(asked)}
    first, times = datetime.now(UTC), []
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as session:
        await _list(session, system, f"{query}&from={quote(to_wire(first))}")
        before = read_cpu(pids)
        for number in range(1, LISTINGS + 1):
            since, began = to_wire(first + timedelta(seconds=number)), loop.time()
            await _list(session, system, f"{query}&from={quote(since)}")
            times.append(loop.time() - began)
    cpu = sum(read_cpu(pids).since(before).values())
    return {
        "cpuMicros": round(cpu * 1e6 / LISTINGS, 1),
        "p50Ms": round(statistics.median(times) * 1000, 2),
    }


async def _list(session: aiohttp.ClientSession, system: System, query: str) -> None:
    async with session.get(f"{system.gateway_url}/api/events?{query}") as answer:
        if answer.status != 200:
            raise click.ClickException(f"GET /api/events?{query}: {await answer.text()}")
        await answer.read()


async def _with_streams(sides: Sequence[Side], options: GrowthOptions) -> dict[str, Any]:
    """Thousands look on at the large side. Their cost by themselves is told beside the orders'."""
    large = sides[1]
    gateway = {name: pid for name, pid in large.system.pids().items() if name.startswith("gateway")}
    before = resident(gateway)
    async with idle_streams(large.system, large.users, options.streams):
        idle = await _idle_cores(large.system, options.idle_seconds)
        held = resident(gateway)
        compared = await _compared("streams", sides, options)
    mib = {"before": max(before.values()), "with": max(held.values())}
    return compared | {"idleCores": idle, "gatewayMiB": mib}


async def _idle_cores(system: System, seconds: float) -> dict[str, float]:
    """Cores that each process keeps busy while nobody buys anything."""
    pids = system.pids()
    before, loop = read_cpu(pids), asyncio.get_running_loop()
    began = loop.time()
    await asyncio.sleep(seconds)
    used, lasted = read_cpu(pids).since(before), loop.time() - began
    cores = {name: round(cpu / lasted, 3) for name, cpu in sorted(used.items()) if cpu > 0}
    return cores | {"total": round(sum(used.values()) / lasted, 3)}
