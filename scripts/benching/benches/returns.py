"""`scripts/bench returns`: how soon a cancelled order's ticket can be bought again while its shard is saturated.

In: how many clients keep the shard busy, how many cancellations. Out: JSON: milliseconds from the answer to the
cancellation until somebody else's order for that very ticket is accepted (median, worst).
Must stay true: the ticket is the only one of its type, in the same event (so the same shard) as the saturated type; the
load goes on for all the time; expired orders return in the same way, a sweep earlier.
"""

import asyncio
import time
from dataclasses import replace
from typing import Any

import aiohttp
import click

from scripts.benching.benches.sale import FASTEST, QUOTA, SaleOptions, load_for
from scripts.benching.loads.api import Api, Show
from scripts.benching.loads.users import LoadUser, make_users
from scripts.benching.loads.wrk import put_load
from scripts.benching.measurement.machine import heading
from scripts.benching.systems.system import System

TRY_SECONDS = 0.01
GIVE_UP_SECONDS = 10.0
WARM_UP_SECONDS = 1.5


async def returns(system: System, *, clients: int, cancellations: int) -> dict[str, Any]:
    """Run it. Raises click.ClickException when a ticket does not come back within ten seconds."""
    seconds = WARM_UP_SECONDS + cancellations * 1.5
    users = await make_users(system, max(1000, system.buyers_for(FASTEST * seconds)))
    organizer = (await make_users(system, 1, ("ORGANIZER",)))[0]
    async with aiohttp.ClientSession() as session:
        api = Api(session, system.gateway_url, organizer.token)
        show = await api.make_show("Returns", quotas=[QUOTA, 1])
        options = SaleOptions(clients=clients, seconds=seconds)
        load = replace(
            load_for(system, options, users[2:], [show.ticket_types[0]]), limit=10_000_000
        )
        busy = asyncio.create_task(asyncio.to_thread(put_load, load))
        await asyncio.sleep(WARM_UP_SECONDS)
        times = await _cancel_often(session, system, show, users, cancellations)
        answers = await busy
    ranked = sorted(times)
    return {
        **await heading("returns", system),
        "load": {"clients": clients, "cancellations": cancellations},
        "meanwhileOrdersPerSecond": round(answers.per_second(answers.accepted), 1),
        "backOnSaleMs": {
            "median": round(ranked[len(ranked) // 2] * 1000, 1),
            "worst": round(ranked[-1] * 1000, 1),
        },
    }


async def _cancel_often(
    session: aiohttp.ClientSession, system: System, show: Show, users: list[LoadUser], count: int
) -> list[float]:
    """Two buyers pass the one ticket to each other; how long it was on its way each time."""
    hands = [Api(session, system.gateway_url, user.token) for user in users[:2]]
    order = await buy(hands[0], show.ticket_types[1])
    times = []
    for turn in range(1, count + 1):
        await hands[(turn - 1) % 2].call("POST", f"/api/orders/{order}/cancel", {})
        cancelled = time.monotonic()
        order = await buy(hands[turn % 2], show.ticket_types[1])
        times.append(time.monotonic() - cancelled)
    return times


async def buy(api: Api, ticket_type: int) -> int:
    """Order the ticket, again and again until it is there."""
    deadline = time.monotonic() + GIVE_UP_SECONDS
    body = {"items": [{"ticketTypeId": ticket_type, "quantity": 1}]}
    while True:
        try:
            return int((await api.call("POST", "/api/orders", body))["id"])
        except click.ClickException as refused:
            if "SOLD_OUT" not in refused.message or time.monotonic() > deadline:
                raise
        await asyncio.sleep(TRY_SECONDS)
