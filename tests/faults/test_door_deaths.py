"""kill -9 at every step of those who decide about tickets: one ruling each, one admission, the audit finds nothing."""

import pytest

from contracts.commands import TransferTicket
from contracts.outcomes import Outcome
from db.mysql.database import Database
from tests.faults.deaths import DECIDES, die_at_each
from tests.faults.proof import ends, proven
from tests.faults.shows import Show, open_show
from tests.harness.desk import FINGERPRINT, Desk, result
from tests.harness.people import person
from tests.harness.processes import Processes
from tests.harness.staff import staff
from tests.integration.audit.entries import code_of, new_gate, record
from tests.integration.payments.till import body, confirm, fresh_hash, quote, set_rate

pytestmark = pytest.mark.timeout(300)


async def paid(counter: Desk, books: Database, show: Show, count: int) -> list[int]:
    """The ids of so many tickets, each of an order of its own."""
    await set_rate(books, "BTC", "50000")
    ids: list[int] = []
    async with staff(counter.settings, "inventory", "payment", "relay", "notify", "order"):
        for _ in range(count):
            order = await show.placed()
            payment = result(await counter.ask(quote(show.buyer, order)))["id"]
            result(await counter.ask(confirm(show.buyer, int(str(payment)), fresh_hash())))
            rows = await books.read("SELECT id FROM tickets WHERE order_id = %s", order)
            ids += [row[0] for row in rows]
    assert len(ids) == count
    return ids


def rulings(found: list[Outcome]) -> list[str]:
    """What each call's one scan ended in."""
    return [body(one)["results"][0]["ruling"] for one in found]


async def test_admission_dies_while_people_come_in(
    city: Processes, counter: Desk, books: Database
) -> None:
    """Six deaths over six tickets: each is let in once, and the second time it was used."""
    show = await open_show(counter, books)
    tickets = await paid(counter, books, show, len(DECIDES))
    gate = await new_gate(counter, show.organizer, show.event_id, "North")
    codes = [await code_of(counter, one) for one in tickets]
    waiting = iter(codes)

    async def scan_next() -> bytes:
        return await counter.send(record(gate, next(waiting)))

    sent = await die_at_each(city, "admission-1", DECIDES, scan_next)
    assert rulings(await ends(books, sent)) == ["ADMITTED"] * len(DECIDES)
    again = [await counter.send(record(gate, code)) for code in codes]
    assert rulings(await ends(books, again)) == ["ALREADY_USED"] * len(DECIDES)
    async with staff(counter.settings, "relay", "notify"):
        await proven(books)


@pytest.mark.full
async def test_order_dies_while_tickets_change_hands(
    city: Processes, counter: Desk, books: Database
) -> None:
    """Six deaths over six transfers: each ticket has its new holder, one version further."""
    show = await open_show(counter, books)
    friend = await person(books)
    tickets = await paid(counter, books, show, len(DECIDES))
    waiting = iter(tickets)

    async def give_next() -> bytes:
        command = TransferTicket(
            principal=show.buyer.principal,
            fingerprint=FINGERPRINT,
            ticket_id=next(waiting),
            to_user_id=friend.id,
        )
        return await counter.send(command)

    sent = await die_at_each(city, "order-1", DECIDES, give_next)
    given = [result(one) for one in await ends(books, sent)]
    assert [(one["holderId"], one["version"]) for one in given] == [(friend.id, 2)] * len(DECIDES)
    async with staff(counter.settings, "relay", "notify", "inventory", "payment"):
        await proven(books)
