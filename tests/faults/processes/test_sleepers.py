"""A process sleeps in the middle of its work for longer than its leases, its locks and its sessions last.

Another one does that work meanwhile. The sleeper wakes where it was, believes what it believed, and must change
nothing; then it serves again, alone.
"""

from collections import Counter

import pytest

from db.mysql.database import Database
from tests.faults.listening import hook, listen, told, written_for
from tests.faults.proof import END_SECONDS, ends, proven
from tests.faults.sale_setup import TICKETS, Show, open_show
from tests.faults.sleepers import outslept
from tests.harness.command_client import CommandClient, result
from tests.harness.processes import Processes
from tests.harness.rates import SEED, priced
from tests.harness.scratch import Scratch
from tests.harness.waiting import eventually
from tests.harness.workers import running_workers
from tests.integration.payments.payment_client import (
    cancel,
    confirm,
    fresh_hash,
    quote,
    receipts,
    set_rate,
)
from tests.integration.rates.broker import connected, fields, message, provider, publish

pytestmark = pytest.mark.timeout(300)

ASSET = "ZEC"


@pytest.fixture
async def show(client: CommandClient, database: Database) -> Show:
    """A show with forty tickets, made while everybody lives."""
    return await open_show(client, database)


@pytest.mark.parametrize(
    "point",
    [
        "worker.locked",
        pytest.param("worker.written", marks=pytest.mark.full),
        pytest.param("worker.committed", marks=pytest.mark.full),
    ],
)
async def test_inventory_sleeps_while_it_sells(
    processes: Processes, client: CommandClient, database: Database, show: Show, point: str
) -> None:
    """Its shard, its seat lock and its session lapse, another sells that ticket: one order, one ticket fewer."""

    async def sold(uuid: bytes) -> None:
        assert (await client.outcome(uuid, within=END_SECONDS)).status_code == 201

    async with outslept(
        processes, database, "inventory", point=point, give=show.order, done=sold
    ) as first:
        await sold(await show.order())
        [outcome] = await ends(database, [first])
        assert outcome.status_code == 201
    assert await show.available() == TICKETS - 2
    assert len(await show.statuses()) == 2
    async with running_workers(client.settings, "relay", "notify", "payment"):
        await proven(database)


@pytest.mark.full
@pytest.mark.parametrize("point", ["worker.locked", "worker.written"])
async def test_payment_sleeps_while_it_confirms(
    processes: Processes, client: CommandClient, database: Database, show: Show, point: str
) -> None:
    """Another confirms meanwhile: one receipt for each payment, each order paid once."""
    await set_rate(database, "BTC", "50000")
    async with running_workers(client.settings, "inventory", "payment"):
        orders = [await show.placed() for _ in range(2)]
        made = [result(await client.ask(quote(show.buyer, order)))["id"] for order in orders]
    payments = [int(str(one)) for one in made]
    waiting = iter(payments)

    async def pay_next() -> bytes:
        return await client.send(confirm(show.buyer, next(waiting), fresh_hash()))

    async def paid(uuid: bytes) -> None:
        assert (await client.outcome(uuid, within=END_SECONDS)).status_code == 200

    async with running_workers(client.settings, "inventory", "order", "relay", "notify"):
        async with outslept(processes, database, "payment", point=point, give=pay_next, done=paid):
            await paid(await pay_next())
        await proven(database)
    assert [status for status, _ in await show.statuses()] == ["CONFIRMED"] * 2
    assert len(await receipts(database, *payments)) == 2


@pytest.mark.full
@pytest.mark.parametrize("point", ["expiry.selected", "expiry.written"])
async def test_the_sweep_sleeps(
    processes: Processes, client: CommandClient, database: Database, show: Show, point: str
) -> None:
    """Another sweeps meanwhile: each order expires once, its ticket is back once."""

    async def expired(uuid: bytes) -> None:
        async def look() -> bool:
            sql = "SELECT status FROM orders WHERE command_id = %s"
            return await database.read(sql, uuid) == [("EXPIRED",)]

        await eventually(look, within=END_SECONDS)

    async with running_workers(client.settings, "inventory", "relay", "notify", "payment"):
        async with outslept(
            processes, database, "order", point=point, give=show.overdue, done=expired, cut=False
        ):
            await expired(await show.overdue())
        await proven(database)
    assert await show.statuses() == [("EXPIRED", 2)] * 2
    assert await show.available() == TICKETS


@pytest.mark.full
@pytest.mark.parametrize("point", ["relay.selected", "relay.published"])
async def test_the_relay_sleeps(
    processes: Processes, client: CommandClient, database: Database, show: Show, point: str
) -> None:
    """Another relays meanwhile what the sleeper has sent, or will: heard twice, and the tickets are back once."""
    heard = await listen(client, "order.cancelled.*")
    async with running_workers(client.settings, "inventory", "order", "payment", "notify"):
        async with running_workers(client.settings, "relay-9"):
            orders = [await show.placed() for _ in range(2)]
            await proven(database)
        waiting = iter(orders)

        async def cancel_next() -> int:
            left = await show.available()
            result(await client.ask(cancel(show.buyer, next(waiting))))
            return left + 1

        async def back(wanted: int) -> None:
            async def look() -> bool:
                relayed = await database.read("SELECT COUNT(*) FROM outbox") == [(0,)]
                return relayed and await show.available() == wanted

            await eventually(look, within=END_SECONDS)

        async with outslept(
            processes, database, "relay", point=point, give=cancel_next, done=back, cut=False
        ):
            await back(await cancel_next())
            await proven(database)
    times = Counter(one["data"]["order"]["id"] for one in await heard())
    assert [times[order] for order in orders] == [2, 1]
    assert await show.statuses() == [("CANCELLED", 2)] * 2
    assert await show.available() == TICKETS


@pytest.mark.full
@pytest.mark.parametrize("point", ["worker.written", "worker.committed"])
async def test_notify_sleeps_while_it_listens(
    processes: Processes, client: CommandClient, database: Database, show: Show, point: str
) -> None:
    """Another listens meanwhile: for the buyer's webhook each order is written down once."""
    endpoint = await hook(database, show.buyer, "order.placed")

    async def written(uuid: bytes) -> None:
        order = result(await client.outcome(uuid))["id"]

        async def look() -> bool:
            return (await written_for(database, endpoint))[f"order:{order}"] == 1

        await eventually(look, within=END_SECONDS)

    async with running_workers(client.settings, "inventory", "relay", "payment", "order"):
        async with outslept(
            processes, database, "notify", point=point, give=show.order, done=written
        ):
            await written(await show.order())
        await proven(database)
    assert sorted((await written_for(database, endpoint)).values()) == [1, 1]


@pytest.mark.full
@pytest.mark.parametrize("point", ["worker.written", "worker.committed"])
async def test_quote_sleeps_while_a_provider_reports(
    processes: Processes, client: CommandClient, database: Database, scratch: Scratch, point: str
) -> None:
    """Another takes the report meanwhile: each is stored and told once, none is taken for a repeat."""
    heard = await listen(client, "rate.updated")
    reported = ["30.01", "30.02"]
    waiting = iter(reported)
    await priced(database, ASSET, "30")
    async with provider(scratch) as acme, connected(acme["amqpUrl"]) as channel:

        async def report() -> str:
            rate = next(waiting)
            sent = message(fields(ASSET, rate), acme["brokerUser"])
            await publish(channel, f"rates.{acme['name']}.{ASSET}", sent)
            return rate

        async def stored(rate: str) -> None:
            async def look() -> bool:
                rows = await database.read(
                    "SELECT rate FROM rates WHERE asset = %s AND source <> %s", ASSET, SEED
                )
                return [f"{row[0]:.2f}" for row in rows] == [rate]

            await eventually(look, within=END_SECONDS)

        async with outslept(processes, database, "quote", point=point, give=report, done=stored):
            await stored(await report())
        async with running_workers(client.settings, "relay", "notify"):
            await proven(database)
    assert told(await heard(), ASSET) == reported
    assert await database.read("SELECT reason FROM rate_quarantine WHERE asset = %s", ASSET) == []
