"""TransferTicket and RenameHolder: what a ticket's holder may do with it.

In: commands in the order they came. Out: a decision each; TicketTransferred.
Must stay true: only tickets are locked, ids ascending; whoever does not hold a ticket learns nothing of it; a used or
void ticket stays as it is; the answer never carries a code.
"""

from collections.abc import Sequence

from contracts.commands import RenameHolder, TransferTicket
from contracts.events import TicketTransferred
from contracts.tickets.ticket import TicketRow, change_refusal, ticket_resource
from db.accounts import accounts
from db.messages.outbox import NewEvent
from db.tickets import tickets
from db.tickets.tickets import TicketOwners
from workers.runtime.handlers import (
    Context,
    Decision,
    Received,
    not_found,
    rejected,
    succeeded,
)


async def transfer_tickets(
    context: Context, commands: Sequence[Received[TransferTicket]]
) -> list[Decision]:
    """Give tickets to other accounts, one after the other on locked rows."""
    transaction = context.transaction
    wanted = {one.message.ticket_id for one in commands}
    locked = await tickets.lock(transaction, wanted)
    owners = await tickets.owners(transaction, locked)
    receivers = await accounts.verified(transaction, (one.message.to_user_id for one in commands))
    decisions = []
    for one in commands:
        ticket = locked.get(one.message.ticket_id)
        if refusal := _refusal(ticket, one.message):
            decisions.append(refusal)
        elif ticket is None or one.message.to_user_id not in receivers:
            decisions.append(not_found("account with a verified address"))
        else:
            moved = tickets.transfer(transaction, ticket, one.message.to_user_id, context.now)
            locked[moved.id] = moved
            event = _transferred(ticket, moved, owners[moved.id])
            decisions.append(succeeded(200, ticket_resource(moved), events=(event,)))
    return decisions


async def rename_holders(
    context: Context, commands: Sequence[Received[RenameHolder]]
) -> list[Decision]:
    """Write other names on tickets."""
    locked = await tickets.lock(context.transaction, {one.message.ticket_id for one in commands})
    decisions = []
    for one in commands:
        ticket = locked.get(one.message.ticket_id)
        if refusal := _refusal(ticket, one.message):
            decisions.append(refusal)
        elif ticket is not None:
            renamed = tickets.rename(
                context.transaction, ticket, one.message.holder_name, context.now
            )
            locked[renamed.id] = renamed
            decisions.append(succeeded(200, ticket_resource(renamed)))
    return decisions


def _refusal(ticket: TicketRow | None, command: TransferTicket | RenameHolder) -> Decision | None:
    if ticket is None or ticket.holder_id != command.principal.user_id:
        return not_found("ticket")
    problem = change_refusal(ticket)
    return rejected(problem) if problem else None


def _transferred(before: TicketRow, after: TicketRow, owners: TicketOwners) -> NewEvent:
    event = TicketTransferred(
        ticket=ticket_resource(after),
        buyer_id=owners.buyer_id,
        organizer_id=owners.organizer_id,
        from_user_id=before.holder_id,
    )
    return NewEvent(event, f"ticket:{after.id}", after.version, after.event_id)
