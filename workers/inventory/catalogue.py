"""Commands on the catalogue: events and ticket types are created, changed, cancelled and deleted here.

In: CreateEvent, UpdateEvent, CancelEvent, CreateTicketType, UpdateTicketType, DeleteTicketType.
Out: one decision each with the event or ticketType of api.md; EventChanged (whole event), EventCancelled, StockChanged;
a line of the audit log for each pause of a sale and its end.
Must stay true: the locks of a whole batch are taken first (events, then ticket types, ids ascending); the batch is then
decided in order, each command seeing what those before it did; who may do it is checked again from the principal.

Versions: an event's steps with each change of its own members, with its cancellation and with the removal of a ticket
type; a type's with each change of its text or quota and each batch of sales. Adding a type leaves the event's version
alone (the sum of the types' versions grows instead), so no ETag ever shows two different states of an event.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from contracts.commands import (
    CancelEvent,
    CreateEvent,
    CreateTicketType,
    DeleteTicketType,
    UpdateEvent,
    UpdateTicketType,
)
from contracts.events import DomainEvent, EventCancelled, EventChanged, StockChanged
from contracts.problems import Code, Problem
from contracts.resources import EventRow, TicketTypeRow, event_resource, ticket_type_resource
from db import catalogue_writes as writes
from db.accounts import audit_log
from db.accounts.audit_log import AuditAction, AuditOrigin
from db.catalogue_writes import LockedEvent
from db.messages.outbox import NewEvent
from workers.inventory import catalogue_rules as rules
from workers.runtime.handlers import (
    CommandHandler,
    Context,
    Decision,
    Handler,
    Received,
    not_found,
    rejected,
    succeeded,
)

Catalogue = dict[int, LockedEvent]
"""The events of a batch as they stand after the commands decided so far."""


async def create_event(
    context: Context, received: Sequence[Received[CreateEvent]]
) -> list[Decision]:
    """201 with the new event, PUBLISHED or a DRAFT, without ticket types."""
    return [await _create_event(context, one) for one in received]


async def _create_event(context: Context, received: Received[CreateEvent]) -> Decision:
    command = received.message
    if not command.principal.has(rules.MANAGERS):
        return rejected(Problem(Code.FORBIDDEN, "Only organizers and admins create events."))
    draft = rules.new_event(command, context.now)
    if isinstance(draft, Problem):
        return rejected(draft)
    row = await writes.insert_event(context.transaction, draft, received.uuid)
    event = LockedEvent(row, {}, frozenset())
    return succeeded(201, _shown(event), location=f"/api/events/{row.id}", events=[_changed(event)])


async def update_event(
    context: Context, received: Sequence[Received[UpdateEvent]]
) -> list[Decision]:
    """200 with the event after the patch; an unchanged event keeps its version."""
    catalogue = await writes.lock(context.transaction, _events(received))
    return [await _update_event(context, catalogue, one) for one in received]


async def _update_event(
    context: Context, catalogue: Catalogue, received: Received[UpdateEvent]
) -> Decision:
    command = received.message
    event = catalogue.get(command.event_id)
    refusal = rules.may_manage(command.principal, _row(event))
    if refusal or event is None:
        return rejected(refusal) if refusal else not_found("event")
    refusal = rules.precondition(command.if_match, event.row.version) or rules.still_open(event.row)
    after = refusal or rules.patched_event(event.row, command.patch, event.visible, context.now)
    if isinstance(after, Problem):
        return rejected(after)
    if after is event.row:
        return succeeded(200, _shown(event))
    if after.sales_paused != event.row.sales_paused:
        await _log_pause(context, received, after)
    event = await _store_event(context, catalogue, event, after)
    return succeeded(200, _shown(event), events=[_changed(event)])


async def _log_pause(context: Context, received: Received[UpdateEvent], after: EventRow) -> None:
    """Who stopped the sale, and who opened it again, is asked for long afterwards."""
    origin = AuditOrigin(received.message.principal.user_id, received.envelope.correlationid)
    await audit_log.record(
        context.transaction,
        origin,
        AuditAction.EVENT_PAUSED,
        f"event:{after.id}",
        before={"salesPaused": not after.sales_paused},
        after={"salesPaused": after.sales_paused},
    )


async def cancel_event(
    context: Context, received: Sequence[Received[CancelEvent]]
) -> list[Decision]:
    """200 with the event CANCELLED (again, if it was); EVENT_HAS_SALES once somebody has paid."""
    catalogue = await writes.lock(context.transaction, _events(received))
    return [await _cancel_event(context, catalogue, one.message) for one in received]


async def _cancel_event(context: Context, catalogue: Catalogue, command: CancelEvent) -> Decision:
    event = catalogue.get(command.event_id)
    refusal = rules.may_manage(command.principal, _row(event))
    if refusal or event is None:
        return rejected(refusal) if refusal else not_found("event")
    if event.row.status == rules.CANCELLED:
        return succeeded(200, _shown(event))
    if await writes.has_confirmed_order(context.transaction, event.row.id):
        return rejected(Problem(Code.EVENT_HAS_SALES, "Somebody has paid for this event."))
    after = replace(event.row, status=rules.CANCELLED, updated_at=context.now)
    event = await _store_event(context, catalogue, event, after)
    shown = _shown(event)
    cancelled = EventCancelled(event=shown, organizer_id=event.row.organizer_id)
    return succeeded(200, shown, events=[_new(cancelled, event)])


async def create_ticket_type(
    context: Context, received: Sequence[Received[CreateTicketType]]
) -> list[Decision]:
    """201 with the new ticket type, its whole quota available."""
    catalogue = await writes.lock(context.transaction, _events(received))
    return [await _create_ticket_type(context, catalogue, one) for one in received]


async def _create_ticket_type(
    context: Context, catalogue: Catalogue, received: Received[CreateTicketType]
) -> Decision:
    command = received.message
    event = catalogue.get(command.event_id)
    refusal = rules.may_manage(command.principal, _row(event))
    if refusal or event is None:
        return rejected(refusal) if refusal else not_found("event")
    draft = rules.still_open(event.row) or rules.new_ticket_type(
        command, _around(context, event), context.now
    )
    if isinstance(draft, Problem):
        return rejected(draft)
    row = await writes.insert_ticket_type(context.transaction, draft, received.uuid)
    event.types[row.id] = row
    return succeeded(
        201,
        ticket_type_resource(row),
        location=f"/api/ticket-types/{row.id}",
        events=[_stock(row), _changed(event)],
    )


async def update_ticket_type(
    context: Context, received: Sequence[Received[UpdateTicketType]]
) -> list[Decision]:
    """200 with the type after the patch; quota never under what is held or sold."""
    catalogue = await writes.lock(context.transaction, _events(received), _types(received))
    return [await _update_ticket_type(context, catalogue, one.message) for one in received]


async def _update_ticket_type(
    context: Context, catalogue: Catalogue, command: UpdateTicketType
) -> Decision:
    found = _find_type(catalogue, command)
    if isinstance(found, Problem):
        return rejected(found)
    event, before = found
    around = _around(context, event)
    after = rules.patched_ticket_type(before, command.patch, around, context.now)
    if isinstance(after, Problem):
        return rejected(after)
    if after is before:
        return succeeded(200, ticket_type_resource(before))
    row = await writes.update_ticket_type(context.transaction, before, after)
    event.types[row.id] = row
    stock = [_stock(row)] if row.quota != before.quota else []
    return succeeded(200, ticket_type_resource(row), events=[*stock, _changed(event)])


async def delete_ticket_type(
    context: Context, received: Sequence[Received[DeleteTicketType]]
) -> list[Decision]:
    """200 with the type as it was last; EVENT_HAS_SALES while orders hold or own some of it."""
    catalogue = await writes.lock(context.transaction, _events(received), _types(received))
    return [await _delete_ticket_type(context, catalogue, one.message) for one in received]


async def _delete_ticket_type(
    context: Context, catalogue: Catalogue, command: DeleteTicketType
) -> Decision:
    found = _find_type(catalogue, command)
    if isinstance(found, Problem):
        return rejected(found)
    event, before = found
    refusal = rules.removable(before)
    if refusal:
        return rejected(refusal)
    after = replace(before, updated_at=context.now)
    row = await writes.update_ticket_type(context.transaction, before, after, delete=True)
    event.types[row.id] = row
    event = replace(event, deleted=event.deleted | {row.id})
    event = await _store_event(
        context, catalogue, event, replace(event.row, updated_at=context.now)
    )
    return succeeded(200, ticket_type_resource(row), events=[_changed(event)])


def _find_type(
    catalogue: Catalogue, command: UpdateTicketType | DeleteTicketType
) -> tuple[LockedEvent, TicketTypeRow] | Problem:
    """The command's ticket type and its event, if the caller may change it and If-Match agrees."""
    event = catalogue.get(command.event_id)
    refusal = rules.may_manage(command.principal, _row(event))
    if refusal:
        return refusal
    if event is None or command.ticket_type_id not in event.types.keys() - event.deleted:
        return Problem(Code.NOT_FOUND, "There is no such ticket type.")
    row = event.types[command.ticket_type_id]
    refusal = rules.precondition(command.if_match, row.version) or rules.still_open(event.row)
    return refusal or (event, row)


async def _store_event(
    context: Context, catalogue: Catalogue, event: LockedEvent, after: EventRow
) -> LockedEvent:
    row = await writes.update_event(context.transaction, event.row, after)
    catalogue[row.id] = replace(event, row=row)
    return catalogue[row.id]


def _around(context: Context, event: LockedEvent) -> rules.TypeSurroundings:
    currencies = context.settings.currencies
    return rules.TypeSurroundings(event.row.end_time, event.visible, currencies)


def _row(event: LockedEvent | None) -> EventRow | None:
    return event.row if event else None


def _events(
    received: Iterable[Received[UpdateEvent]]
    | Iterable[Received[CancelEvent]]
    | Iterable[Received[CreateTicketType]]
    | Iterable[Received[UpdateTicketType]]
    | Iterable[Received[DeleteTicketType]],
) -> list[int]:
    return [one.message.event_id for one in received]


def _types(
    received: Iterable[Received[UpdateTicketType]] | Iterable[Received[DeleteTicketType]],
) -> list[int]:
    return [one.message.ticket_type_id for one in received]


def _shown(event: LockedEvent) -> dict[str, object]:
    return event_resource(event.row, event.visible)


def _changed(event: LockedEvent) -> NewEvent:
    return _new(EventChanged(event=_shown(event), organizer_id=event.row.organizer_id), event)


def _new(happened: DomainEvent, event: LockedEvent) -> NewEvent:
    return NewEvent(happened, f"event:{event.row.id}", event.sequence, event.row.id)


def _stock(row: TicketTypeRow) -> NewEvent:
    happened = StockChanged(
        ticket_type_id=row.id,
        event_id=row.event_id,
        version=row.version,
        quota=row.quota,
        available=row.available,
    )
    return NewEvent(happened, f"ticket_type:{row.id}", row.version, row.event_id)


CATALOGUE_HANDLERS: dict[str, Handler] = {
    CreateEvent.TYPE: CommandHandler(CreateEvent, create_event),
    UpdateEvent.TYPE: CommandHandler(UpdateEvent, update_event),
    CancelEvent.TYPE: CommandHandler(CancelEvent, cancel_event),
    CreateTicketType.TYPE: CommandHandler(CreateTicketType, create_ticket_type),
    UpdateTicketType.TYPE: CommandHandler(UpdateTicketType, update_ticket_type),
    DeleteTicketType.TYPE: CommandHandler(DeleteTicketType, delete_ticket_type),
}
