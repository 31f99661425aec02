"""Message processing on real servers: each command one outcome, whatever happens to its message."""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest

from db.mysql.database import Database
from tests.harness.accounts import person
from tests.harness.command_client import CommandClient, command_client, place, result
from tests.harness.scratch import Scratch
from tests.harness.workers import running_workers


@pytest.fixture(scope="module")
async def client(scratch: Scratch, database: Database) -> AsyncIterator[CommandClient]:
    """A command client, and an inventory and an order worker behind it."""
    async with (
        command_client(scratch, database) as opened,
        running_workers(opened.settings, "inventory", "order"),
    ):
        yield opened


async def test_an_order_takes_its_tickets(client: CommandClient, database: Database) -> None:
    """One order of two: stored with its line, the stock one version on, the ledger says why."""
    organizer, buyer = await person(database, "ORGANIZER"), await person(database)
    event_id, (type_id,) = await client.sale(organizer, 10)
    order = result(await client.ask(place(buyer, event_id, (type_id, 2))))
    assert order["totalCost"] == "99.80"
    assert order["details"] == [
        {
            "ticketTypeId": type_id,
            "ticketTypeName": "Seat",
            "quantity": 2,
            "unitPrice": "49.90",
            "cost": "99.80",
        }
    ]
    row = await database.read("SELECT available, version FROM ticket_types WHERE id = %s", type_id)
    assert tuple(row[0]) == (8, 2)
    ledger = await database.read(
        "SELECT version, kind, delta FROM stock_ledger WHERE ticket_type_id = %s", type_id
    )
    assert [tuple(one) for one in ledger] == [(1, "CREATE", 10), (2, "TAKE", -2)]


async def test_a_rush_sells_exactly_what_there_is(
    client: CommandClient, database: Database
) -> None:
    """Sixty at once want one each of twenty: twenty orders, forty SOLD_OUT, nobody without an answer."""
    organizer, buyer = await person(database, "ORGANIZER"), await person(database)
    event_id, (type_id,) = await client.sale(organizer, 20)
    sent = await asyncio.gather(
        *(client.send(place(buyer, event_id, (type_id, 1))) for _ in range(60))
    )
    found = [await client.outcome(uuid) for uuid in sent]
    assert [one.code for one in found].count(None) == 20
    assert [one.code for one in found].count("SOLD_OUT") == 40
    refusal = orjson.loads(next(one.body for one in found if one.code))
    assert (refusal["available"], refusal["held"]) == (0, 20)
    assert refusal["nextReleaseAt"].endswith("Z")


async def test_the_same_command_twice_is_one_order(
    client: CommandClient, database: Database
) -> None:
    """Sent again after its decision, and five times at once: one order, the same outcome."""
    organizer, buyer = await person(database, "ORGANIZER"), await person(database)
    event_id, (type_id,) = await client.sale(organizer, 20)
    command = place(buyer, event_id, (type_id, 1))
    uuid = client.command_ids.fresh()
    await asyncio.gather(*(client.send(command, uuid=uuid) for _ in range(5)))
    first = await client.outcome(uuid)
    await client.send(command, uuid=uuid)
    marker = await client.ask(place(buyer, event_id, (type_id, 3)))
    assert marker.status_code == 201
    assert await client.outcome(uuid) == first
    rows = await database.read("SELECT COUNT(*) FROM orders WHERE user_id = %s", buyer.id)
    assert rows[0][0] == 2


async def test_a_command_past_its_deadline_is_never_executed(
    client: CommandClient, database: Database
) -> None:
    """Accepted 61 s ago: FAILED 503 that says when to try again, no order."""
    organizer, buyer = await person(database, "ORGANIZER"), await person(database)
    event_id, (type_id,) = await client.sale(organizer)
    outcome = await client.ask(place(buyer, event_id, (type_id, 1)), age=61)
    assert (outcome.status_code, outcome.code) == (503, "UNAVAILABLE")
    assert orjson.loads(outcome.body)["retryAfter"] == 1
    rows = await database.read("SELECT COUNT(*) FROM orders WHERE user_id = %s", buyer.id)
    assert rows[0][0] == 0
