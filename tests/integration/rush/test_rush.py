"""The rush: more buyers than tickets, all at once, and processes that die in the middle of it."""

import asyncio
from dataclasses import dataclass

import aiohttp
import pytest

from db import stock
from db.audit import audit
from db.mysql.database import Database
from scripts.benching.live_display import as_promised
from scripts.benching.loads.api import Api
from scripts.benching.loads.crowd import Tally, rush
from tests.harness.waiting import eventually
from tests.integration.rush.buyers import Results, buy_all
from tests.integration.rush.crowds import buyers_tokens, organizer
from tests.integration.rush.killable_processes import KillableProcesses

KILLED_AT = {"inventory-1": 90, "relay-1": 190, "order-1": 290, "gateway-1": 390}
"""Process -> how many orders have been accepted when it is killed."""


@dataclass(frozen=True, slots=True)
class Left:
    """What the database says of a ticket type and its buyers."""

    available: int
    orders: int
    owners: int


async def put_on_sale(processes: KillableProcesses, database: Database, quota: int) -> int:
    """The id of a new ticket type."""
    token = (await organizer(database)).token
    async with aiohttp.ClientSession() as session:
        show = await Api(session, processes.url, token).make_show("Rush", quotas=[quota])
    return show.ticket_types[0]


async def left(database: Database, ticket_type: int) -> Left:
    async with database.transaction(read_only=True) as transaction:
        available = (await stock.read(transaction, [ticket_type], lock=False))[
            ticket_type
        ].available
    rows = await database.read("SELECT COUNT(*), COUNT(DISTINCT user_id) FROM orders")
    return Left(available, rows[0][0], rows[0][1])


async def clean_audit(database: Database) -> None:
    """The audit holds once all is quiet."""

    async def look() -> bool:
        report = await audit(database, quiet=True)
        assert report.ok, report.to_text()
        return True

    await eventually(look, within=30)


@pytest.mark.timeout(180)
async def test_three_thousand_buyers_for_a_hundred_tickets(
    processes: KillableProcesses, own_database: Database
) -> None:
    """Exactly 100 are accepted, 2,900 are told SOLD_OUT, nobody is left without an answer."""
    ticket_type = await put_on_sale(processes, own_database, 100)
    tally = Tally(3000)
    await rush(processes.url, await buyers_tokens(own_database, 3000), ticket_type, tally, over=0)
    assert (tally.accepted, dict(tally.refused), dict(tally.lost)) == (100, {"SOLD_OUT": 2900}, {})
    assert as_promised(tally, 100, (await left(own_database, ticket_type)).available)
    assert await left(own_database, ticket_type) == Left(0, 100, 100)
    await clean_audit(own_database)


@pytest.mark.timeout(240)
async def test_processes_killed_in_turn_lose_no_order_and_make_none_twice(
    processes: KillableProcesses, own_database: Database
) -> None:
    """600 tickets, 900 buyers who retry with their keys, SIGKILL for inventory, relay, order worker and gateway in
    turn: 600 sold, 300 sold out, two orders for nobody, and the audit is clean."""
    ticket_type = await put_on_sale(processes, own_database, 600)
    tokens = await buyers_tokens(own_database, 900)
    results = Results()

    async def killer() -> None:
        for name, accepted in KILLED_AT.items():
            await results.orders_reach(accepted)
            await processes.kill(name)
            # Not waited for: the sale goes on meanwhile, and the next one dies when its time has come.
            await processes.start(name)
        for name in KILLED_AT:
            await processes.ready(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(buy_all(processes.url, tokens, ticket_type, results))
        group.create_task(killer())
    assert (len(results.orders), len(results.sold_out)) == (600, 300)
    assert len(set(results.orders.values())) == 600
    assert results.retries > 0, "nobody noticed: the processes were killed too late"
    assert await left(own_database, ticket_type) == Left(0, 600, 600)
    await clean_audit(own_database)
