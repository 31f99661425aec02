"""Ending locked orders: the move, and the event that tells the others.

In: orders locked by this transaction. Out: their rows after the move and one event each.
"""

from collections.abc import Mapping, Sequence

from contracts.events import OrderCancelled, OrderExpired
from contracts.orders import OrderStatus
from contracts.resources import OrderDetailRow, OrderRow, order_resource
from db import orders
from db.messages.outbox import NewEvent
from db.orders import LockedOrder
from workers.runtime.handlers import Context


def end(
    context: Context,
    locked: Sequence[LockedOrder],
    details: Mapping[int, Sequence[OrderDetailRow]],
    to: OrderStatus,
    reason: str,
) -> list[tuple[dict[str, object], NewEvent]]:
    """Move orders to CANCELLED or EXPIRED: (order resource, its event) each, in the same order.

    `details`: the lines of each order, read after it was locked.
    """
    rows = [one.row for one in locked]
    moved = orders.end(context.transaction, rows, to, reason, context.now)
    ended = []
    for row, one in zip(moved, locked, strict=True):
        resource = order_resource(row, details[row.id])
        ended.append((resource, _event(row, resource, one.organizer_id, reason)))
    return ended


def _event(row: OrderRow, resource: dict[str, object], organizer: int, reason: str) -> NewEvent:
    if row.status == OrderStatus.EXPIRED:
        event: OrderExpired | OrderCancelled = OrderExpired(order=resource, organizer_id=organizer)
    else:
        event = OrderCancelled(order=resource, organizer_id=organizer, reason=reason)
    return NewEvent(event, f"order:{row.id}", row.version, row.event_id)
