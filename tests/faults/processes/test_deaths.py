"""kill -9 at every step of every worker: each command has one outcome, and the audit finds nothing.

Real processes; the victim dies at a failpoint, its next life at the next one, the last life finishes.
"""

from collections.abc import Awaitable, Callable

import pytest

from contracts.commands import PublishRate
from contracts.outcomes import Outcome
from contracts.runtime.times import from_sql, to_wire
from db.mysql.database import Database
from tests.faults.deaths import DECIDES, EXPIRES, REACTS, RELAYS, die_at_each
from tests.faults.listening import hook, listen, told, written_for
from tests.faults.proof import END_SECONDS, ends, proven
from tests.faults.sale_setup import TICKETS, Show, open_show
from tests.harness.accounts import Person, person
from tests.harness.command_client import FINGERPRINT, CommandClient, result
from tests.harness.processes import Processes
from tests.harness.rates import SEED, priced
from tests.harness.waiting import eventually
from tests.harness.workers import running_workers
from tests.integration.payments.payment_client import cancel, confirm, fresh_hash, quote, set_rate

pytestmark = pytest.mark.timeout(300)

ASSET = "XMR"


@pytest.fixture
async def show(client: CommandClient, database: Database) -> Show:
    """A show with forty tickets, made while everybody lives."""
    return await open_show(client, database)


def statuses(found: list[Outcome]) -> list[int]:
    """The status of each."""
    return [outcome.status_code for outcome in found]


async def test_inventory_dies_while_it_sells(
    processes: Processes, client: CommandClient, database: Database, show: Show
) -> None:
    """Six deaths, six orders: six tickets fewer, not seven, not five."""
    sent = await die_at_each(processes, "inventory-1", DECIDES, show.order)
    assert statuses(await ends(database, sent)) == [201] * len(DECIDES)
    assert await show.available() == TICKETS - len(DECIDES)
    async with running_workers(client.settings, "relay", "notify", "payment"):
        await proven(database)


async def test_inventory_dies_while_tickets_come_back(
    processes: Processes, client: CommandClient, database: Database, show: Show
) -> None:
    """Five deaths over five cancelled orders: every ticket is back, once."""
    async with running_workers(client.settings, "inventory-1"):
        orders = [await show.placed() for _ in REACTS]
    waiting = iter(orders)

    async def give_back() -> bytes:
        return await client.send(cancel(show.buyer, next(waiting)))

    async with running_workers(client.settings, "order", "relay", "notify", "payment"):
        sent = await die_at_each(processes, "inventory-1", REACTS, give_back)
        assert statuses(await ends(database, sent)) == [200] * len(REACTS)
        await proven(database)
    assert await show.available() == TICKETS


@pytest.mark.full
async def test_order_dies_while_it_cancels(
    processes: Processes, client: CommandClient, database: Database, show: Show
) -> None:
    """Six deaths over six cancellations: each cancelled once."""
    async with running_workers(client.settings, "inventory", "relay", "notify", "payment"):
        orders = iter([await show.placed() for _ in DECIDES])

        async def cancel_next() -> bytes:
            return await client.send(cancel(show.buyer, next(orders)))

        sent = await die_at_each(processes, "order-1", DECIDES, cancel_next)
        assert statuses(await ends(database, sent)) == [200] * len(DECIDES)
        await proven(database)
    assert await show.available() == TICKETS


@pytest.mark.full
async def test_the_sweep_dies(
    processes: Processes, client: CommandClient, database: Database, show: Show
) -> None:
    """Three deaths of the sweep: orders past their time end once, their tickets come back once."""
    async with running_workers(client.settings, "inventory", "relay", "notify", "payment"):
        sent = await die_at_each(processes, "order-1", EXPIRES, show.overdue)
        await proven(database)
    assert await show.statuses() == [("EXPIRED", 2)] * len(sent)
    assert await show.available() == TICKETS


@pytest.mark.full
async def test_payment_dies_while_it_quotes_and_confirms(
    processes: Processes, client: CommandClient, database: Database, show: Show
) -> None:
    """Six deaths over quotes, six over confirmations: one payment each, paid once each."""
    await set_rate(database, "BTC", "50000")
    async with running_workers(client.settings, "inventory", "relay", "notify", "order"):
        unpaid = iter([await show.placed() for _ in DECIDES])

        async def quote_next() -> bytes:
            return await client.send(quote(show.buyer, next(unpaid)))

        quoted = await die_at_each(processes, "payment-1", DECIDES, quote_next, last=False)
        life = await processes.start("payment-1")
        made = await ends(database, quoted)
        assert statuses(made) == [201] * len(DECIDES)
        await life.kill()
        payments = iter([result(one)["id"] for one in made])

        async def pay_next() -> bytes:
            return await client.send(confirm(show.buyer, int(str(next(payments))), fresh_hash()))

        paid = await die_at_each(processes, "payment-1", DECIDES, pay_next)
        assert statuses(await ends(database, paid)) == [200] * len(DECIDES)
        await proven(database)


@pytest.mark.full
async def test_quote_dies_while_rates_arrive(
    processes: Processes, client: CommandClient, database: Database
) -> None:
    """Six deaths over six reports of a rate: each is stored and told once, the last one stands."""
    provider = await person(database, "PROVIDER")
    await priced(database, ASSET, "2000")
    heard = await listen(client, "rate.updated")
    reported = [f"2000.{number:02d}" for number in range(1, len(DECIDES) + 1)]
    waiting = iter(reported)

    async def report() -> bytes:
        return await client.send(await _rate(database, provider, next(waiting)))

    sent = await die_at_each(processes, "quote-1", DECIDES, report)
    assert statuses(await ends(database, sent)) == [200] * len(DECIDES)
    stored = await database.read(
        "SELECT rate FROM rates WHERE asset = %s AND source <> %s", ASSET, SEED
    )
    assert [f"{row[0]:.2f}" for row in stored] == reported[-1:]
    async with running_workers(client.settings, "relay", "notify"):
        await proven(database)
    assert told(await heard(), ASSET) == reported


async def test_relay_dies_between_outbox_and_broker(
    processes: Processes, client: CommandClient, database: Database, show: Show
) -> None:
    """Three deaths: each event of each order reaches a listener at least once, the outbox ends empty."""
    heard = await listen(client, "order.placed")
    async with running_workers(client.settings, "inventory", "notify", "payment", "order"):

        async def decided() -> bytes:
            uuid = await show.order()
            await client.outcome(uuid)
            return uuid

        sent = await die_at_each(processes, "relay-1", RELAYS, decided)
        made = [result(one)["id"] for one in await ends(database, sent)]
        await proven(database)

    async def all_heard() -> bool:
        return set(made) <= {one["data"]["order"]["id"] for one in await heard()}

    assert await eventually(all_heard, within=END_SECONDS)


@pytest.mark.full
async def test_notify_dies_while_it_listens(
    processes: Processes, client: CommandClient, database: Database, show: Show
) -> None:
    """Five deaths over five orders: for the buyer's webhook each is written down once, none is left on the queue."""
    endpoint = await hook(database, show.buyer, "order.placed")
    async with running_workers(client.settings, "inventory", "relay", "payment", "order"):
        sent = await die_at_each(processes, "notify-1", REACTS, show.order)
        orders = {f"order:{result(one)['id']}" for one in await ends(database, sent)}

        async def all_written() -> bool:
            return set(await written_for(database, endpoint)) == orders

        assert await eventually(all_written, within=END_SECONDS)
        assert await eventually(_empty(client, "notify"), within=END_SECONDS, every=0.2)
        await proven(database)
    assert await written_for(database, endpoint) == dict.fromkeys(orders, 1)


def _empty(client: CommandClient, queue: str) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        channel = client.publisher._link.channel
        declared = await channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count == 0

    return look


async def _rate(database: Database, provider: Person, rate: str) -> PublishRate:
    """What a provider reports now of an asset that no feed knows."""
    rows = await database.read("SELECT UTC_TIMESTAMP(6)")
    return PublishRate(
        principal=provider.principal,
        fingerprint=FINGERPRINT,
        asset=ASSET,
        currency="USD",
        rate=rate,
        observed_at=to_wire(from_sql(rows[0][0])),
    )
