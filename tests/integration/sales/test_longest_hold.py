"""An unpaid order never lives longer than EVENTHUB_MAX_HOLD, whatever EVENTHUB_ORDER_TTL says."""

from datetime import datetime

from db.mysql.database import Database
from tests.harness.accounts import person
from tests.harness.command_client import desk, place, result
from tests.harness.scratch import Scratch
from tests.harness.workers import staff


async def test_a_new_order_ends_with_the_longest_hold(world: Scratch, database: Database) -> None:
    """Unpaid orders may wait for 900 s and live for 600 s: a new one ends 600 s after it was placed."""
    async with (
        desk(world, database, order_ttl=900, max_hold=600) as counter,
        staff(counter.settings, "inventory"),
    ):
        event_id, [type_id] = await counter.sale(await person(database, "ORGANIZER"))
        buyer = await person(database)
        order = result(await counter.ask(place(buyer, event_id, (type_id, 1))))
    created, expires = (datetime.fromisoformat(str(order[k])) for k in ("createdAt", "expiresAt"))
    assert (expires - created).total_seconds() == 600
