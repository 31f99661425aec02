"""A sale: an event on sale, its organizer and a buyer, with a command client that sends commands without a gateway.

In: a command client, a database. Out: orders, and how many tickets are left.
"""

from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.command_client import CommandClient, place, result
from tests.harness.workers import running_workers

TICKETS = 40
PRICE = "49.90"


class Show:
    """An event on sale, its organizer and a buyer."""

    def __init__(self, client: CommandClient, organizer: Person, buyer: Person) -> None:
        self.client, self.organizer, self.buyer = client, organizer, buyer
        self.event_id, self.type_id = 0, 0

    async def open(self, price: str = PRICE) -> None:
        """Put an event with forty tickets on sale; an inventory worker must be there."""
        self.event_id, (self.type_id,) = await self.client.sale(
            self.organizer, TICKETS, price=price
        )

    async def order(self) -> bytes:
        """Send an order for one ticket."""
        return await self.client.send(place(self.buyer, self.event_id, (self.type_id, 1)))

    async def placed(self) -> int:
        """An order that is there; its id."""
        made = result(await self.client.outcome(await self.order()))["id"]
        assert isinstance(made, int)
        return made

    async def overdue(self) -> bytes:
        """An order that is there and whose time is over; its command."""
        uuid = await self.order()
        await self.client.outcome(uuid)
        await self.client.database.write(
            "UPDATE orders SET expires_at = UTC_TIMESTAMP(6) WHERE command_id = %s", uuid
        )
        return uuid

    async def statuses(self) -> list[tuple[str, int]]:
        """(status, version) of each of its orders, in their order."""
        rows = await self.client.database.read(
            "SELECT status, version FROM orders WHERE event_id = %s ORDER BY id", self.event_id
        )
        return [(row[0], row[1]) for row in rows]

    async def available(self) -> int:
        """Tickets left."""
        rows = await self.client.database.read(
            "SELECT available FROM ticket_types WHERE id = %s", self.type_id
        )
        return int(rows[0][0])


async def open_show(client: CommandClient, database: Database, price: str = PRICE) -> Show:
    """A show with forty tickets, made while everybody lives."""
    made = Show(client, await person(database, "ORGANIZER"), await person(database))
    async with running_workers(client.settings, "inventory-9"):
        await made.open(price)
    return made
