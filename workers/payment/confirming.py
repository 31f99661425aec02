"""ConfirmPayment: a transaction hash is shown for a quote.

In: commands in the order they came. Out: a decision each; PaymentConfirmed, OrderConfirmed and TicketsIssued, or
PaymentLate.
Must stay true: rows are locked in the one order (events, orders, payments) for the whole batch; payment, receipt,
order, its history and its tickets are written in this one transaction, for refusals that leave a receipt as well.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from contracts.commands import ConfirmPayment
from contracts.events import OrderConfirmed, PaymentConfirmed, PaymentLate, TicketsIssued
from contracts.payments import Receipt
from contracts.problems import Code, Problem
from contracts.resources import (
    OrderDetailRow,
    OrderRow,
    PaymentRow,
    ReceiptRow,
    order_resource,
    payment_resource,
)
from contracts.tickets.ticket import by_order, tickets_issued, tickets_of
from db import orders, payments
from db import stock as stocks
from db.messages.outbox import NewEvent
from db.mysql.database import VersionConflict
from db.orders import LockedOrder
from db.tickets import tickets
from workers.payment.settlement import (
    Confirmed,
    HashUsed,
    Late,
    Ruling,
    Settlement,
    ShownHash,
    Unknown,
)
from workers.runtime.handlers import (
    Context,
    Decision,
    Received,
    not_found,
    rejected,
    succeeded,
)

_HASH_USED = rejected(
    Problem(Code.TX_HASH_USED, "This transaction hash was shown for another payment.")
)
_LATE_DETAIL = {
    Code.ORDER_NOT_PENDING: "The order is not waiting for payment; the money will be refunded.",
    Code.QUOTE_EXPIRED: "The quote can no longer pay for the order; the money will be refunded.",
}


@dataclass(frozen=True, slots=True)
class _Paid:
    """Orders after the batch, with their lines and new tickets' ids, who organises their events, and what was shown for
    the payments."""

    orders: Mapping[int, OrderRow]
    details: Mapping[int, Sequence[OrderDetailRow]]
    locked: Mapping[int, LockedOrder]
    receipts: Mapping[int, list[ReceiptRow]]
    """Of each payment that is shown, those of this batch among them."""
    issued: Mapping[int, list[int]]


async def confirm_payments(
    context: Context, commands: Sequence[Received[ConfirmPayment]]
) -> list[Decision]:
    """Rule on a batch of confirmations, one after the other on locked rows, then write them all."""
    settlement, locked = await _lock(context, commands)
    rulings = [settlement.rule(_shown(one)) for one in commands]
    shown_before = await payments.receipts_of(context.transaction, _shown_before(rulings))
    paid = await _write(context, settlement, locked, shown_before)
    return [_decision(ruling, paid) for ruling in rulings]


def _shown(one: Received[ConfirmPayment]) -> ShownHash:
    command = one.message
    return ShownHash(
        command.principal.user_id, command.payment_id, command.tx_hash.lower(), one.uuid
    )


async def _lock(
    context: Context, commands: Sequence[Received[ConfirmPayment]]
) -> tuple[Settlement, dict[int, LockedOrder]]:
    transaction = context.transaction
    places = await payments.places(transaction, (one.message.payment_id for one in commands))
    event_ids = {place.event_id for place in places}
    events = await stocks.share_events(transaction, event_ids) if event_ids else {}
    locked = await orders.lock(transaction, (place.order_id for place in places))
    quotes = await payments.lock(transaction, (place.payment_id for place in places))
    receipts = await payments.receipts(transaction, (_shown(one).tx_hash for one in commands))
    off = frozenset(event.id for event in events.values() if event.cancelled)
    rows = {order_id: one.row for order_id, one in locked.items()}
    return Settlement(quotes, rows, off, receipts, context.now), locked


def _shown_before(rulings: Sequence[Ruling | None]) -> set[int]:
    """Payments for which a hash may have been shown before. For one that is paid now there was none: it was pending."""
    return {
        one.payment.id
        for one in rulings
        if isinstance(one, Late) or (isinstance(one, Confirmed) and not one.anew)
    }


def _all_receipts(
    before: Mapping[int, list[ReceiptRow]], new: Iterable[Receipt]
) -> dict[int, list[ReceiptRow]]:
    found = {payment_id: list(rows) for payment_id, rows in before.items()}
    for one in new:
        row = ReceiptRow(one.tx_hash, str(one.status), one.received_at)
        found.setdefault(one.payment_id, []).append(row)
    return found


async def _write(
    context: Context,
    settlement: Settlement,
    locked: dict[int, LockedOrder],
    shown_before: Mapping[int, list[ReceiptRow]],
) -> _Paid:
    """Everything the rulings changed: orders, payments, receipts, and the tickets of what was paid."""
    transaction, now = context.transaction, context.now
    confirmed = payments.by_id(settlement.quotes, settlement.confirmed)
    paid = [(locked[p.order_id].row, settlement.quotes[p.id].total_cost) for p in confirmed]
    moved = orders.confirm(transaction, paid, "paid", now)
    details = await orders.details(transaction, (order.id for order in moved))
    for order in moved:
        _check_lines(order, details[order.id])
    await payments.end(transaction, settlement.ended, now)
    payments.confirm(transaction, confirmed, now)
    payments.make_late(transaction, payments.by_id(settlement.quotes, settlement.late), now)
    owed = [ticket for order in moved for ticket in tickets_of(order, details[order.id])]
    with payments.receipt_conflicts():
        payments.add_receipts(transaction, settlement.new_receipts, now)
        issued = await tickets.issue(transaction, owed, now)
        await transaction.flush()
    rows = {order_id: one.row for order_id, one in locked.items()}
    receipts = _all_receipts(shown_before, settlement.new_receipts)
    after = rows | {order.id: order for order in moved}
    return _Paid(after, details, locked, receipts, by_order(issued))


def _check_lines(order: OrderRow, lines: Sequence[OrderDetailRow]) -> None:
    """Raise VersionConflict when the lines come from an older snapshot than the locked order.

    Their sum is looked at as well: an older release's additions raise no version.
    """
    newest = max((line.items_version for line in lines), default=0)
    cost = sum((line.unit_price * line.quantity for line in lines), Decimal())
    if (newest, cost) != (order.items_version, order.total_cost):
        raise VersionConflict(f"lines of order {order.id} were added since the snapshot")


def _decision(ruling: Ruling, paid: _Paid) -> Decision:
    if isinstance(ruling, Unknown):
        return not_found("payment")
    if isinstance(ruling, HashUsed):
        return _HASH_USED
    if isinstance(ruling, Late):
        events = (_late_event(ruling, paid),) if ruling.anew else ()
        extra = {"paymentStatus": "LATE"}
        return rejected(Problem(ruling.code, _LATE_DETAIL[ruling.code], extra), events=events)
    return _confirmed(ruling, paid)


def _confirmed(ruling: Confirmed, paid: _Paid) -> Decision:
    resource = payment_resource(ruling.payment, paid.receipts.get(ruling.payment.id, ()))
    if not ruling.anew:
        return succeeded(200, resource)
    order = paid.orders[ruling.payment.order_id]
    organizer = paid.locked[order.id].organizer_id
    payment_confirmed = PaymentConfirmed(
        payment=resource, user_id=order.user_id, event_id=order.event_id, organizer_id=organizer
    )
    order_confirmed = OrderConfirmed(
        order=order_resource(order, paid.details[order.id]), organizer_id=organizer
    )
    events = [
        NewEvent(event, f"order:{order.id}", order.version, order.event_id)
        for event in (payment_confirmed, order_confirmed, _issued_event(order, organizer, paid))
    ]
    return succeeded(200, resource, events=events)


def _issued_event(order: OrderRow, organizer: int, paid: _Paid) -> TicketsIssued:
    return TicketsIssued(
        tickets=tickets_issued(order, paid.issued[order.id]), organizer_id=organizer
    )


def _late_event(ruling: Late, paid: _Paid) -> NewEvent:
    payment: PaymentRow = ruling.payment
    order = paid.orders[payment.order_id]
    event = PaymentLate(
        payment=payment_resource(payment, paid.receipts.get(payment.id, ())),
        user_id=order.user_id,
        event_id=order.event_id,
        organizer_id=paid.locked[order.id].organizer_id,
        tx_hash=ruling.tx_hash,
        receipt=ruling.tx_hash,
    )
    return NewEvent(event, f"order:{order.id}", order.version, order.event_id)
