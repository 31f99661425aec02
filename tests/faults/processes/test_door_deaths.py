"""kill -9 at every step of those who decide about tickets: one ruling each, one admission, the audit finds nothing."""

import pytest

from contracts.commands import TransferTicket
from contracts.outcomes import Outcome
from db.mysql.database import Database
from tests.faults.deaths import DECIDES, die_at_each
from tests.faults.proof import ends, proven
from tests.faults.sale_setup import Show, open_show
from tests.harness.accounts import person
from tests.harness.command_client import FINGERPRINT, CommandClient, result
from tests.harness.processes import Processes
from tests.harness.workers import running_workers
from tests.integration.audit.entries import code_of, new_gate, record
from tests.integration.payments.payment_client import body, confirm, fresh_hash, quote, set_rate

pytestmark = pytest.mark.timeout(300)


async def paid(client: CommandClient, database: Database, show: Show, count: int) -> list[int]:
    """The ids of so many tickets, each of an order of its own."""
    await set_rate(database, "BTC", "50000")
    ids: list[int] = []
    async with running_workers(client.settings, "inventory", "payment", "relay", "notify", "order"):
        for _ in range(count):
            order = await show.placed()
            payment = result(await client.ask(quote(show.buyer, order)))["id"]
            result(await client.ask(confirm(show.buyer, int(str(payment)), fresh_hash())))
            rows = await database.read("SELECT id FROM tickets WHERE order_id = %s", order)
            ids += [row[0] for row in rows]
    assert len(ids) == count
    return ids


def rulings(found: list[Outcome]) -> list[str]:
    """What each call's one scan ended in."""
    return [body(one)["results"][0]["ruling"] for one in found]


async def test_admission_dies_while_people_come_in(
    processes: Processes, client: CommandClient, database: Database
) -> None:
    """Six deaths over six tickets: each is let in once, and the second time it was used."""
    show = await open_show(client, database)
    tickets = await paid(client, database, show, len(DECIDES))
    gate = await new_gate(client, show.organizer, show.event_id, "North")
    codes = [await code_of(client, one) for one in tickets]
    waiting = iter(codes)

    async def scan_next() -> bytes:
        return await client.send(record(gate, next(waiting)))

    sent = await die_at_each(processes, "admission-1", DECIDES, scan_next)
    assert rulings(await ends(database, sent)) == ["ADMITTED"] * len(DECIDES)
    again = [await client.send(record(gate, code)) for code in codes]
    assert rulings(await ends(database, again)) == ["ALREADY_USED"] * len(DECIDES)
    async with running_workers(client.settings, "relay", "notify"):
        await proven(database)


@pytest.mark.full
async def test_order_dies_while_tickets_change_hands(
    processes: Processes, client: CommandClient, database: Database
) -> None:
    """Six deaths over six transfers: each ticket has its new holder, one version further."""
    show = await open_show(client, database)
    friend = await person(database)
    tickets = await paid(client, database, show, len(DECIDES))
    waiting = iter(tickets)

    async def give_next() -> bytes:
        command = TransferTicket(
            principal=show.buyer.principal,
            fingerprint=FINGERPRINT,
            ticket_id=next(waiting),
            to_user_id=friend.id,
        )
        return await client.send(command)

    sent = await die_at_each(processes, "order-1", DECIDES, give_next)
    given = [result(one) for one in await ends(database, sent)]
    assert [(one["holderId"], one["version"]) for one in given] == [(friend.id, 2)] * len(DECIDES)
    async with running_workers(client.settings, "relay", "notify", "inventory", "payment"):
        await proven(database)


@pytest.mark.full
async def test_inventory_dies_while_it_gives_tickets_away(
    processes: Processes, client: CommandClient, database: Database
) -> None:
    """Six deaths over six free orders: each is confirmed, with its one ticket."""
    show = await open_show(client, database, price="0.00")
    sent = await die_at_each(processes, "inventory-1", DECIDES, show.order)
    given = [result(one) for one in await ends(database, sent)]
    assert [one["status"] for one in given] == ["CONFIRMED"] * len(DECIDES)
    rows = await database.read(
        "SELECT order_id, COUNT(*) FROM tickets WHERE event_id = %s GROUP BY order_id ORDER BY order_id",
        show.event_id,
    )
    assert rows == [(order, 1) for order in sorted(one["id"] for one in given)]
    async with running_workers(client.settings, "relay", "notify", "payment"):
        await proven(database)
