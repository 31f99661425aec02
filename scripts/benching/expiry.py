"""`scripts/bench expiry`: how soon an expired order's ticket can be bought again while its shard is saturated.

In: how many clients keep the shard busy, how many orders expire. Out: JSON: milliseconds from the deadline until
somebody else's order for that very ticket is accepted (median, worst).
Must stay true: the tickets are the only ones of their types, in the same event (so the same shard) as the saturated
type, and the load goes on for all the time. Their orders' deadlines alone are moved near, in the database and by its
clock, as if the orders had been placed a life earlier; with `life`, all orders live so long, those of the load as
well, which then expire as fast as they are sold.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Any

import aiohttp

from db.mysql.database import Database
from scripts.benching.api import Api, Show
from scripts.benching.auditing import audit_result
from scripts.benching.machine import heading
from scripts.benching.measuring import become_quiet
from scripts.benching.returns import buy
from scripts.benching.sale import load_for
from scripts.benching.sale_options import QUOTA, SaleOptions
from scripts.benching.system import System
from scripts.benching.twin import twin
from scripts.benching.users import LoadUser, make_users
from scripts.benching.wrk import put_load

SOON_SECONDS = 0.5
"""A deadline is moved so far ahead: long enough to be still ahead when the sweep looks."""
WARM_UP_SECONDS = 1.5
TOGETHER = 5
"""So many tickets are on their way at once."""
EACH_SECONDS = 2.0
TARGET_MS = 2000


@dataclass(frozen=True, slots=True)
class ExpiryOptions:
    """expiries: orders of which the ticket's way back is timed; life: seconds that every order lives, 0 = as usual."""

    clients: int = 128
    expiries: int = 20
    life: int = 0


async def expiry(system: System, options: ExpiryOptions) -> dict[str, Any]:
    """Run it. Raises click.ClickException when a ticket does not come back within ten seconds."""
    about = {
        **await heading("expiry", system),
        "load": {"clients": options.clients, "expiries": options.expiries, "life": options.life or None},
    }  # fmt: skip
    async with AsyncExitStack() as stack:
        if options.life:
            # The settings of the running system are its own: another one lives at this pace.
            life = {"EVENTHUB_ORDER_TTL": str(options.life)}
            system = await stack.enter_async_context(twin(system, "expiry", life))
        return about | await _timed(system, options)


async def _timed(system: System, options: ExpiryOptions) -> dict[str, Any]:
    users = await make_users(system, 1000)
    organizer = (await make_users(system, 1, ("ORGANIZER",)))[0]
    database = await Database.connect(system.mysql_url, size=TOGETHER)
    async with aiohttp.ClientSession() as session:
        try:
            show = await Api(session, system.gateway_url, organizer.token).make_show(
                "Expiry", quotas=[QUOTA, *[1] * TOGETHER]
            )
            rounds = -(-options.expiries // TOGETHER)
            life = options.life or SOON_SECONDS
            seconds = WARM_UP_SECONDS + options.life + rounds * (life + EACH_SECONDS)
            asked = SaleOptions(clients=options.clients, seconds=seconds)
            load = replace(load_for(system, asked, users[100:], [show.ticket_types[0]]), limit=10_000_000)  # fmt: skip
            busy = asyncio.create_task(asyncio.to_thread(put_load, load))
            # With a life of their own the load's orders expire as well, and have begun to when the timing begins.
            await asyncio.sleep(WARM_UP_SECONDS + options.life)
            times = await _all_times(session, system, database, show, users, rounds, options.life)
            answers = await busy
        finally:
            await database.close()
    await become_quiet(system)
    ranked = sorted(times)
    worst = round(ranked[-1] * 1000, 1)
    return {
        "meanwhileOrdersPerSecond": round(answers.per_second(answers.accepted), 1),
        "meanwhileErrors": answers.failed,
        "backOnSaleMs": {
            "median": round(ranked[len(ranked) // 2] * 1000, 1),
            "worst": worst,
        },
        "times": len(ranked),
        "withinTarget": worst <= TARGET_MS,
        "audit": await audit_result(system),
    }


async def _all_times(
    session: aiohttp.ClientSession,
    system: System,
    database: Database,
    show: Show,
    users: list[LoadUser],
    rounds: int,
    life: int,
) -> list[float]:
    """Seconds from the deadline until it was sold again, for each ticket of each round."""

    async def one(number: int) -> list[float]:
        times = []
        pair = users[2 * number : 2 * number + 2]
        hands = [Api(session, system.gateway_url, user.token) for user in pair]
        order = await buy(hands[0], show.ticket_types[1 + number])
        for turn in range(1, rounds + 1):
            deadline = await _deadline(database, order, life)
            await asyncio.sleep(max(0.0, deadline - time.time() - 0.05))
            order = await buy(hands[turn % 2], show.ticket_types[1 + number])
            times.append(time.time() - deadline)
        return times

    return [time for some in await asyncio.gather(*map(one, range(TOGETHER))) for time in some]


async def _deadline(database: Database, order: int, life: int) -> float:
    """When the order expires (seconds since 1970); moved near unless orders live shortly anyway."""
    if not life:
        await database.write(
            "UPDATE orders SET expires_at = UTC_TIMESTAMP(6) + INTERVAL %s MICROSECOND WHERE id = %s",
            int(SOON_SECONDS * 1e6),
            order,
        )
    [[at]] = await database.read("SELECT expires_at FROM orders WHERE id = %s", order)
    return float(at.replace(tzinfo=UTC).timestamp())
