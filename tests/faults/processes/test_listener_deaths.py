"""kill -9 at every step of those who listen: events, a provider's reports, dead letters each take effect once.

Real processes; the victim dies at a failpoint, its next life at the next one, the last life finishes.
"""

import pytest

from contracts.messaging.envelope import SINGLE
from db.messages import dead_letters
from db.messages.dead_letters import Status
from db.mysql.database import Database
from tests.faults.deaths import REACTS, die_at_each
from tests.faults.listening import listen, told
from tests.faults.proof import END_SECONDS, ends, proven
from tests.faults.sale_setup import TICKETS, Show, open_show
from tests.harness.command_client import CommandClient, place, result
from tests.harness.processes import Processes
from tests.harness.rates import SEED, priced
from tests.harness.scratch import Scratch
from tests.harness.waiting import eventually
from tests.harness.workers import running_workers
from tests.integration.deadletters.dead_letters import publish_dead
from tests.integration.payments.payment_client import cancel, cancel_event, quote, set_rate
from tests.integration.rates.broker import connected, fields, message, provider, publish

pytestmark = [pytest.mark.full, pytest.mark.timeout(300)]

ASSET = "ZEC"


@pytest.fixture
async def show(client: CommandClient, database: Database) -> Show:
    """A show with forty tickets, made while everybody lives."""
    return await open_show(client, database)


async def test_payment_dies_while_quotes_end(
    processes: Processes, client: CommandClient, database: Database, show: Show
) -> None:
    """Five deaths over five cancelled orders: no quote of theirs is still offered."""
    await set_rate(database, "BTC", "50000")
    async with running_workers(client.settings, "inventory", "payment"):
        orders = [await show.placed() for _ in REACTS]
        quotes = [result(await client.ask(quote(show.buyer, order)))["id"] for order in orders]
    waiting = iter(orders)

    async def cancel_next() -> bytes:
        return await client.send(cancel(show.buyer, next(waiting)))

    async def pending() -> int:
        rows = await database.read(
            f"SELECT COUNT(*) FROM payments WHERE status <> 'EXPIRED' AND id IN ({_marks(quotes)})",
            *quotes,
        )
        return int(rows[0][0])

    async def all_ended() -> bool:
        return not await pending()

    assert await pending() == len(REACTS)
    async with running_workers(client.settings, "inventory", "order", "relay", "notify"):
        sent = await die_at_each(processes, "payment-1", REACTS, cancel_next)
        assert {one.status_code for one in await ends(database, sent)} == {200}
        assert await eventually(all_ended, within=END_SECONDS)
        await proven(database)
    assert await show.available() == TICKETS


async def test_order_dies_while_an_event_s_orders_end(
    processes: Processes, client: CommandClient, database: Database, show: Show
) -> None:
    """Five deaths over five cancelled events: each unpaid order ends once, its ticket is back once."""
    shows = [Show(client, show.organizer, show.buyer) for _ in REACTS]
    async with running_workers(client.settings, "inventory"):
        for one in shows:
            await one.open()
            await one.placed()
    waiting = iter(shows)

    async def cancel_next() -> bytes:
        event_id = next(waiting).event_id
        return await client.send(cancel_event(show.organizer, event_id))

    async with running_workers(client.settings, "inventory", "payment", "relay", "notify"):
        sent = await die_at_each(processes, "order-1", REACTS, cancel_next)
        assert {one.status_code for one in await ends(database, sent)} == {200}
        await proven(database)
    for one in shows:
        assert await one.statuses() == [("CANCELLED", 2)]
        assert await one.available() == TICKETS


async def test_quote_dies_while_a_provider_reports_to_its_queue(
    processes: Processes, client: CommandClient, database: Database, scratch: Scratch
) -> None:
    """Five deaths over five reports: each is stored and told once, none is taken for a fault, the last one stands."""
    heard = await listen(client, "rate.updated")
    reported = [f"30.{number:02d}" for number in range(1, len(REACTS) + 1)]
    waiting = iter(reported)
    await priced(database, ASSET, "30")
    async with provider(scratch) as acme, connected(acme["amqpUrl"]) as channel:

        async def report() -> None:
            body = fields(ASSET, next(waiting))
            key = f"rates.{acme['name']}.{ASSET}"
            await publish(channel, key, message(body, acme["brokerUser"]))

        async def last_stands() -> bool:
            rows = await database.read(
                "SELECT rate FROM rates WHERE asset = %s AND source <> %s", ASSET, SEED
            )
            return [f"{row[0]:.2f}" for row in rows] == reported[-1:]

        await die_at_each(processes, "quote-1", REACTS, report)
        assert await eventually(last_stands, within=END_SECONDS)
        async with running_workers(client.settings, "relay", "notify"):
            await proven(database)
    assert told(await heard(), ASSET) == reported
    assert await database.read("SELECT reason FROM rate_quarantine WHERE asset = %s", ASSET) == []


async def test_relay_dies_while_it_keeps_dead_letters(
    processes: Processes, client: CommandClient, database: Database, show: Show
) -> None:
    """Five deaths over five dead commands: each is kept once, its client is told FAILED, nothing of it is done."""
    command = place(show.buyer, show.event_id, (show.type_id, 1))

    async def bury_next() -> bytes:
        uuid, envelope = client.envelope(command)
        body = client.codec.encode(envelope)
        queue = client.queue(command)
        await publish_dead(client, body, SINGLE, queue=queue, message_id=uuid.hex())
        return uuid

    sent = await die_at_each(processes, "relay-1", REACTS, bury_next)
    assert [one.status_code for one in await ends(database, sent)] == [500] * len(REACTS)
    rows = await database.read("SELECT id, message_id, status FROM dead_letters ORDER BY id")
    assert sorted(row[1] for row in rows) == sorted(uuid.hex() for uuid in sent)
    assert {row[2] for row in rows} == {"DEAD"}
    await dead_letters.end(database, [row[0] for row in rows], Status.DROPPED)
    async with running_workers(client.settings, "inventory", "notify"):
        await proven(database)
    assert await show.statuses() == []
    assert await show.available() == TICKETS


def _marks(values: list[object]) -> str:
    return ",".join(["%s"] * len(values))
