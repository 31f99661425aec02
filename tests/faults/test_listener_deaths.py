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
from tests.faults.shows import TICKETS, Show, open_show
from tests.harness.desk import Desk, place, result
from tests.harness.processes import Processes
from tests.harness.rates import SEED, priced
from tests.harness.scratch import Scratch
from tests.harness.staff import staff
from tests.harness.waiting import eventually
from tests.integration.deadletters.morgue import bury
from tests.integration.payments.till import cancel, cancel_event, quote, set_rate
from tests.integration.rates.broker import connected, fields, message, provider, publish

pytestmark = [pytest.mark.full, pytest.mark.timeout(300)]

ASSET = "ZEC"


@pytest.fixture
async def show(counter: Desk, books: Database) -> Show:
    """A show with forty tickets, made while everybody lives."""
    return await open_show(counter, books)


async def test_payment_dies_while_quotes_end(
    city: Processes, counter: Desk, books: Database, show: Show
) -> None:
    """Five deaths over five cancelled orders: no quote of theirs is still offered."""
    await set_rate(books, "BTC", "50000")
    async with staff(counter.settings, "inventory", "payment"):
        orders = [await show.placed() for _ in REACTS]
        quotes = [result(await counter.ask(quote(show.buyer, order)))["id"] for order in orders]
    waiting = iter(orders)

    async def cancel_next() -> bytes:
        return await counter.send(cancel(show.buyer, next(waiting)))

    async def pending() -> int:
        rows = await books.read(
            f"SELECT COUNT(*) FROM payments WHERE status <> 'EXPIRED' AND id IN ({_marks(quotes)})",
            *quotes,
        )
        return int(rows[0][0])

    async def all_ended() -> bool:
        return not await pending()

    assert await pending() == len(REACTS)
    async with staff(counter.settings, "inventory", "order", "relay", "notify"):
        sent = await die_at_each(city, "payment-1", REACTS, cancel_next)
        assert {one.status_code for one in await ends(books, sent)} == {200}
        assert await eventually(all_ended, within=END_SECONDS)
        await proven(books)
    assert await show.available() == TICKETS


async def test_order_dies_while_an_event_s_orders_end(
    city: Processes, counter: Desk, books: Database, show: Show
) -> None:
    """Five deaths over five cancelled events: each unpaid order ends once, its ticket is back once."""
    shows = [Show(counter, show.organizer, show.buyer) for _ in REACTS]
    async with staff(counter.settings, "inventory"):
        for one in shows:
            await one.open()
            await one.placed()
    waiting = iter(shows)

    async def cancel_next() -> bytes:
        event_id = next(waiting).event_id
        return await counter.send(cancel_event(show.organizer, event_id))

    async with staff(counter.settings, "inventory", "payment", "relay", "notify"):
        sent = await die_at_each(city, "order-1", REACTS, cancel_next)
        assert {one.status_code for one in await ends(books, sent)} == {200}
        await proven(books)
    for one in shows:
        assert await one.statuses() == [("CANCELLED", 2)]
        assert await one.available() == TICKETS


async def test_quote_dies_while_a_provider_reports_to_its_queue(
    city: Processes, counter: Desk, books: Database, places: Scratch
) -> None:
    """Five deaths over five reports: each is stored and told once, none is taken for a fault, the last one stands."""
    heard = await listen(counter, "rate.updated")
    reported = [f"30.{number:02d}" for number in range(1, len(REACTS) + 1)]
    waiting = iter(reported)
    await priced(books, ASSET, "30")
    async with provider(places) as acme, connected(acme["amqpUrl"]) as channel:

        async def report() -> None:
            body = fields(ASSET, next(waiting))
            key = f"rates.{acme['name']}.{ASSET}"
            await publish(channel, key, message(body, acme["brokerUser"]))

        async def last_stands() -> bool:
            rows = await books.read(
                "SELECT rate FROM rates WHERE asset = %s AND source <> %s", ASSET, SEED
            )
            return [f"{row[0]:.2f}" for row in rows] == reported[-1:]

        await die_at_each(city, "quote-1", REACTS, report)
        assert await eventually(last_stands, within=END_SECONDS)
        async with staff(counter.settings, "relay", "notify"):
            await proven(books)
    assert told(await heard(), ASSET) == reported
    assert await books.read("SELECT reason FROM rate_quarantine WHERE asset = %s", ASSET) == []


async def test_relay_dies_while_it_keeps_dead_letters(
    city: Processes, counter: Desk, books: Database, show: Show
) -> None:
    """Five deaths over five dead commands: each is kept once, its client is told FAILED, nothing of it is done."""
    command = place(show.buyer, show.event_id, (show.type_id, 1))

    async def bury_next() -> bytes:
        uuid, envelope = counter.envelope(command)
        body = counter.codec.encode(envelope)
        queue = counter.queue(command)
        await bury(counter, body, SINGLE, queue=queue, message_id=uuid.hex())
        return uuid

    sent = await die_at_each(city, "relay-1", REACTS, bury_next)
    assert [one.status_code for one in await ends(books, sent)] == [500] * len(REACTS)
    rows = await books.read("SELECT id, message_id, status FROM dead_letters ORDER BY id")
    assert sorted(row[1] for row in rows) == sorted(uuid.hex() for uuid in sent)
    assert {row[2] for row in rows} == {"DEAD"}
    await dead_letters.end(books, [row[0] for row in rows], Status.DROPPED)
    async with staff(counter.settings, "inventory", "notify"):
        await proven(books)
    assert await show.statuses() == []
    assert await show.available() == TICKETS


def _marks(values: list[object]) -> str:
    return ",".join(["%s"] * len(values))
