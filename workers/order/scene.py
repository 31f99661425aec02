"""The order worker's self-test: one order cancelled by its buyer, one with its event, one at its deadline; tickets that
get another name and another holder."""

from dataclasses import replace

from contracts.commands import CancelOrder, RenameHolder, TransferTicket
from contracts.events import EventCancelled
from db import orders
from db.tickets import tickets
from workers.order.handlers import cancel_unpaid
from workers.order.sweep import end_over
from workers.runtime.made_up import issued_tickets, unpaid_order
from workers.runtime.self_test import NAME, SelfTestFailed, Stage


async def scene(stage: Stage) -> None:
    """Everything that the order worker is asked for, once."""
    made = await unpaid_order(stage)
    await stage.grant(CancelOrder, made.buyer, order_id=made.row.id)
    with_event = await unpaid_order(stage)
    stage.asked.append(EventCancelled.TYPE)
    await orders.unpaid_of_event(stage.services.database, with_event.event.id, 1)
    locked = await orders.lock(stage.transaction, [with_event.row.id])
    await cancel_unpaid(stage.context, locked.values())
    unpaid = await unpaid_order(stage)
    await orders.past_deadline(stage.services.database, 1)
    locked = await orders.lock(stage.transaction, [unpaid.row.id], skip_locked=True)
    later = replace(stage.context, now=unpaid.row.expires_at)
    if len(await end_over(later, locked.values())) != 1:
        raise SelfTestFailed("an order does not end at its deadline")
    await _hand_over(stage)


async def _hand_over(stage: Stage) -> None:
    """A ticket gets a name, then another holder."""
    made = await unpaid_order(stage)
    ticket_id, *_ = await issued_tickets(stage, made)
    await stage.grant(RenameHolder, made.buyer, ticket_id=ticket_id, holder_name=NAME)
    # Made-up accounts have no rows, so nobody is found who could get it; it changes hands all the same.
    friend = stage.account("USER").user_id
    await stage.decide(TransferTicket, made.buyer, ticket_id=ticket_id, to_user_id=friend)
    [ticket] = (await tickets.lock(stage.transaction, [ticket_id])).values()
    tickets.transfer(stage.transaction, ticket, friend, stage.now)
