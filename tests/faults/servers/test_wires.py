"""One packet is lost: a COMMIT, its answer, a publisher's confirm, a consumer's ack. Each command has one end.

Workers run in this process, their connections through a fault proxy; the trap says that the packet was lost.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from contracts.runtime.settings import Settings
from db.mysql.database import Database
from scripts.proving.proxy import Action, Proxy, Trap
from scripts.proving.wires import COMMIT, basic_ack, basic_publish, holding, statement
from tests.faults.proof import END_SECONDS, ends, proven
from tests.harness.accounts import Person, person
from tests.harness.command_client import CommandClient, place, result
from tests.harness.scratch import Scratch
from tests.harness.waiting import eventually
from tests.harness.workers import running_workers
from tests.integration.payments.payment_client import cancel, confirm, fresh_hash, quote, set_rate

DECIDED = holding(b"INSERT INTO command_outcomes")
RETURNED = holding(b"SET returned_version")
LOSSES: tuple[Action, ...] = ("cut", "cut answer")
CREW = ("inventory", "order", "payment", "relay", "notify")


@dataclass(frozen=True, slots=True)
class Wired:
    """Proxies before database and broker, and the settings of a worker behind them."""

    mysql: Proxy
    amqp: Proxy
    settings: Settings


@pytest.fixture
async def wired(scratch: Scratch) -> AsyncIterator[Wired]:
    """Proxies that let everything pass until a trap is set."""
    async with Proxy(scratch.mysql_url) as mysql, Proxy(scratch.amqp_url) as amqp:
        yield Wired(mysql, amqp, scratch.settings(MYSQL_URL=mysql.address, AMQP_URL=amqp.address))


@contextlib.asynccontextmanager
async def crew(client: CommandClient, wired: Wired, victim: str) -> AsyncIterator[None]:
    """Everybody works; the victim behind the proxies."""
    others = [name for name in CREW if name != victim]
    async with running_workers(client.settings, *others), running_workers(wired.settings, victim):
        yield


async def caught(trap: Trap) -> bool:
    """Whether the packet was lost; waits for it."""

    async def look() -> bool:
        return trap.caught >= trap.times

    return await eventually(look, within=END_SECONDS)


async def orders_of(database: Database, buyer: Person) -> list[tuple[int, str]]:
    """(id, status) of the buyer's orders."""
    rows = await database.read(
        "SELECT id, status FROM orders WHERE user_id = %s ORDER BY id", buyer.id
    )
    return [(row[0], row[1]) for row in rows]


@pytest.mark.parametrize("loss", LOSSES)
async def test_an_order_whose_commit_is_in_the_dark(
    client: CommandClient, database: Database, wired: Wired, loss: Action
) -> None:
    """Five orders in a batch; their COMMIT never arrives, or its answer never comes: five orders, no more."""
    organizer, buyer = await person(database, "ORGANIZER"), await person(database)
    async with crew(client, wired, "inventory"):
        event_id, (type_id,) = await client.sale(organizer, 10)
        trap = wired.mysql.set(Trap("up", COMMIT, loss, after=DECIDED))
        sent = [await client.send(place(buyer, event_id, (type_id, 1))) for _ in range(5)]
        assert [one.status_code for one in await ends(database, sent)] == [201] * 5
        assert await caught(trap)
        await proven(database)
    assert len(await orders_of(database, buyer)) == 5


async def test_a_commit_that_nobody_answers(
    client: CommandClient, database: Database, wired: Wired
) -> None:
    """The COMMIT disappears without a trace and the session hangs: the worker gives it up and decides afresh."""
    organizer, buyer = await person(database, "ORGANIZER"), await person(database)
    async with crew(client, wired, "inventory"):
        event_id, (type_id,) = await client.sale(organizer, 10)
        trap = wired.mysql.set(Trap("up", COMMIT, "drop", after=DECIDED))
        outcome = await client.ask(place(buyer, event_id, (type_id, 1)), uuid=None)
        assert outcome.status_code == 201
        assert trap.caught == 1
        await proven(database)
    assert len(await orders_of(database, buyer)) == 1


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_cancellation_whose_commit_is_in_the_dark(
    client: CommandClient, database: Database, wired: Wired, loss: Action
) -> None:
    """Cancelled once, its tickets back once, the client told 200 and not "not pending any more"."""
    organizer, buyer = await person(database, "ORGANIZER"), await person(database)
    async with crew(client, wired, "order"):
        event_id, (type_id,) = await client.sale(organizer, 10)
        order = result(await client.ask(place(buyer, event_id, (type_id, 3))))
        trap = wired.mysql.set(Trap("up", COMMIT, loss, after=DECIDED))
        outcome = await client.ask(cancel(buyer, int(str(order["id"]))))
        assert outcome.status_code == 200
        assert await caught(trap)
        await proven(database)
    assert await orders_of(database, buyer) == [(order["id"], "CANCELLED")]


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_payment_whose_commit_is_in_the_dark(
    client: CommandClient, database: Database, wired: Wired, loss: Action
) -> None:
    """Paid once: one APPLIED receipt, the order CONFIRMED, the client told 200."""
    organizer, buyer = await person(database, "ORGANIZER"), await person(database)
    await set_rate(database, "BTC", "50000")
    async with crew(client, wired, "payment"):
        event_id, (type_id,) = await client.sale(organizer, 10)
        order = result(await client.ask(place(buyer, event_id, (type_id, 1))))
        payment = result(await client.ask(quote(buyer, int(str(order["id"])))))
        paid_by = fresh_hash()
        trap = wired.mysql.set(Trap("up", COMMIT, loss, after=DECIDED))
        outcome = await client.ask(confirm(buyer, int(str(payment["id"])), paid_by))
        assert outcome.status_code == 200
        assert await caught(trap)
        await proven(database)
    rows = await database.read("SELECT status FROM payment_receipts WHERE tx_hash = %s", paid_by)
    assert [row[0] for row in rows] == ["APPLIED"]


@pytest.mark.parametrize("loss", LOSSES)
async def test_tickets_come_back_once_when_the_commit_is_in_the_dark(
    client: CommandClient, database: Database, wired: Wired, loss: Action
) -> None:
    """The transaction that gives tickets back is run again; the stock rises once."""
    organizer, buyer = await person(database, "ORGANIZER"), await person(database)
    async with crew(client, wired, "inventory"):
        event_id, (type_id,) = await client.sale(organizer, 10)
        order = result(await client.ask(place(buyer, event_id, (type_id, 4))))
        trap = wired.mysql.set(Trap("up", COMMIT, loss, after=RETURNED))
        await client.ask(cancel(buyer, int(str(order["id"]))))
        assert await caught(trap)
        await proven(database)
    rows = await database.read("SELECT available FROM ticket_types WHERE id = %s", type_id)
    assert rows[0][0] == 10


@pytest.mark.parametrize("loss", LOSSES)
async def test_the_outbox_is_not_marked_in_the_dark(
    client: CommandClient, database: Database, wired: Wired, loss: Action
) -> None:
    """The relay's DELETE or its answer is lost: the events go once more, nothing happens twice."""
    organizer, buyer = await person(database, "ORGANIZER"), await person(database)
    async with crew(client, wired, "relay"):
        event_id, (type_id,) = await client.sale(organizer, 10)
        await proven(database)
        trap = wired.mysql.set(Trap("up", statement(b"DELETE o FROM"), loss))
        order = result(await client.ask(place(buyer, event_id, (type_id, 4))))
        await client.ask(cancel(buyer, int(str(order["id"]))))
        assert await caught(trap)
        await proven(database)
    rows = await database.read("SELECT available FROM ticket_types WHERE id = %s", type_id)
    assert rows[0][0] == 10


@pytest.mark.parametrize("loss", ["drop", "cut"])
async def test_a_publishers_confirm_is_lost(
    client: CommandClient, database: Database, wired: Wired, loss: Action
) -> None:
    """The relay's confirm never comes, or the connection breaks instead: published again, returned once."""
    organizer, buyer = await person(database, "ORGANIZER"), await person(database)
    async with crew(client, wired, "relay"):
        event_id, (type_id,) = await client.sale(organizer, 10)
        order = result(await client.ask(place(buyer, event_id, (type_id, 4))))
        await proven(database)
        trap = wired.amqp.set(Trap("down", basic_ack, loss))
        await client.ask(cancel(buyer, int(str(order["id"]))))
        assert await caught(trap)
        await proven(database)
    rows = await database.read("SELECT available FROM ticket_types WHERE id = %s", type_id)
    assert rows[0][0] == 10


@pytest.mark.parametrize("loss", ["drop", "cut"])
async def test_a_consumers_ack_is_lost(
    client: CommandClient, database: Database, wired: Wired, loss: Action
) -> None:
    """Redelivered after the connection has gone, answered from its row: one order, the same outcome."""
    organizer, buyer = await person(database, "ORGANIZER"), await person(database)
    async with crew(client, wired, "inventory"):
        event_id, (type_id,) = await client.sale(organizer, 10)
        trap = wired.amqp.set(Trap("up", basic_ack, loss))
        uuid = await client.send(place(buyer, event_id, (type_id, 1)))
        first = await client.outcome(uuid)
        assert await caught(trap)
        wired.amqp.cut()
        after = await client.ask(place(buyer, event_id, (type_id, 1)))
        assert after.status_code == 201
        await proven(database)
    assert await client.outcome(uuid) == first
    assert len(await orders_of(database, buyer)) == 2


async def test_a_dead_letter_whose_publish_is_lost_is_not_forgotten(
    client: CommandClient, database: Database, wired: Wired
) -> None:
    """The worker cannot put a bad message aside at first: it does so later, without being restarted."""
    buyer = await person(database)
    bad = place(buyer, 1, (1, 1))
    uuid, envelope = client.envelope(bad)
    items = [{"ticketTypeId": 1, "quantity": "many"}]
    spoilt = client.codec.encode(replace(envelope, data={**envelope.data, "items": items}))
    async with crew(client, wired, "inventory"):
        trap = wired.amqp.set(Trap("up", basic_publish, "cut"))
        await client.coalescer.submit(client.queue(bad), spoilt)
        assert await caught(trap)
        outcome = (await ends(database, [uuid]))[0]
    assert (outcome.status_code, outcome.code) == (500, "INTERNAL")
    await database.write("UPDATE dead_letters SET status = 'DROPPED'")
