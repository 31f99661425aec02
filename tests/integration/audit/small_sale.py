"""A small sale in which everything happens once: held, sold, cancelled, expired, late money, every kind of step."""

from dataclasses import dataclass, fields

from db.mysql.database import Database
from tests.harness.accounts import person
from tests.harness.command_client import CommandClient, result
from tests.harness.waiting import eventually
from tests.integration.catalogue.management import (
    accepted,
    body,
    buy,
    cancel_event,
    create_event,
    create_type,
    delete_type,
    update_type,
)
from tests.integration.payments.payment_client import (
    add,
    age,
    cancel,
    confirm,
    fresh_hash,
    quote,
    set_rate,
)


@dataclass(frozen=True, slots=True)
class SmallSale:
    """Ids to write wrong things about."""

    database: Database
    event_id: int
    off: int
    """A cancelled event without orders."""
    seats: int
    """A type with every kind of step: CREATE, TAKE, RETURN, QUOTA, EDIT."""
    boxes: int
    unsold: int
    held: int
    """An unpaid order of two commands."""
    sold: int
    cancelled: int
    """Its payment is LATE."""
    expired: int
    paid: int
    """The payment of `sold`."""
    late: int
    exact: int
    """The payment of another sold order, at a rate that divides its total."""

    @property
    def ids(self) -> dict[str, int]:
        """By name, for SQL texts."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "database"}


async def make_small_sale(client: CommandClient) -> SmallSale:
    """Make the sale; every order has its end, all tickets that come back have come back."""
    database = client.database
    organizer, buyer = await person(database, "ORGANIZER"), await person(database)
    event_id, (seats, boxes, unsold, gone) = await client.sale(organizer, 10, 10, 10, 10)
    await set_rate(database, "BTC", "43210.98765432")
    held = await buy(client, buyer, event_id, seats, 2)
    assert (await client.ask(add(buyer, event_id, held, boxes))).status_code == 201
    sold = await buy(client, buyer, event_id, seats, 1)
    paid = int(str(result(await client.ask(quote(buyer, sold)))["id"]))
    assert (await client.ask(confirm(buyer, paid, fresh_hash()))).status_code == 200
    await set_rate(database, "BTC", "49900")
    other = await buy(client, buyer, event_id, seats, 1)
    exact = int(str(result(await client.ask(quote(buyer, other)))["id"]))
    assert (await client.ask(confirm(buyer, exact, fresh_hash()))).status_code == 200
    cancelled = await buy(client, buyer, event_id, boxes, 3)
    late = int(str(result(await client.ask(quote(buyer, cancelled)))["id"]))
    assert (await client.ask(cancel(buyer, cancelled))).status_code == 200
    assert (await client.ask(confirm(buyer, late, fresh_hash()))).status_code == 409
    expired = await buy(client, buyer, event_id, seats, 1)
    await age(database, "orders", expired, 1)
    for patch in ({"quota": 20}, {"name": "Front seat"}):
        assert (await client.ask(update_type(organizer, event_id, seats, patch))).status_code == 200
    await accepted(client, lambda: delete_type(organizer, event_id, gone))
    off = body(await client.ask(create_event(organizer)))["id"]
    assert (await client.ask(create_type(organizer, off))).status_code == 201
    assert (await client.ask(cancel_event(organizer, off))).status_code == 200

    async def all_back() -> bool:
        rows = await database.read(
            "SELECT COUNT(returned_version) FROM order_details WHERE order_id IN (%s, %s)",
            cancelled,
            expired,
        )
        return bool(rows[0][0] == 2)

    await eventually(all_back)
    return SmallSale(
        database=database,
        event_id=event_id,
        off=off,
        seats=seats,
        boxes=boxes,
        unsold=unsold,
        held=held,
        sold=sold,
        cancelled=cancelled,
        expired=expired,
        paid=paid,
        late=late,
        exact=exact,
    )
