"""Books of a small sale in a database of their own, its checks and keys dropped: anything can be written there."""

from collections.abc import AsyncIterator

import pytest

from db.audit import audit
from db.mysql.database import Database
from tests.harness.desk import Desk, desk
from tests.harness.scratch import Scratch, scratch
from tests.harness.staff import staff
from tests.harness.waiting import eventually
from tests.integration.audit.books import Books, keep_books

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
async def places() -> AsyncIterator[Scratch]:
    """Scratch places for this module alone."""
    async with scratch() as made:
        yield made


@pytest.fixture(scope="module")
async def books(places: Scratch) -> AsyncIterator[Books]:
    """Books that are right, and quiet."""
    database = await Database.connect(places.mysql_url, size=4)
    async with desk(places, database) as counter, staff(counter.settings, *_WORKERS):
        kept = await keep_books(counter)
        await eventually(lambda: _quiet(counter))
    for table, constraint in _GUARDS:
        await database.write(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")
    await database.write("ALTER TABLE command_outcomes DROP PRIMARY KEY")
    await database.write("ALTER TABLE scans DROP KEY uq_scans_admitted")
    yield kept
    await database.close()


_WORKERS = ("inventory", "order", "payment", "admission", "relay", "notify")


async def _quiet(counter: Desk) -> bool:
    return (await audit(counter.database, quiet=True)).ok
