"""`scripts/bench scans`: gates at the door of one event, alone or beside a sale.

In: how many gates and tickets, how many calls a second, scans a call, orders a second beside them. Out: one JSON
object: scans a second, their times; alone also the CPU per scan by process.
Must stay true: every ticket was bought through the API; each code is scanned once while there are any, so that a scan
is an admission; each call was answered with rulings.
"""

import asyncio
import secrets
from dataclasses import asdict, dataclass
from typing import Any

import aiohttp
import click

from contracts.tickets.ticket import ORDER_TICKETS_MAX
from db.mysql.database import Database
from scripts.benching.benches.sale import QUOTA, SaleOptions, load_for, make_shows
from scripts.benching.loads.api import Api
from scripts.benching.loads.users import make_users
from scripts.benching.loads.wrk import Answers, WrkLoad, put_load
from scripts.benching.measurement.auditing import audit_result
from scripts.benching.measurement.machine import heading
from scripts.benching.measurement.measuring import become_quiet, measure
from scripts.benching.systems.system import System

PAGE = 100
SETTLE_SECONDS = 2.0
"""The sale beside runs so long before the first scan, and after the last."""


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """What was asked for. rate: calls a second, 0 = as many as go; beside: orders a second."""

    clients: int = 64
    seconds: float = 5.0
    rate: float = 0
    each: int = 1
    tickets: int = 20_000
    gates: int = 8
    beside: float = 0
    audit: bool = True


async def scans(system: System, options: ScanOptions) -> dict[str, Any]:
    """Run it. Raises click.ClickException when the system does not do its part."""
    about = {**await heading("scans", system), "load": asdict(options)}
    event_id, codes, tokens = await _door(system, options)
    load = WrkLoad(
        url=system.gateway_url,
        clients=options.clients,
        seconds=options.seconds,
        mode="scans",
        path="/api/gate/scans",
        tokens=list(enumerate(tokens, 1)),
        codes=codes,
        rate=options.rate,
        quantity=options.each,
    )
    told = await (_beside(system, options, load) if options.beside else _alone(system, load))
    return (
        about
        | told
        | {
            "admitted": await _admitted(system, event_id),
            "audit": await audit_result(system) if options.audit else None,
        }
    )


async def _alone(system: System, load: WrkLoad) -> dict[str, Any]:
    measured = await measure(system, load)
    count = _ruled(measured.answers) * load.quantity
    return _times(measured.answers, count) | {
        "cpuMicrosPerScan": measured.cpu_micros_per(count),
        "othersCores": round(measured.others, 2),
        "quietAfterSeconds": round(measured.quiet_after, 2),
        "batchSizes": measured.batch_sizes(),
        "stepMs": measured.step_times(),
    }


async def _beside(system: System, options: ScanOptions, load: WrkLoad) -> dict[str, Any]:
    """The scans while something else is sold all the time."""
    users = await make_users(system, 2000)
    shows = await make_shows(system, 1, QUOTA)
    seconds = options.seconds + 2 * SETTLE_SECONDS
    sale = SaleOptions(clients=64, seconds=seconds, rate=options.beside)
    selling = load_for(system, sale, users, list(shows[0].ticket_types))
    busy = asyncio.create_task(asyncio.to_thread(put_load, selling))
    await asyncio.sleep(SETTLE_SECONDS)
    answers = await asyncio.to_thread(put_load, load)
    sold = await busy
    await become_quiet(system)
    return _times(answers, _ruled(answers) * load.quantity) | {
        "besideOrdersPerSecond": round(sold.per_second(sold.accepted), 1),
        "besideP99Ms": round(sold.p99, 1),
    }


def _ruled(answers: Answers) -> int:
    """Calls that were ruled on: all of them. Raises click.ClickException."""
    calls = answers.counts.get("200", 0)
    if calls != answers.answered or answers.failed:
        raise click.ClickException(f"not every scan was ruled on: {dict(answers.counts)}")
    return calls


def _times(answers: Answers, count: int) -> dict[str, Any]:
    return {
        "scans": count,
        "seconds": round(answers.seconds, 3),
        "scansPerSecond": round(answers.per_second(count), 1),
        "p50Ms": round(answers.p50, 1),
        "p90Ms": round(answers.p90, 1),
        "p99Ms": round(answers.p99, 1),
        "maxMs": round(answers.max, 1),
    }


async def _door(system: System, options: ScanOptions) -> tuple[int, list[str], list[str]]:
    """(event, codes of its paid tickets, tokens of its gates), all through the API."""
    organizer = (await make_users(system, 1, ("ORGANIZER",)))[0]
    buyer = (await make_users(system, 1))[0]
    async with aiohttp.ClientSession() as session:
        api = Api(session, system.gateway_url, organizer.token)
        show = await api.make_show("The door", quotas=[QUOTA], per_order=ORDER_TICKETS_MAX)
        hands = Api(session, system.gateway_url, buyer.token)
        codes: list[str] = []
        while len(codes) < options.tickets:
            some = min(ORDER_TICKETS_MAX, options.tickets - len(codes))
            codes += await _buy(hands, show.ticket_types[0], some)
        path = f"/api/events/{show.event_id}/gates"
        made = [
            await api.call("POST", path, {"name": f"Gate {number}"})
            for number in range(1, options.gates + 1)
        ]
    return show.event_id, codes, [one["token"] for one in made]


async def _buy(hands: Api, ticket_type: int, count: int) -> list[str]:
    """The codes of so many tickets, bought with one order."""
    items = [{"ticketTypeId": ticket_type, "quantity": count}]
    order = (await hands.call("POST", "/api/orders", {"items": items}))["id"]
    quote = await hands.call(
        "POST", "/api/public/payment/create-quote", {"orderId": order, "asset": "BTC"}
    )
    tx_hash = "0x" + secrets.token_hex(32)
    await hands.call(
        "POST", f"/api/public/payment/confirm-payment/{quote['id']}", {"txHash": tx_hash}
    )
    codes: list[str] = []
    path = f"/api/orders/{order}/tickets?limit={PAGE}"
    page = await hands.call("GET", path)
    codes += [ticket["code"] for ticket in page["data"]]
    while page["hasMore"]:
        page = await hands.call("GET", f"{path}&cursor={page['nextCursor']}")
        codes += [ticket["code"] for ticket in page["data"]]
    return codes


async def _admitted(system: System, event_id: int) -> int:
    database = await Database.connect(system.mysql_url, size=1)
    try:
        rows = await database.read(
            "SELECT COUNT(*) FROM scans WHERE event_id = %s AND ruling = 'ADMITTED'", event_id
        )
    finally:
        await database.close()
    return int(rows[0][0])
