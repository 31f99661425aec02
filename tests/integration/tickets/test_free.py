"""Tickets that cost nothing: issued in the transaction that takes the places, and told of."""

from typing import Any

import orjson

from contracts.events import OrderConfirmed, OrderPlaced, TicketsIssued
from db.audit import audit
from db.mysql.database import Database
from tests.harness.accounts import person
from tests.harness.command_client import command_client, place, result
from tests.harness.scratch import scratch_servers
from tests.harness.workers import running_workers


async def test_each_place_of_a_free_order_has_its_ticket_with_the_order() -> None:
    """Two types, three places, beside an order that costs something: the outcome is there, and so are its tickets."""
    async with scratch_servers() as scratch:
        database = await Database.connect(scratch.mysql_url)
        async with (
            command_client(scratch, database, shards=1) as client,
            running_workers(client.settings, "inventory"),
        ):
            organizer, buyer = await person(database, "ORGANIZER"), await person(database)
            event_id, (stalls, boxes) = await client.sale(organizer, 10, 10, price="0.00")
            paid_event, (seats,) = await client.sale(organizer, 10)
            sent = [
                await client.send(place(buyer, event_id, (stalls, 2), (boxes, 1))),
                await client.send(place(buyer, paid_event, (seats, 1))),
                await client.send(place(buyer, event_id, (boxes, 1))),
            ]
            first, costly, second = [result(await client.outcome(one)) for one in sent]
            rows = await database.read(
                "SELECT order_id, ticket_type_id, number, holder_id, status, id FROM tickets ORDER BY id"
            )
            assert [row[:5] for row in rows if row[0] == first["id"]] == [
                (first["id"], stalls, 1, buyer.id, "VALID"),
                (first["id"], stalls, 2, buyer.id, "VALID"),
                (first["id"], boxes, 1, buyer.id, "VALID"),
            ]
            assert [row[0] for row in rows].count(second["id"]) == 1
            assert costly["status"] == "PENDING_PAYMENT"
            assert len(rows) == 4, "an unpaid order has none"
            told = await _told(database, first["id"])
            assert [one["type"] for one in told] == [
                OrderPlaced.TYPE,
                OrderConfirmed.TYPE,
                TicketsIssued.TYPE,
            ]
            assert told[-1]["data"]["tickets"] == {
                "orderId": first["id"],
                "eventId": event_id,
                "userId": buyer.id,
                "ticketIds": [row[5] for row in rows if row[0] == first["id"]],
            }
            assert (await audit(database)).ok
            await database.write("DELETE FROM tickets WHERE order_id = %s", second["id"])
            assert (await audit(database)).broken == [7], "the audit counts free places too"
        await database.close()


async def _told(database: Database, order_id: int) -> list[dict[str, Any]]:
    """What waits in the outbox about an order; nobody publishes it."""
    rows = await database.read(
        "SELECT body FROM outbox WHERE aggregate = %s ORDER BY id", f"order:{order_id}"
    )
    return [orjson.loads(row[0]) for row in rows]
