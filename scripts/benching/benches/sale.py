"""`scripts/bench sale`: sell one hot ticket type (or many) and say what an order costs.

In: how many clients, for how long or how many orders. Out: one JSON object (see docs/performance.md for its members).
Must stay true: EventHub and the baselines are measured by the same client, with the same users, on the same servers,
one after the other; what the client counted as accepted is what the database holds.
"""

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import click

from db.mysql.database import Database
from db.stock import read
from scripts.benching.baselines.baseline_run import BaselineOptions, better, run_baseline
from scripts.benching.loads.api import Api, Show
from scripts.benching.loads.users import COUNT_MAX, LoadUser, make_users
from scripts.benching.loads.wrk import WrkLoad, put_load
from scripts.benching.lower_bounds.floors import FloorOptions, floor_figures
from scripts.benching.measurement.auditing import audit_result
from scripts.benching.measurement.machine import heading
from scripts.benching.measurement.measuring import Measured, figures, measure
from scripts.benching.systems.filling import fill
from scripts.benching.systems.system import System

QUOTA = 10_000_000
FASTEST = 6_000
"""Orders a second: more than any machine has sold of one event."""
KINDS = ("literal", "patient")
MADE_BY_API_MAX = 500
"""More events than that are written into the database: two calls for each take too long."""


@dataclass(frozen=True, slots=True)
class SaleOptions:
    """What was asked for. orders: 0 = as many as `seconds` allow; tickets: of each event."""

    clients: int = 128
    seconds: float = 10.0
    orders: int = 0
    events: int = 1
    tickets: int = QUOTA
    users: int = 5000
    rate: float = 0
    warm_up: float = 1.0
    keys: bool = False
    baseline: bool = False
    baseline_processes: int = 1
    floors: bool = False
    audit: bool = True


async def sale(
    system: System, options: SaleOptions, shows: list[Show] | None = None
) -> dict[str, Any]:
    """Run it. `shows`: what is sold, new ones when None.

    Raises click.ClickException when the system does not do its part.
    """
    about = await heading("sale", system)
    options = _with_enough_users(system, options)
    about["load"] = _told(options)
    users = await make_users(system, options.users)
    sold_before = await tickets_gone(system, _types(shows)) if shows else 0
    shows = shows or await make_shows(system, options.events, options.tickets)
    load = load_for(system, options, users, _types(shows))
    await _warm_up(system, load, options)
    measured = await measure(system, load)
    result = (
        about | figures(measured) | await _checked(system, shows, measured, options, sold_before)
    )
    if options.baseline:
        same = BaselineOptions(
            options.events, options.tickets, options.baseline_processes, options.warm_up
        )
        kinds = {kind: await run_baseline(system, load, same, kind=kind) for kind in KINDS}
        result["baseline"] = kinds | better(kinds, result["ordersPerSecond"])
    if options.floors:
        result["floors"] = await _floors(system, options, measured)
    return result


def _with_enough_users(system: System, options: SaleOptions) -> SaleOptions:
    """A limit of unpaid orders per account must not end a sale that the stock would go on with."""
    at_once = options.rate or FASTEST
    orders = options.orders or at_once * options.seconds
    needed = system.buyers_for(max(orders, FASTEST * options.warm_up))
    return replace(options, users=min(max(options.users, needed), COUNT_MAX))


def _types(shows: list[Show]) -> list[int]:
    return [one for show in shows for one in show.ticket_types]


async def _floors(system: System, options: SaleOptions, measured: Measured) -> dict[str, Any]:
    """The floors for the batches of this very sale, and how far above them it was."""
    sizes = measured.batch_sizes()
    found = await floor_figures(
        system,
        FloorOptions(
            commands=_mean(sizes, "batch_commands") or 1,
            events=_mean(sizes, "relay_batch_events") or 1,
            fresh_tokens=min(1.0, options.users / max(measured.answers.accepted, 1)),
            clients=options.clients,
        ),
    )
    spent = measured.cpu_micros_per(measured.answers.accepted)
    above: dict[str, Any] = {
        "timesFloor": round(spent.get("total", 0.0) / found["sum"]["total"], 2),
        "beside": beside_floors(spent, found["sum"]),
    }
    if options.clients == 1:
        above["timesLoneFloor"] = round(measured.answers.p50 / found["lone"]["sumMs"], 2)
    return found | above


def beside_floors(spent: dict[str, float], floors: dict[str, float]) -> dict[str, dict[str, float]]:
    """Kind of process -> its microseconds per order, and its floor (0 where an order needs none of it)."""
    kinds: dict[str, float] = {}
    for process, micros in spent.items():
        name, _, number = process.rpartition("-")
        kind = name if number.isdigit() else process
        kinds[kind] = kinds.get(kind, 0.0) + micros
    return {
        kind: {"spent": round(micros, 1), "floor": floors.get(kind, 0.0)}
        for kind, micros in kinds.items()
    }


def _mean(sizes: dict[str, float], metric: str) -> float:
    found = [size for name, size in sizes.items() if name.endswith(f" {metric}")]
    return max(found, default=0.0)


def load_for(
    system: System, options: SaleOptions, users: list[LoadUser], ticket_types: list[int]
) -> WrkLoad:
    """The load that the options describe."""
    return WrkLoad(
        url=system.gateway_url,
        clients=options.clients,
        seconds=options.seconds,
        limit=options.orders or 10_000_000,
        tokens=[(user.id, user.token) for user in users],
        ticket_types=ticket_types,
        rate=options.rate,
        keys=options.keys,
    )


def _told(options: SaleOptions) -> dict[str, Any]:
    return {
        "client": "wrk, one thread, Prefer: wait=10",
        "clients": options.clients,
        "seconds": options.seconds,
        "orders": options.orders or None,
        "events": options.events,
        "ticketsPerEvent": options.tickets,
        "users": options.users,
        "ratePerSecond": options.rate or None,
        "idempotencyKeys": options.keys,
        "warmUpSeconds": options.warm_up,
    }


async def make_shows(system: System, events: int, tickets: int) -> list[Show]:
    """Events of a new organizer, one ticket type each: through the API, or in the database when they are very many."""
    organizer = (await make_users(system, 1, ("ORGANIZER",)))[0]
    if events > MADE_BY_API_MAX:
        filled = await fill(system.mysql_url, organizer.id, events=events, quota=tickets)
        return [Show(e, (t,)) for e, t in zip(filled.events, filled.ticket_types, strict=True)]
    async with aiohttp.ClientSession() as session:
        api = Api(session, system.gateway_url, organizer.token)
        return await api.make_shows(events, quotas=[tickets])


async def _warm_up(system: System, load: WrkLoad, options: SaleOptions) -> None:
    """Sell something else first: processes, caches and connections are then as in a long sale."""
    if options.warm_up > 0:
        shows = await make_shows(system, 1, QUOTA)
        shorter = _shorter(load, options.warm_up, shows[0].ticket_types)
        await asyncio.to_thread(put_load, shorter)


def _shorter(load: WrkLoad, seconds: float, ticket_types: tuple[int, ...]) -> WrkLoad:
    return WrkLoad(
        url=load.url,
        clients=load.clients,
        seconds=seconds,
        tokens=load.tokens,
        ticket_types=ticket_types,
        keys=load.keys,
    )


async def _checked(
    system: System, shows: list[Show], measured: Measured, options: SaleOptions, before: int
) -> dict[str, Any]:
    """What the database says. Raises click.ClickException when the client was told something else."""
    stored = await tickets_gone(system, _types(shows)) - before
    told = measured.answers.accepted
    # A client that got 202, or no answer, may have an order all the same.
    open_ended = measured.answers.failed + measured.answers.counts.get("202", 0)
    if not told <= stored <= told + open_ended:
        raise click.ClickException(f"clients heard of {told} orders, the database has {stored}")
    audited = await audit_result(system) if options.audit else None
    return {"ordersInDatabase": stored, "audit": audited}


async def tickets_gone(system: System, ticket_types: list[int]) -> int:
    """How many tickets of these types are no longer for sale: one per order here."""
    database = await Database.connect(system.mysql_url, size=1)
    try:
        async with database.transaction(read_only=True) as transaction:
            stock = await read(transaction, ticket_types, lock=False)
    finally:
        await database.close()
    return sum(one.quota - one.available for one in stock.values())
