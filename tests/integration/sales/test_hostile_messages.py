"""Forged, broken and untrue messages: dead-lettered with their reason, neighbours unharmed."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest

from contracts.messaging.envelope import (
    BATCH,
    SINGLE,
    Codec,
    Envelope,
    join_batch,
)
from contracts.messaging.publisher import Properties
from contracts.messaging.topology import AGAIN_EXCHANGE
from db.mysql.database import Database
from tests.harness.desk import Desk, desk, place, result
from tests.harness.people import Person, person
from tests.harness.scratch import Scratch
from tests.harness.staff import staff
from tests.harness.waiting import eventually
from workers import KINDS


@pytest.fixture(scope="module")
async def counter(world: Scratch, database: Database) -> AsyncIterator[Desk]:
    """A desk with every worker behind it."""
    async with desk(world, database) as opened, staff(opened.settings, *KINDS):
        yield opened


async def put(counter: Desk, queue: str, body: bytes, content_type: str, mark: str) -> None:
    """Straight onto a queue, as somebody with a broker password could."""
    await counter.publisher.publish(
        AGAIN_EXCHANGE, queue, body, Properties(content_type, message_id=mark)
    )


async def dead(database: Database, mark: str) -> str:
    """The reason of a message's dead letter."""

    async def look() -> str | None:
        rows = await database.read(
            "SELECT reason FROM dead_letters WHERE message_id = %s OR body LIKE %s",
            mark,
            f"%{mark}%",
        )
        return rows[0][0] if rows else None

    reason = await eventually(look)
    await database.write("UPDATE dead_letters SET status = 'DROPPED' WHERE reason = %s", reason)
    assert reason is not None
    return reason


async def test_a_forged_command_is_not_executed(counter: Desk, database: Database) -> None:
    """Unsigned, signed with another key, or with a foreign command id: dead letters, no order."""
    organizer, buyer = await person(database, "ORGANIZER"), await person(database)
    event_id, (type_id,) = await counter.sale(organizer)
    queue = counter.queue(place(buyer, event_id, (type_id, 1)))
    _, envelope = counter.envelope(place(buyer, event_id, (type_id, 1)))
    unsigned = orjson.loads(counter.codec.encode(envelope))
    del unsigned["signature"]
    await put(counter, queue, orjson.dumps(unsigned), SINGLE, "m")
    assert "signature" in await dead(database, envelope.id)
    _, envelope = counter.envelope(place(buyer, event_id, (type_id, 1)))
    await put(
        counter, queue, Codec("somebody else's secret, long enough!").encode(envelope), SINGLE, "m"
    )
    assert "signature" in await dead(database, envelope.id)
    stranger = await person(database)
    _, foreign = counter.envelope(place(stranger, event_id, (type_id, 1)))
    stolen = replace(counter.envelope(place(buyer, event_id, (type_id, 1)))[1], id=foreign.id)
    await put(counter, queue, counter.codec.encode(stolen), SINGLE, "m")
    assert "not this caller's" in await dead(database, foreign.id)
    rows = await database.read("SELECT COUNT(*) FROM orders WHERE event_id = %s", event_id)
    assert rows[0][0] == 0


async def test_a_bad_command_in_a_batch_harms_no_neighbour(
    counter: Desk, database: Database
) -> None:
    """Five in one message, the third without its items: four orders, one dead letter, one FAILED/500 outcome."""
    organizer, buyer = await person(database, "ORGANIZER"), await person(database)
    event_id, (type_id,) = await counter.sale(organizer)
    made = [counter.envelope(place(buyer, event_id, (type_id, 1))) for _ in range(5)]
    bad = replace(made[2][1], data={**made[2][1].data, "items": "none"})
    bodies = [counter.codec.encode(envelope) for _, envelope in made]
    bodies[2] = counter.codec.encode(bad)
    body, content_type = join_batch(bodies)
    assert content_type == BATCH
    await put(counter, counter.queue(place(buyer, event_id, (type_id, 1))), body, content_type, "m")
    for number, (uuid, _) in enumerate(made):
        outcome = await counter.outcome(uuid)
        assert outcome.status_code == (500 if number == 2 else 201)
    assert "data is not valid: items" in await dead(database, bad.id)


async def test_a_command_that_breaks_its_handler_harms_no_neighbour(
    counter: Desk, database: Database
) -> None:
    """A price no column holds makes one command of three fail inside the transaction: the other two are decided."""
    organizer, buyer = await person(database, "ORGANIZER"), await person(database)
    event_id, (type_id,) = await counter.sale(organizer)
    nobody = Person(10**15, "nobody@example.test", ("USER",))
    sent = await asyncio.gather(
        counter.send(place(buyer, event_id, (type_id, 1))),
        counter.send(place(nobody, event_id, (type_id, 1))),
        counter.send(place(buyer, event_id, (type_id, 2))),
    )
    first, broken, third = [await counter.outcome(uuid) for uuid in sent]
    assert (first.status_code, broken.status_code, third.status_code) == (201, 500, 201)
    assert result(third)["totalCost"] == "99.80"
    assert "handler failed" in await dead(database, f":{10**15}")


async def test_a_forged_event_gives_nothing_back(counter: Desk, database: Database) -> None:
    """OrderCancelled for a live order, signed by nobody: a dead letter, the stock unmoved."""
    organizer, buyer = await person(database, "ORGANIZER"), await person(database)
    event_id, (type_id,) = await counter.sale(organizer)
    order = result(await counter.ask(place(buyer, event_id, (type_id, 1))))
    data = {"order": order, "organizerId": organizer.id}
    now = datetime.now(UTC)
    forged = Envelope("forged-1", "eventhub.order.cancelled.v1", "/x", now, data, signature="x")
    body = Codec("somebody else's secret, long enough!").encode(forged)
    await put(counter, "inventory.0.returns", body, SINGLE, "forged-1")
    assert "signature" in await dead(database, "forged-1")
    # Signed by us but untrue: the database knows better.
    await put(counter, "inventory.0.returns", counter.codec.encode(forged), SINGLE, "untrue-1")
    await counter.ask(place(buyer, event_id, (type_id, 1)))
    rows = await database.read("SELECT available FROM ticket_types WHERE id = %s", type_id)
    assert rows[0][0] == 8
