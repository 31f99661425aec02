"""Books of a small sale in a database of their own, its checks and keys dropped: anything can be written there."""

from collections.abc import AsyncIterator

import pytest

from db.audit import audit
from db.mysql.database import Database
from tests.harness.command_client import CommandClient, command_client
from tests.harness.scratch import Scratch, scratch_servers
from tests.harness.waiting import eventually
from tests.harness.workers import running_workers
from tests.integration.audit.small_sale import SmallSale, make_small_sale

# What stands between a test and a wrong row: (table, constraint). Foreign keys are switched off per session.
_GUARDS = (
    ("ticket_types", "ck_ticket_types_stock"),
    ("stock_ledger", "ck_stock_ledger_sign"),
    ("orders", "ck_orders_expiry"),
    ("order_details", "ck_order_details_quantity"),
    ("order_details", "ck_order_details_returned"),
    ("payment_receipts", "ck_receipts_code"),
    ("tickets", "ck_tickets_used"),
    ("tickets", "ck_tickets_valid"),
)


@pytest.fixture(scope="module")
async def scratch() -> AsyncIterator[Scratch]:
    """Scratch servers for this module alone."""
    async with scratch_servers() as made:
        yield made


@pytest.fixture(scope="module")
async def small_sale(scratch: Scratch) -> AsyncIterator[SmallSale]:
    """Books that are right, and quiet."""
    database = await Database.connect(scratch.mysql_url, size=4)
    async with (
        command_client(scratch, database) as client,
        running_workers(client.settings, *_WORKERS),
    ):
        kept = await make_small_sale(client)
        await eventually(lambda: _quiet(client))
    for table, constraint in _GUARDS:
        await database.write(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")
    await database.write("ALTER TABLE command_outcomes DROP PRIMARY KEY")
    await database.write("ALTER TABLE scans DROP KEY uq_scans_admitted")
    yield kept
    await database.close()


_WORKERS = ("inventory", "order", "payment", "admission", "relay", "notify")


async def _quiet(client: CommandClient) -> bool:
    return (await audit(client.database, quiet=True)).ok
