"""Adding, cancelling, expiring, giving back: the life of an unpaid order on real servers."""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest

from contracts.commands import AddItems, CancelOrder, OrderItem
from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.command_client import FINGERPRINT, CommandClient, command_client, place, result
from tests.harness.scratch import Scratch
from tests.harness.waiting import eventually
from tests.harness.workers import running_workers


@pytest.fixture(scope="module")
async def client(scratch: Scratch, database: Database) -> AsyncIterator[CommandClient]:
    """A command client with inventory, order and relay behind it."""
    async with (
        command_client(scratch, database) as opened,
        running_workers(opened.settings, "inventory", "order", "relay"),
    ):
        yield opened


@pytest.fixture
async def organizer(database: Database) -> Person:
    return await person(database, "ORGANIZER")


@pytest.fixture
async def buyer(database: Database) -> Person:
    return await person(database)


def add(who: Person, event_id: int, order_id: int, *pairs: tuple[int, int]) -> AddItems:
    wanted = tuple(OrderItem(ticket_type_id=one, quantity=quantity) for one, quantity in pairs)
    return AddItems(
        principal=who.principal,
        fingerprint=FINGERPRINT,
        event_id=event_id,
        order_id=order_id,
        items=wanted,
    )


def cancel(who: Person, order_id: int) -> CancelOrder:
    return CancelOrder(principal=who.principal, fingerprint=FINGERPRINT, order_id=order_id)


async def available(database: Database, type_id: int) -> int:
    rows = await database.read("SELECT available FROM ticket_types WHERE id = %s", type_id)
    count: int = rows[0][0]
    return count


async def all_back(database: Database, type_id: int, count: int) -> None:
    async def look() -> bool:
        return await available(database, type_id) == count

    await eventually(look)


async def let_expire(database: Database, order_id: int) -> None:
    """Its deadline has passed a second ago."""
    await database.write(
        "UPDATE orders SET created_at = created_at - INTERVAL 1 HOUR, "
        "expires_at = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND WHERE id = %s",
        order_id,
    )


async def test_added_items_join_the_unpaid_order(
    client: CommandClient, database: Database, organizer: Person, buyer: Person
) -> None:
    """Same type and price: one line, summed; the total grows; the deadline stays."""
    event_id, (one, two) = await client.sale(organizer, 10, 10)
    order = result(await client.ask(place(buyer, event_id, (one, 2))))
    added = result(await client.ask(add(buyer, event_id, order["id"], (one, 1), (two, 1))))
    assert added["totalCost"] == "199.60"
    assert [(line["ticketTypeId"], line["quantity"]) for line in added["details"]] == [
        (one, 3),
        (two, 1),
    ]
    assert added["expiresAt"] == order["expiresAt"]
    assert added["version"] == 2


async def test_the_limit_of_an_order_holds_over_concurrent_additions(
    client: CommandClient, database: Database, organizer: Person, buyer: Person
) -> None:
    """At most four: of six additions of one at the same time to an order of one, three succeed."""
    event_id, (one,) = await client.sale(organizer, 50, max_per_order=4)
    order = result(await client.ask(place(buyer, event_id, (one, 1))))
    sent = [await client.send(add(buyer, event_id, order["id"], (one, 1))) for _ in range(6)]
    codes = [(await client.outcome(uuid)).code for uuid in sent]
    assert (codes.count(None), codes.count("LIMIT_EXCEEDED")) == (3, 3)


async def test_nobody_adds_to_a_foreign_order(
    client: CommandClient, database: Database, organizer: Person, buyer: Person
) -> None:
    """404, as if it were not there; nor does an unknown one say more."""
    event_id, (one,) = await client.sale(organizer)
    order = result(await client.ask(place(buyer, event_id, (one, 1))))
    stranger = await person(database)
    for order_id in (order["id"], 10**12):
        outcome = await client.ask(add(stranger, event_id, order_id, (one, 1)))
        assert outcome.code == "NOT_FOUND"
    assert await available(database, one) == 9


async def test_a_cancelled_order_gives_its_tickets_back_once(
    client: CommandClient, database: Database, organizer: Person, buyer: Person
) -> None:
    """Cancelled twice: the second is refused; the tickets are back once."""
    event_id, (one,) = await client.sale(organizer)
    order = result(await client.ask(place(buyer, event_id, (one, 4))))
    cancelled = result(await client.ask(cancel(buyer, order["id"])))
    assert cancelled["status"] == "CANCELLED"
    again = await client.ask(cancel(buyer, order["id"]))
    assert again.code == "ORDER_NOT_PENDING"
    await all_back(database, one, 10)


async def test_who_may_cancel(
    client: CommandClient, database: Database, organizer: Person, buyer: Person
) -> None:
    """A stranger gets 404, an admin may."""
    event_id, (one,) = await client.sale(organizer)
    order = result(await client.ask(place(buyer, event_id, (one, 1))))
    assert (await client.ask(cancel(await person(database), order["id"]))).code == "NOT_FOUND"
    admin = await person(database, "ADMIN")
    assert result(await client.ask(cancel(admin, order["id"])))["status"] == "CANCELLED"


async def test_an_expired_orders_tickets_come_back(
    client: CommandClient, database: Database, organizer: Person, buyer: Person
) -> None:
    """Past its deadline: EXPIRED by the sweep, tickets on sale again, cancel refused."""
    event_id, (one,) = await client.sale(organizer)
    order = result(await client.ask(place(buyer, event_id, (one, 3))))
    await let_expire(database, order["id"])
    await all_back(database, one, 10)
    rows = await database.read("SELECT status FROM orders WHERE id = %s", order["id"])
    assert rows[0][0] == "EXPIRED"
    refused = await client.ask(cancel(buyer, order["id"]))
    assert "EXPIRED" in orjson.loads(refused.body)["detail"]


async def test_cancel_against_expiry_has_one_winner(
    client: CommandClient, database: Database, organizer: Person, buyer: Person
) -> None:
    """Twelve orders at their deadline, cancelled at the same moment: each ends once, all tickets are back."""
    event_id, (one,) = await client.sale(organizer, 12)
    sent = [await client.send(place(buyer, event_id, (one, 1))) for _ in range(12)]
    orders = [result(await client.outcome(uuid))["id"] for uuid in sent]

    async def end(order_id: int) -> str | None:
        uuid, _ = await asyncio.gather(
            client.send(cancel(buyer, order_id)), let_expire(database, order_id)
        )
        return (await client.outcome(uuid)).code

    codes = await asyncio.gather(*(end(int(order_id)) for order_id in orders))
    assert set(codes) <= {None, "ORDER_NOT_PENDING"}
    await all_back(database, one, 12)
    rows = await database.read(
        "SELECT COUNT(*) FROM order_history h JOIN orders o ON o.id = h.order_id "
        "WHERE o.event_id = %s AND h.status IN ('CANCELLED', 'EXPIRED')",
        event_id,
    )
    assert rows[0][0] == 12


async def test_a_sale_window_that_closes_refuses_from_its_instant_on(
    client: CommandClient, database: Database, organizer: Person, buyer: Person
) -> None:
    """The database's clock decides: before salesEnd granted, after it SALES_CLOSED."""
    event_id, (one,) = await client.sale(organizer)
    assert (await client.ask(place(buyer, event_id, (one, 1)))).status_code == 201
    await database.write("UPDATE ticket_types SET sales_end = UTC_TIMESTAMP(6) WHERE id = %s", one)
    assert (await client.ask(place(buyer, event_id, (one, 1)))).code == "SALES_CLOSED"


async def test_roles_are_checked_again_behind_the_queue(
    client: CommandClient, database: Database, organizer: Person
) -> None:
    """An organizer without USER cannot order, even when a gateway let the command through."""
    event_id, (one,) = await client.sale(organizer)
    assert (await client.ask(place(organizer, event_id, (one, 1)))).code == "FORBIDDEN"
