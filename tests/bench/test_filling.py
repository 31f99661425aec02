"""Filled tables: the books of a finished sale, which the audit accepts and the processes can go on with."""

from collections.abc import AsyncIterator

import pytest

from db.audit import audit
from db.mysql.database import Database
from scripts.benching.loads.many_accounts import add_accounts
from scripts.benching.systems.filling import fill
from tests.harness.accounts import person
from tests.harness.command_client import command_client, place, result
from tests.harness.scratch import Scratch, scratch_servers
from tests.harness.workers import running_workers

COUNTED = ("orders", "order_details", "order_history", "payments", "tickets", "command_outcomes")


@pytest.fixture(scope="module")
async def scratch() -> AsyncIterator[Scratch]:
    """Scratch servers of this module's own: other tests count rows."""
    async with scratch_servers() as made:
        yield made


@pytest.fixture
async def database(scratch: Scratch) -> AsyncIterator[Database]:
    """A pool on them."""
    opened = await Database.connect(scratch.mysql_url)
    yield opened
    await opened.close()


async def counts(database: Database) -> dict[str, int]:
    """How many rows the tables have."""
    return {
        table: (await database.read(f"SELECT COUNT(*) FROM {table}"))[0][0] for table in COUNTED
    }


async def test_filled_books_are_right_and_can_be_gone_on_with(
    scratch: Scratch, database: Database
) -> None:
    """A thousand orders twice over, five of ten paid: the audit accepts all of it, and a filled type still sells."""
    [organizer], _ = await add_accounts(database, ["filler@example.test"], "!", ("ORGANIZER",))
    first = await fill(scratch.mysql_url, organizer, orders=1000, events=10)
    assert await counts(database) == {
        "orders": 1000,
        "order_details": 1000,
        "order_history": 1000,
        "payments": 500,
        "tickets": 500,
        "command_outcomes": 2000,
    }
    again = await fill(scratch.mysql_url, organizer, orders=30, events=2, paid=0)
    assert again.orders == 40, "whole batches of each type"
    assert not set(again.ticket_types) & set(first.ticket_types)
    async with (
        command_client(scratch, database, shards=2) as client,
        running_workers(client.settings, "inventory"),
    ):
        buyer = await person(database)
        order = place(buyer, first.events[3], (first.ticket_types[3], 2))
        assert result(await client.ask(order))["userId"] == buyer.principal.user_id
    assert (await counts(database))["orders"] == 1041
    report = await audit(database)
    assert report.ok, report.to_json()


async def test_events_alone_are_for_sale(scratch: Scratch, database: Database) -> None:
    """Without orders there are only events with their types and the first step of their ledgers."""
    before = await counts(database)
    [organizer], _ = await add_accounts(database, ["shows@example.test"], "!", ("ORGANIZER",))
    filled = await fill(scratch.mysql_url, organizer, events=300, quota=7)
    assert len(filled.events) == len(filled.ticket_types) == 300
    assert await counts(database) == before
    rows = await database.read(
        "SELECT COUNT(*), SUM(available) FROM ticket_types t JOIN events e ON e.id = t.event_id "
        "WHERE e.organizer_id = %s",
        organizer,
    )
    assert [int(value) for value in rows[0]] == [300, 2100]
    assert (await audit(database)).ok


async def test_more_orders_than_tickets_are_refused(scratch: Scratch) -> None:
    """Books that cannot be are not written."""
    with pytest.raises(ValueError, match="not enough"):
        await fill(scratch.mysql_url, 1, orders=1000, events=1, quota=50)
