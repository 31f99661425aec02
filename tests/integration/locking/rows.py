"""Two of everything to lock: events, ticket types, orders, payments, ids ascending."""

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from db import orders
from db.mysql.database import Database, Transaction
from db.orders import NewLine, NewOrder
from tests.harness.accounts import person

NOW = datetime(2026, 5, 1, tzinfo=UTC)
TABLES = ("events", "ticket_types", "orders", "payments")
_serial = itertools.count()


@dataclass(frozen=True, slots=True)
class Rows:
    """Ids by table."""

    database: Database
    user: int
    events: tuple[int, int]
    types: tuple[int, int]
    orders: tuple[int, int]
    payments: tuple[int, int]

    def of(self, table: str) -> tuple[int, int]:
        """The two ids of a table, the lower first."""
        columns = (self.events, self.types, self.orders, self.payments)
        return dict(zip(TABLES, columns, strict=True))[table]


def command() -> bytes:
    """A command's UUID that no row has."""
    return b"%016d" % next(_serial)


def new_order(user: int, event: int, ticket_type: int) -> NewOrder:
    """An unpaid order of one ticket."""
    line = NewLine(ticket_type, 1, Decimal(1), 1)
    expires = NOW + timedelta(minutes=15)
    return NewOrder(user, event, Decimal(1), "USD", expires, command(), (line,))


def insert_payment(order: int, asset: str) -> tuple[str, int, str, bytes]:
    """A pending payment: the statement and its parameters."""
    columns = (
        "order_id, asset, command_id, quote_rate, amount_crypto, total_cost, expires_at, rate_source, "
        "rate_observed_at, created_at, updated_at"
    )
    values = "%s, %s, %s, 1, 1, 1, '2026-06-01', 'fake', '2026-05-01', '2026-05-01', '2026-05-01'"
    return f"INSERT INTO payments ({columns}) VALUES ({values})", order, asset, command()


async def make_rows(database: Database) -> Rows:
    """Store two events, each with a type, an order and a payment."""
    user = (await person(database, "ORGANIZER")).id
    made = [await database.run(lambda t: _one_of_each(t, user)) for _ in range(2)]
    (event, type_, order, payment), (event2, type2, order2, payment2) = made
    return Rows(
        database, user, (event, event2), (type_, type2), (order, order2), (payment, payment2)
    )


async def _one_of_each(transaction: Transaction, user: int) -> tuple[int, int, int, int]:
    times = ("2026-05-01", "2026-05-01")
    event = await transaction.insert(
        "events",
        (
            "organizer_id",
            "name",
            "start_time",
            "end_time",
            "command_id",
            "created_at",
            "updated_at",
        ),
        [(user, "Concert", "2026-05-01", "2026-05-02", command(), *times)],
    )
    columns = ("event_id", "name", "price", "currency", "quota", "available", "max_per_order")
    ticket_type = await transaction.insert(
        "ticket_types",
        (*columns, "command_id", "created_at", "updated_at"),
        [(event, "Seat", 1, "USD", 100, 100, 10, command(), *times)],
    )
    [order] = await orders.insert(transaction, [new_order(user, event, ticket_type)], NOW)
    await transaction.execute(*insert_payment(order.id, "BTC"))
    [[payment]] = await transaction.fetch("SELECT LAST_INSERT_ID()")
    return event, ticket_type, order.id, payment
