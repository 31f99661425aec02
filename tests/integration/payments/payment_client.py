"""Short ways to a payment: orders, quotes and confirmations as commands, and what the database says afterwards."""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import orjson

from contracts.commands import (
    AddItems,
    CancelEvent,
    CancelOrder,
    ConfirmPayment,
    CreateQuote,
    OrderItem,
)
from contracts.outcomes import Outcome
from contracts.rates import Rate
from db import rates
from db.mysql.database import Database, Transaction
from tests.harness.accounts import Person, person
from tests.harness.command_client import FINGERPRINT, CommandClient, place, result


def fresh_hash() -> str:
    """A transaction hash that nobody has shown."""
    return "0x" + secrets.token_hex(32)


def quote(buyer: Person, order_id: int, asset: str = "BTC") -> CreateQuote:
    return CreateQuote(
        principal=buyer.principal, fingerprint=FINGERPRINT, order_id=order_id, asset=asset
    )


def confirm(buyer: Person, payment_id: int, tx_hash: str) -> ConfirmPayment:
    """The command for a confirmation."""
    return ConfirmPayment(
        principal=buyer.principal, fingerprint=FINGERPRINT, payment_id=payment_id, tx_hash=tx_hash
    )


def cancel(buyer: Person, order_id: int) -> CancelOrder:
    """The command that cancels an order."""
    return CancelOrder(principal=buyer.principal, fingerprint=FINGERPRINT, order_id=order_id)


def cancel_event(organizer: Person, event_id: int) -> CancelEvent:
    return CancelEvent(principal=organizer.principal, fingerprint=FINGERPRINT, event_id=event_id)


def add(buyer: Person, event_id: int, order_id: int, ticket_type: int) -> AddItems:
    """The command that adds a ticket."""
    items = (OrderItem(ticket_type_id=ticket_type, quantity=1),)
    return AddItems(
        principal=buyer.principal,
        fingerprint=FINGERPRINT,
        event_id=event_id,
        order_id=order_id,
        items=items,
    )


def body(outcome: Outcome) -> dict[str, Any]:
    """The resource or the problem."""
    parsed: dict[str, Any] = orjson.loads(outcome.body)
    return parsed


@dataclass(frozen=True, slots=True)
class Sold:
    """An unpaid order on an event of its own."""

    organizer: Person
    buyer: Person
    event_id: int
    ticket_type: int
    order_id: int


async def unpaid(client: CommandClient, quantity: int = 2) -> Sold:
    """A new event with 10 tickets at 49.90 USD and an unpaid order of some."""
    organizer, buyer = await person(client.database, "ORGANIZER"), await person(client.database)
    event_id, (ticket_type,) = await client.sale(organizer, 10)
    order = result(await client.ask(place(buyer, event_id, (ticket_type, quantity))))
    return Sold(organizer, buyer, event_id, ticket_type, int(str(order["id"])))


async def set_rate(
    database: Database, asset: str, rate: str, *, age: float = 0.0, currency: str = "USD"
) -> None:
    """Make `rate` what the feed said `age` seconds ago, as its newest word."""

    async def work(transaction: Transaction) -> None:
        now = await transaction.now()
        await transaction.execute(
            "DELETE FROM rates WHERE asset = %s AND currency = %s", asset, currency
        )
        observed = now - timedelta(seconds=age)
        new = Rate(asset, currency, "fake", Decimal(rate), observed, now)
        await rates.store(transaction, [(new, None)])

    await database.run(work)


async def order_row(database: Database, order_id: int) -> tuple[str, int]:
    """(status, version) of an order."""
    rows = await database.read("SELECT status, version FROM orders WHERE id = %s", order_id)
    return rows[0][0], rows[0][1]


async def payment_status(database: Database, payment_id: int) -> str:
    rows = await database.read("SELECT status FROM payments WHERE id = %s", payment_id)
    return str(rows[0][0])


async def receipts(database: Database, *payment_ids: int) -> list[tuple[str, str]]:
    """(hash, status) of these payments' receipts, in hash order."""
    marks = ",".join(["%s"] * len(payment_ids))
    rows = await database.read(
        f"SELECT tx_hash, status FROM payment_receipts WHERE payment_id IN ({marks}) ORDER BY tx_hash",
        *payment_ids,
    )
    return [(row[0], row[1]) for row in rows]


async def age(database: Database, table: str, row_id: int, seconds: float) -> None:
    """Move a row's end into the past, as if that much time had gone by since it was over."""
    await database.write(
        f"UPDATE {table} SET created_at = created_at - INTERVAL 3600 SECOND, "
        "expires_at = UTC_TIMESTAMP(6) - INTERVAL %s SECOND WHERE id = %s",
        seconds,
        row_id,
    )
