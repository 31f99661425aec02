"""A process sleeps in the middle of its work for longer than its leases, its locks and its sessions last.

Another one does that work meanwhile. The sleeper wakes where it was, believes what it believed, and must change
nothing; then it serves again, alone.
"""

from collections import Counter

import pytest

from db.mysql.database import Database
from tests.faults.listening import hook, listen, told, written_for
from tests.faults.proof import END_SECONDS, ends, proven
from tests.faults.shows import TICKETS, Show, open_show
from tests.faults.sleepers import outslept
from tests.harness.desk import Desk, result
from tests.harness.processes import Processes
from tests.harness.rates import SEED, priced
from tests.harness.scratch import Scratch
from tests.harness.staff import staff
from tests.harness.waiting import eventually
from tests.integration.payments.till import cancel, confirm, fresh_hash, quote, receipts, set_rate
from tests.integration.rates.broker import connected, fields, message, provider, publish

pytestmark = pytest.mark.timeout(300)

ASSET = "ZEC"


@pytest.fixture
async def show(counter: Desk, books: Database) -> Show:
    """A show with forty tickets, made while everybody lives."""
    return await open_show(counter, books)


@pytest.mark.parametrize(
    "point",
    [
        "worker.locked",
        pytest.param("worker.written", marks=pytest.mark.full),
        pytest.param("worker.committed", marks=pytest.mark.full),
    ],
)
async def test_inventory_sleeps_while_it_sells(
    city: Processes, counter: Desk, books: Database, show: Show, point: str
) -> None:
    """Its shard, its seat lock and its session lapse, another sells that ticket: one order, one ticket fewer."""

    async def sold(uuid: bytes) -> None:
        assert (await counter.outcome(uuid, within=END_SECONDS)).status_code == 201

    async with outslept(city, books, "inventory", point=point, give=show.order, done=sold) as first:
        await sold(await show.order())
        [outcome] = await ends(books, [first])
        assert outcome.status_code == 201
    assert await show.available() == TICKETS - 2
    assert len(await show.statuses()) == 2
    async with staff(counter.settings, "relay", "notify", "payment"):
        await proven(books)


@pytest.mark.full
@pytest.mark.parametrize("point", ["worker.locked", "worker.written"])
async def test_payment_sleeps_while_it_confirms(
    city: Processes, counter: Desk, books: Database, show: Show, point: str
) -> None:
    """Another confirms meanwhile: one receipt for each payment, each order paid once."""
    await set_rate(books, "BTC", "50000")
    async with staff(counter.settings, "inventory", "payment"):
        orders = [await show.placed() for _ in range(2)]
        made = [result(await counter.ask(quote(show.buyer, order)))["id"] for order in orders]
    payments = [int(str(one)) for one in made]
    waiting = iter(payments)

    async def pay_next() -> bytes:
        return await counter.send(confirm(show.buyer, next(waiting), fresh_hash()))

    async def paid(uuid: bytes) -> None:
        assert (await counter.outcome(uuid, within=END_SECONDS)).status_code == 200

    async with staff(counter.settings, "inventory", "order", "relay", "notify"):
        async with outslept(city, books, "payment", point=point, give=pay_next, done=paid):
            await paid(await pay_next())
        await proven(books)
    assert [status for status, _ in await show.statuses()] == ["CONFIRMED"] * 2
    assert len(await receipts(books, *payments)) == 2


@pytest.mark.full
@pytest.mark.parametrize("point", ["expiry.selected", "expiry.written"])
async def test_the_sweep_sleeps(
    city: Processes, counter: Desk, books: Database, show: Show, point: str
) -> None:
    """Another sweeps meanwhile: each order expires once, its ticket is back once."""

    async def expired(uuid: bytes) -> None:
        async def look() -> bool:
            sql = "SELECT status FROM orders WHERE command_id = %s"
            return await books.read(sql, uuid) == [("EXPIRED",)]

        await eventually(look, within=END_SECONDS)

    async with staff(counter.settings, "inventory", "relay", "notify", "payment"):
        async with outslept(
            city, books, "order", point=point, give=show.overdue, done=expired, cut=False
        ):
            await expired(await show.overdue())
        await proven(books)
    assert await show.statuses() == [("EXPIRED", 2)] * 2
    assert await show.available() == TICKETS


@pytest.mark.full
@pytest.mark.parametrize("point", ["relay.selected", "relay.published"])
async def test_the_relay_sleeps(
    city: Processes, counter: Desk, books: Database, show: Show, point: str
) -> None:
    """Another relays meanwhile what the sleeper has sent, or will: heard twice, and the tickets are back once."""
    heard = await listen(counter, "order.cancelled.*")
    async with staff(counter.settings, "inventory", "order", "payment", "notify"):
        async with staff(counter.settings, "relay-9"):
            orders = [await show.placed() for _ in range(2)]
            await proven(books)
        waiting = iter(orders)

        async def cancel_next() -> int:
            left = await show.available()
            result(await counter.ask(cancel(show.buyer, next(waiting))))
            return left + 1

        async def back(wanted: int) -> None:
            async def look() -> bool:
                relayed = await books.read("SELECT COUNT(*) FROM outbox") == [(0,)]
                return relayed and await show.available() == wanted

            await eventually(look, within=END_SECONDS)

        async with outslept(
            city, books, "relay", point=point, give=cancel_next, done=back, cut=False
        ):
            await back(await cancel_next())
            await proven(books)
    times = Counter(one["data"]["order"]["id"] for one in await heard())
    assert [times[order] for order in orders] == [2, 1]
    assert await show.statuses() == [("CANCELLED", 2)] * 2
    assert await show.available() == TICKETS


@pytest.mark.full
@pytest.mark.parametrize("point", ["worker.written", "worker.committed"])
async def test_notify_sleeps_while_it_listens(
    city: Processes, counter: Desk, books: Database, show: Show, point: str
) -> None:
    """Another listens meanwhile: for the buyer's webhook each order is written down once."""
    endpoint = await hook(books, show.buyer, "order.placed")

    async def written(uuid: bytes) -> None:
        order = result(await counter.outcome(uuid))["id"]

        async def look() -> bool:
            return (await written_for(books, endpoint))[f"order:{order}"] == 1

        await eventually(look, within=END_SECONDS)

    async with staff(counter.settings, "inventory", "relay", "payment", "order"):
        async with outslept(city, books, "notify", point=point, give=show.order, done=written):
            await written(await show.order())
        await proven(books)
    assert sorted((await written_for(books, endpoint)).values()) == [1, 1]


@pytest.mark.full
@pytest.mark.parametrize("point", ["worker.written", "worker.committed"])
async def test_quote_sleeps_while_a_provider_reports(
    city: Processes, counter: Desk, books: Database, places: Scratch, point: str
) -> None:
    """Another takes the report meanwhile: each is stored and told once, none is taken for a repeat."""
    heard = await listen(counter, "rate.updated")
    reported = ["30.01", "30.02"]
    waiting = iter(reported)
    await priced(books, ASSET, "30")
    async with provider(places) as acme, connected(acme["amqpUrl"]) as channel:

        async def report() -> str:
            rate = next(waiting)
            sent = message(fields(ASSET, rate), acme["brokerUser"])
            await publish(channel, f"rates.{acme['name']}.{ASSET}", sent)
            return rate

        async def stored(rate: str) -> None:
            async def look() -> bool:
                rows = await books.read(
                    "SELECT rate FROM rates WHERE asset = %s AND source <> %s", ASSET, SEED
                )
                return [f"{row[0]:.2f}" for row in rows] == [rate]

            await eventually(look, within=END_SECONDS)

        async with outslept(city, books, "quote", point=point, give=report, done=stored):
            await stored(await report())
        async with staff(counter.settings, "relay", "notify"):
            await proven(books)
    assert told(await heard(), ASSET) == reported
    assert await books.read("SELECT reason FROM rate_quarantine WHERE asset = %s", ASSET) == []
