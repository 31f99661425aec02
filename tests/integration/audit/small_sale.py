"""A small sale in which everything happens once: held, sold, cancelled, expired, late money, every kind of step."""

from dataclasses import dataclass, fields

from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.command_client import CommandClient, result
from tests.harness.waiting import eventually
from tests.integration.audit.entries import code_of, new_gate, record
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
    spare: int
    """The ticket of `sold`, not used yet."""
    used: int
    """The ticket of the other sold order: admitted by one gate, let in again by another that was offline."""

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
    spare, used = await _one_is_in(client, organizer, event_id)
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
        spare=spare,
        used=used,
    )


async def _one_is_in(client: CommandClient, organizer: Person, event_id: int) -> tuple[int, int]:
    """Of the event's two tickets, let the second in, twice; their ids."""
    rows = await client.database.read(
        "SELECT id FROM tickets WHERE event_id = %s ORDER BY id", event_id
    )
    spare, used = (row[0] for row in rows)
    code = await code_of(client, used)
    for name, offline, ruling in (("North", False, "ADMITTED"), ("South", True, "CONFLICT")):
        gate = await new_gate(client, organizer, event_id, name)
        outcome = await client.ask(record(gate, code, offline=offline))
        [told] = body(outcome)["results"]
        assert told["ruling"] == ruling
    return spare, used
