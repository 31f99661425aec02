"""Every message that the order worker deals with; what cancels orders stands here, what holders do with tickets in
`transferring`.

In: commands and events in order. Out: decisions; orders ended, tickets changed.
Must stay true: every path locks its orders or tickets by primary key first and decides on the locked row.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from contracts.commands import CancelOrder, RenameHolder, TransferTicket
from contracts.events import EventCancelled
from contracts.orders import OrderStatus
from contracts.runtime import failpoints
from db import orders
from db.messages.outbox import NewEvent
from db.mysql.database import Transaction
from db.orders import LockedOrder
from workers.order.ending import end
from workers.order.lifecycle import cancel_refusal, canceller, is_pending
from workers.order.transferring import rename_holders, transfer_tickets
from workers.runtime.handlers import (
    ACK,
    CommandHandler,
    Context,
    Decision,
    Disposition,
    Handler,
    MessageHandler,
    Received,
    not_found,
    rejected,
    succeeded,
)
from workers.runtime.services import Services

EVENT_BATCH = 200


async def cancel_orders(
    context: Context, commands: Sequence[Received[CancelOrder]]
) -> list[Decision]:
    """Cancel unpaid orders at the wish of their owner, their event's organizer or an admin."""
    locked = await orders.lock(context.transaction, (one.message.order_id for one in commands))
    details = await orders.details(context.transaction, locked)
    decisions = []
    for one in commands:
        order = locked.get(one.message.order_id)
        who = one.message.principal
        if order is None or not (reason := canceller(order.row, order.organizer_id, who)):
            decisions.append(not_found("order"))
        elif refusal := cancel_refusal(order.row, context.now):
            decisions.append(rejected(refusal))
        else:
            [(resource, event)] = end(context, [order], details, OrderStatus.CANCELLED, reason)
            # A second cancel of the same order in this batch meets what the first has left.
            cancelled = replace(order.row, status=str(OrderStatus.CANCELLED))
            locked[order.row.id] = replace(order, row=cancelled)
            decisions.append(succeeded(200, resource, events=(event,)))
    return decisions


def cancel_event_orders(
    services: Services,
) -> Callable[[Sequence[Received[EventCancelled]]], Awaitable[list[Disposition]]]:
    """The consumer of EventCancelled: ends an event's unpaid orders, 200 to a transaction."""

    async def consume(events: Sequence[Received[EventCancelled]]) -> list[Disposition]:
        for one in events:
            event_id = one.message.event["id"]
            while ids := await orders.unpaid_of_event(services.database, event_id, EVENT_BATCH):
                await services.database.run(_cancelling(services, one, ids))
                failpoints.reach("worker.committed")
        return [ACK] * len(events)

    return consume


def _cancelling(
    services: Services, cause: Received[EventCancelled], ids: Sequence[int]
) -> Callable[[Transaction], Awaitable[None]]:
    async def work(transaction: Transaction) -> None:
        locked = await orders.lock(transaction, ids)
        context = Context(transaction, await transaction.now(), services.settings, services.redis)
        if ended := await cancel_unpaid(context, locked.values()):
            services.outbox.add(transaction, context.now, [(one, cause.cause) for one in ended])
            await transaction.flush()
            failpoints.reach("worker.written")

    return work


async def cancel_unpaid(context: Context, locked: Iterable[LockedOrder]) -> list[NewEvent]:
    """End those of an event's orders that are still unpaid; what that makes true."""
    unpaid = [one for one in locked if is_pending(one.row)]
    details = await orders.details(context.transaction, (one.row.id for one in unpaid))
    ended = end(context, unpaid, details, OrderStatus.CANCELLED, "event")
    return [event for _, event in ended]


def handlers(services: Services) -> Mapping[str, Handler]:
    """What the order worker deals with."""
    return {
        CancelOrder.TYPE: CommandHandler(CancelOrder, cancel_orders),
        TransferTicket.TYPE: CommandHandler(TransferTicket, transfer_tickets),
        RenameHolder.TYPE: CommandHandler(RenameHolder, rename_holders),
        EventCancelled.TYPE: MessageHandler(EventCancelled, cancel_event_orders(services)),
    }
