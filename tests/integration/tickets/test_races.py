"""At the same instant: a scan and a refund, a scan and a transfer. One of them was first, never both."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from contracts.commands import TransferTicket
from contracts.tickets.ticket import TicketStatus
from db.mysql.database import Database, Transaction
from db.tickets import tickets
from tests.harness.accounts import Person, person
from tests.harness.command_client import FINGERPRINT, CommandClient, command_client, result
from tests.harness.scratch import scratch_servers
from tests.harness.workers import running_workers
from tests.integration.audit.entries import code_of, new_gate, record
from tests.integration.payments.payment_client import (
    Sold,
    body,
    confirm,
    fresh_hash,
    quote,
    set_rate,
    unpaid,
)

TIMES = 10


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[CommandClient]:
    """A place of its own: what a refund leaves without one, the audit would find."""
    async with scratch_servers() as scratch:
        database = await Database.connect(scratch.mysql_url)
        workers = ("inventory", "order", "payment", "admission", "admission-2", "relay")
        async with (
            command_client(scratch, database) as opened,
            running_workers(opened.settings, *workers),
        ):
            await set_rate(database, "BTC", "50000")
            yield opened
        await database.close()


async def paid(client: CommandClient) -> tuple[Sold, list[int]]:
    """An order of ten, and its tickets."""
    sold = await unpaid(client, TIMES)
    payment = result(await client.ask(quote(sold.buyer, sold.order_id)))["id"]
    result(await client.ask(confirm(sold.buyer, int(str(payment)), fresh_hash())))
    rows = await client.database.read(
        "SELECT id FROM tickets WHERE order_id = %s ORDER BY id", sold.order_id
    )
    return sold, [row[0] for row in rows]


async def refund_if_unused(database: Database, ticket_id: int) -> bool:
    """What a refund does with a ticket: void unless it was used; whether it is void now."""

    async def work(transaction: Transaction) -> bool:
        locked = await tickets.lock(transaction, [ticket_id])
        now = await transaction.now()
        good = [one for one in locked.values() if one.status == TicketStatus.VALID]
        tickets.make_void(transaction, good, now)
        return bool(good)

    return await database.run(work)


async def test_a_refund_and_a_scan_at_the_same_instant(client: CommandClient) -> None:
    """Void or used, never both."""
    sold, ids = await paid(client)
    gate = await new_gate(client, sold.organizer, sold.event_id, "North")
    seen = set()
    for number, ticket_id in enumerate(ids):
        code = await code_of(client, ticket_id)

        async def refund(ticket_id: int = ticket_id, late: float = number / 1000) -> bool:
            await asyncio.sleep(late)
            return await refund_if_unused(client.database, ticket_id)

        outcome, void = await asyncio.gather(client.ask(record(gate, code)), refund())
        [told] = body(outcome)["results"]
        [row] = await client.database.read(
            "SELECT status, used_at IS NOT NULL FROM tickets WHERE id = %s", ticket_id
        )
        assert (told["ruling"], *row) in {("ADMITTED", "USED", 1), ("VOID", "VOID", 0)}
        assert void == (told["ruling"] == "VOID")
        seen.add(told["ruling"])
    assert seen


async def test_a_transfer_and_a_scan_at_the_same_instant(client: CommandClient) -> None:
    """Transferred before it was used, or used and no longer to be transferred."""
    sold, ids = await paid(client)
    friend: Person = await person(client.database)
    gate = await new_gate(client, sold.organizer, sold.event_id, "North")
    for ticket_id in ids:
        code = await code_of(client, ticket_id)
        give = TransferTicket(
            principal=sold.buyer.principal,
            fingerprint=FINGERPRINT,
            ticket_id=ticket_id,
            to_user_id=friend.id,
        )
        scanned, given = await asyncio.gather(client.ask(record(gate, code)), client.ask(give))
        [told] = body(scanned)["results"]
        assert (told["ruling"], given.code) in {("ADMITTED", "TICKET_USED"), ("VOID", None)}
