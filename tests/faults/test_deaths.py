"""kill -9 at every step of every worker: each command has one outcome, and the audit finds nothing.

Real processes; the victim dies at a failpoint, its next life at the next one, the last life finishes.
"""

import itertools
from collections.abc import Awaitable, Callable

import orjson
import pytest

from contracts.commands import PublishRate
from contracts.outcomes import Outcome
from contracts.times import from_sql, to_wire
from db.mysql import Database
from tests.faults.deaths import CONSUMES, DECIDES, EXPIRES, REACTS, RELAYS, die_at_each
from tests.faults.proof import END_SECONDS, ends, proven
from tests.harness.desk import FINGERPRINT, Desk, place, result
from tests.harness.people import Person, person
from tests.harness.processes import Processes
from tests.harness.staff import staff
from tests.harness.waiting import eventually
from tests.integration.payments.till import cancel, confirm, fresh_hash, quote, set_rate

pytestmark = pytest.mark.timeout(300)

TICKETS = 40


class Show:
    """An event on sale, its organizer and a buyer."""

    def __init__(self, counter: Desk, organizer: Person, buyer: Person) -> None:
        self.counter, self.organizer, self.buyer = counter, organizer, buyer
        self.event_id, self.type_id = 0, 0

    async def order(self) -> bytes:
        """Send an order for one ticket."""
        return await self.counter.send(place(self.buyer, self.event_id, (self.type_id, 1)))

    async def placed(self) -> int:
        """An order that is there; its id."""
        made = result(await self.counter.outcome(await self.order()))["id"]
        assert isinstance(made, int)
        return made

    async def available(self) -> int:
        """Tickets left."""
        rows = await self.counter.database.read(
            "SELECT available FROM ticket_types WHERE id = %s", self.type_id
        )
        return int(rows[0][0])


@pytest.fixture
async def show(counter: Desk, books: Database) -> Show:
    """A show with forty tickets, made while everybody lives."""
    made = Show(counter, await person(books, "ORGANIZER"), await person(books))
    async with staff(counter.settings, "inventory-9"):
        made.event_id, (made.type_id,) = await counter.sale(made.organizer, TICKETS)
    return made


def statuses(found: list[Outcome]) -> list[int]:
    """The status of each."""
    return [outcome.status_code for outcome in found]


async def test_inventory_dies_while_it_sells(
    city: Processes, counter: Desk, books: Database, show: Show
) -> None:
    """Six deaths, six orders: six tickets fewer, not seven, not five."""
    sent = await die_at_each(city, "inventory-1", DECIDES, show.order)
    assert statuses(await ends(books, sent)) == [201] * len(DECIDES)
    assert await show.available() == TICKETS - len(DECIDES)
    async with staff(counter.settings, "relay", "notify", "payment"):
        await proven(books)


async def test_inventory_dies_while_tickets_come_back(
    city: Processes, counter: Desk, books: Database, show: Show
) -> None:
    """Five deaths over five cancelled orders: every ticket is back, once."""
    async with staff(counter.settings, "inventory-1"):
        orders = [await show.placed() for _ in REACTS]
    waiting = iter(orders)

    async def give_back() -> bytes:
        return await counter.send(cancel(show.buyer, next(waiting)))

    async with staff(counter.settings, "order", "relay", "notify", "payment"):
        sent = await die_at_each(city, "inventory-1", REACTS, give_back)
        assert statuses(await ends(books, sent)) == [200] * len(REACTS)
        await proven(books)
    assert await show.available() == TICKETS


@pytest.mark.full
async def test_order_dies_while_it_cancels(
    city: Processes, counter: Desk, books: Database, show: Show
) -> None:
    """Six deaths over six cancellations: each cancelled once."""
    async with staff(counter.settings, "inventory", "relay", "notify", "payment"):
        orders = iter([await show.placed() for _ in DECIDES])

        async def cancel_next() -> bytes:
            return await counter.send(cancel(show.buyer, next(orders)))

        sent = await die_at_each(city, "order-1", DECIDES, cancel_next)
        assert statuses(await ends(books, sent)) == [200] * len(DECIDES)
        await proven(books)
    assert await show.available() == TICKETS


@pytest.mark.full
async def test_the_sweep_dies(city: Processes, counter: Desk, books: Database, show: Show) -> None:
    """Three deaths of the sweep: orders past their time end once, their tickets come back once."""
    async with staff(counter.settings, "inventory", "relay", "notify", "payment"):

        async def overdue() -> bytes:
            uuid = await show.order()
            await counter.outcome(uuid)
            await books.write(
                "UPDATE orders SET expires_at = UTC_TIMESTAMP(6) WHERE command_id = %s", uuid
            )
            return uuid

        sent = await die_at_each(city, "order-1", EXPIRES, overdue)
        await proven(books)
    rows = await books.read(
        "SELECT status, COUNT(*) FROM orders WHERE event_id = %s GROUP BY status", show.event_id
    )
    assert [tuple(row) for row in rows] == [("EXPIRED", len(sent))]
    assert await show.available() == TICKETS


@pytest.mark.full
async def test_payment_dies_while_it_quotes_and_confirms(
    city: Processes, counter: Desk, books: Database, show: Show
) -> None:
    """Six deaths over quotes, six over confirmations: one payment each, paid once each."""
    await set_rate(books, "BTC", "50000")
    async with staff(counter.settings, "inventory", "relay", "notify", "order"):
        unpaid = iter([await show.placed() for _ in DECIDES])

        async def quote_next() -> bytes:
            return await counter.send(quote(show.buyer, next(unpaid)))

        quoted = await die_at_each(city, "payment-1", DECIDES, quote_next, last=False)
        life = await city.start("payment-1")
        made = await ends(books, quoted)
        assert statuses(made) == [201] * len(DECIDES)
        await life.kill()
        payments = iter([result(one)["id"] for one in made])

        async def pay_next() -> bytes:
            return await counter.send(confirm(show.buyer, int(str(next(payments))), fresh_hash()))

        paid = await die_at_each(city, "payment-1", DECIDES, pay_next)
        assert statuses(await ends(books, paid)) == [200] * len(DECIDES)
        await proven(books)


@pytest.mark.full
async def test_quote_dies_while_rates_arrive(
    city: Processes, counter: Desk, books: Database
) -> None:
    """Six deaths over six reports of a rate: each report is decided once."""
    provider = await person(books, "PROVIDER")
    cents = itertools.count(1)

    async def report() -> bytes:
        rows = await books.read("SELECT UTC_TIMESTAMP(6)")
        command = PublishRate(
            principal=provider.principal,
            fingerprint=FINGERPRINT,
            asset="ETH",
            currency="USD",
            rate=f"2000.{next(cents):02d}",
            observed_at=to_wire(from_sql(rows[0][0])),
        )
        return await counter.send(command)

    sent = await die_at_each(city, "quote-1", DECIDES, report)
    assert set(statuses(await ends(books, sent))) <= {200, 409}
    async with staff(counter.settings, "relay", "notify"):
        await proven(books)


async def test_relay_dies_between_outbox_and_broker(
    city: Processes, counter: Desk, books: Database, show: Show
) -> None:
    """Three deaths: each event of each order reaches a listener at least once, the outbox ends empty."""
    heard = await _listen(counter)
    async with staff(counter.settings, "inventory", "notify", "payment", "order"):

        async def decided() -> bytes:
            uuid = await show.order()
            await counter.outcome(uuid)
            return uuid

        sent = await die_at_each(city, "relay-1", RELAYS, decided)
        made = [result(one)["id"] for one in await ends(books, sent)]
        await proven(books)

    async def all_heard() -> bool:
        return set(made) <= set(await heard())

    assert await eventually(all_heard, within=END_SECONDS)


@pytest.mark.full
async def test_notify_dies_while_it_listens(
    city: Processes, counter: Desk, books: Database, show: Show
) -> None:
    """Three deaths: no event is dropped or left behind on its queue."""
    async with staff(counter.settings, "inventory", "relay", "payment", "order"):
        sent = await die_at_each(city, "notify-1", CONSUMES, show.order)
        await ends(books, sent)
        await eventually(_empty(counter, "notify"), within=END_SECONDS, every=0.2)
        await proven(books)


def _empty(counter: Desk, queue: str) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        channel = counter.publisher._link.channel
        declared = await channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count == 0

    return look


async def _listen(counter: Desk) -> Callable[[], Awaitable[list[int]]]:
    """Order ids of the OrderPlaced events that have come so far, repeats included."""
    channel = counter.publisher._link.channel
    queue = await channel.declare_queue(
        "listener", durable=True, arguments={"x-queue-type": "quorum"}
    )
    await queue.bind("eventhub.events", "order.placed")
    heard: list[int] = []

    async def drain() -> list[int]:
        while message := await queue.get(fail=False):
            await message.ack()
            heard.extend(_orders(message.body))
        return heard

    return drain


def _orders(body: bytes) -> list[int]:
    parsed = orjson.loads(body)
    return [
        one["data"]["order"]["id"] for one in (parsed if isinstance(parsed, list) else [parsed])
    ]
