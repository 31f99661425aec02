"""An unpaid order never lives longer than EVENTHUB_MAX_HOLD, whatever EVENTHUB_ORDER_TTL says."""

from datetime import datetime

from db.mysql.database import Database
from tests.harness.accounts import person
from tests.harness.command_client import command_client, place, result
from tests.harness.scratch import Scratch
from tests.harness.workers import running_workers


async def test_a_new_order_ends_with_the_longest_hold(scratch: Scratch, database: Database) -> None:
    """Unpaid orders may wait for 900 s and live for 600 s: a new one ends 600 s after it was placed."""
    async with (
        command_client(scratch, database, order_ttl=900, max_hold=600) as client,
        running_workers(client.settings, "inventory"),
    ):
        event_id, [type_id] = await client.sale(await person(database, "ORGANIZER"))
        buyer = await person(database)
        order = result(await client.ask(place(buyer, event_id, (type_id, 1))))
    created, expires = (datetime.fromisoformat(str(order[k])) for k in ("createdAt", "expiresAt"))
    assert (expires - created).total_seconds() == 600
