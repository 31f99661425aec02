"""The baseline's own database: the same tables as EventHub's, in a database of its own on the same server.

In: the URL of EventHub's database. Out: the URL of a fresh database that is dropped at the end.
Must stay true: columns and indexes are copies of ours (`CREATE TABLE … LIKE`; foreign keys are left out, which spares
the baseline some work); EventHub's rows are never touched.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from db.mysql.database import Database

TABLES = ("ticket_types", "stock_ledger", "orders", "order_details", "command_outcomes", "outbox")


@dataclass(frozen=True, slots=True)
class BaselineTables:
    """Where the baseline keeps its rows, and the ticket types that are for sale there."""

    url: str
    ticket_types: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BaselineCount:
    """What the baseline's tables say after a load."""

    orders: int
    tickets_sold: int
    tickets_missing: int
    outbox: int

    @property
    def sound(self) -> bool:
        """Nothing oversold, nothing lost, an event for each order."""
        return self.tickets_sold == self.tickets_missing and self.outbox == self.orders


@asynccontextmanager
async def baseline_tables(
    mysql_url: str, *, events: int, quota: int
) -> AsyncIterator[BaselineTables]:
    """Make the database with one ticket type per event, drop it at the end."""
    source = urlsplit(mysql_url).path.strip("/")
    name = f"eventhub_baseline_{secrets.token_hex(4)}"
    database = await Database.connect(mysql_url, size=1)
    try:
        await database.write(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        for table in TABLES:
            await database.write(f"CREATE TABLE {name}.{table} LIKE {source}.{table}")
        for event in range(1, events + 1):
            await database.write(
                f"INSERT INTO {name}.ticket_types (event_id, name, price, currency, quota, available, "  # noqa: S608 - our own names
                "max_per_order, command_id, created_at, updated_at) "
                "VALUES (%s, 'Baseline', 49.90, 'USD', %s, %s, 10, %s, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))",
                event,
                quota,
                quota,
                secrets.token_bytes(16),
            )
        url = urlsplit(mysql_url)._replace(path=f"/{name}").geturl()
        yield BaselineTables(url, tuple(range(1, events + 1)))
    finally:
        await database.write(f"DROP DATABASE IF EXISTS {name}")
        await database.close()


async def count_baseline(url: str) -> BaselineCount:
    """Count what the load left behind."""
    database = await Database.connect(url, size=1)
    try:
        rows = await database.read(
            "SELECT (SELECT COUNT(*) FROM orders), (SELECT COALESCE(SUM(quantity), 0) FROM order_details), "
            "(SELECT COALESCE(SUM(quota - available), 0) FROM ticket_types), (SELECT COUNT(*) FROM outbox)"
        )
    finally:
        await database.close()
    return BaselineCount(*map(int, rows[0]))
