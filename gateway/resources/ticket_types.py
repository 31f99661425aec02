"""Ticket types over HTTP: create, change, delete (commands), show (a read).

In: a ticket type's members, a merge patch, an id. Out: the ticket type, or why not.
Must stay true: as for events; what a type costs or how many there are is the worker's to judge.
"""

from collections.abc import Callable
from decimal import Decimal

from aiohttp import web

from contracts.catalogue import TicketTypeMembers, TicketTypePatch
from contracts.commands import Command, CreateTicketType, DeleteTicketType, UpdateTicketType
from contracts.models import Principal
from contracts.outcomes import Outcome
from contracts.problems import Code
from contracts.resources import TicketType, ticket_type_etag
from contracts.standards.currencies import currency_fault, price_fault
from gateway.availability.cache import AVAILABILITY
from gateway.availability.directory import DIRECTORY
from gateway.caching.catalogue import CATALOGUE, NO_TICKET_TYPE
from gateway.http.keys import CONTEXT, SETTINGS, body, path_id
from gateway.http.models import Body
from gateway.http.problems import Refusal, invalid, not_found
from gateway.http.routing import (
    ANYONE,
    ORGANIZER_OR_ADMIN,
    Ownership,
    Route,
    RouteAnswer,
)
from gateway.resources.events import canonical, if_match, shown_reply
from gateway.submission.submit import Call, submit


class CreateTicketTypeBody(TicketTypeMembers, Body):
    """A new kind of ticket. salesStart null: at once; salesEnd null: until the event ends."""


class UpdateTicketTypeBody(TicketTypePatch, Body):
    """A merge patch: only what is sent changes; null removes a border of the sales window, and
    gives currency and maxPerOrder their defaults back."""


async def show_ticket_type(request: web.Request) -> web.Response:
    """GET /api/ticket-types/{ticketTypeId}."""
    type_id, caller = path_id(request, "ticketTypeId"), request[CONTEXT].caller
    return shown_reply(request, await request.app[CATALOGUE].ticket_type(type_id, caller))


async def create_ticket_type(request: web.Request) -> web.Response:
    """POST /api/events/{eventId}/ticket-types."""
    event_id = path_id(request, "eventId")
    wanted = body(request, CreateTicketTypeBody)
    _check_price(request, wanted)
    members = canonical(wanted.model_dump(by_alias=True))

    async def prepare(caller: Principal, fingerprint: str) -> Command:
        await request.app[CATALOGUE].managed_event(event_id, caller)
        return CreateTicketType.model_validate(
            {**members, "principal": caller, "fingerprint": fingerprint, "eventId": event_id}
        )

    call = Call(
        CreateTicketType,
        members,
        prepare,
        etag=ticket_type_etag,
        on_outcome=_changed(request, None),
    )
    return await submit(request, call)


def _check_price(request: web.Request, wanted: CreateTicketTypeBody) -> None:
    """Refuse at once what the worker would refuse. Raises Refusal (400). A patch depends on what is there."""
    faults = {
        "/currency": currency_fault(wanted.currency, request.app[SETTINGS].currencies),
        "/price": price_fault(Decimal(wanted.price), wanted.currency),
    }
    errors = [(pointer, fault) for pointer, fault in faults.items() if fault]
    if errors:
        raise invalid("The body does not fit this call.", *errors)


async def update_ticket_type(request: web.Request) -> web.Response:
    """PATCH /api/ticket-types/{ticketTypeId}."""
    type_id, precondition = path_id(request, "ticketTypeId"), if_match(request)
    wanted = body(request, UpdateTicketTypeBody)
    patch = canonical(wanted.model_dump(by_alias=True, exclude_unset=True))

    async def prepare(caller: Principal, fingerprint: str) -> Command:
        return UpdateTicketType(
            principal=caller,
            fingerprint=fingerprint,
            event_id=await _managed_event_of(request, type_id, caller),
            ticket_type_id=type_id,
            patch=TicketTypePatch.model_validate(patch),
            if_match=precondition,
        )

    call = Call(
        UpdateTicketType,
        patch,
        prepare,
        etag=ticket_type_etag,
        on_outcome=_changed(request, type_id),
    )
    return await submit(request, call)


async def delete_ticket_type(request: web.Request) -> web.Response:
    """DELETE /api/ticket-types/{ticketTypeId}."""
    type_id, precondition = path_id(request, "ticketTypeId"), if_match(request)

    async def prepare(caller: Principal, fingerprint: str) -> Command:
        return DeleteTicketType(
            principal=caller,
            fingerprint=fingerprint,
            event_id=await _managed_event_of(request, type_id, caller),
            ticket_type_id=type_id,
            if_match=precondition,
        )

    changed = _changed(request, type_id)
    call = Call(DeleteTicketType, {}, prepare, etag=ticket_type_etag, on_outcome=changed)
    return await submit(request, call)


async def _managed_event_of(request: web.Request, type_id: int, caller: Principal) -> int:
    """The event of a ticket type that the caller may manage. Raises Refusal (404)."""
    event_id = await request.app[DIRECTORY].event_of(type_id)
    if event_id is None:
        raise not_found(NO_TICKET_TYPE)
    try:
        await request.app[CATALOGUE].managed_event(event_id, caller)
    except Refusal:
        raise not_found(NO_TICKET_TYPE) from None
    return event_id


def _changed(request: web.Request, type_id: int | None) -> Callable[[Command, Outcome], None]:
    app = request.app

    def changed(command: Command, outcome: Outcome) -> None:
        event_id: int = command.event_id  # type: ignore[attr-defined]  # every command of this module names it
        app[CATALOGUE].changed(event_id, type_id)
        app[AVAILABILITY].changed(event_id)
        if type_id is not None:
            app[DIRECTORY].forget(type_id)

    return changed


_TICKET_TYPE = RouteAnswer(TicketType, "The ticket type.", ("ETag",))

ROUTES = (
    Route(
        method="GET",
        path="/api/ticket-types/{ticketTypeId}",
        operation_id="showTicketType",
        summary="A ticket type",
        handler=show_ticket_type,
        access=ANYONE,
        answers={
            200: _TICKET_TYPE,
            304: RouteAnswer(None, "It is still what If-None-Match names.", ("ETag",)),
        },
        tag="Events",
        request_headers=("If-None-Match",),
        description="At most 1 s old. One of a draft is 404 to others than its organizer and admins.",
    ),
    Route(
        method="POST",
        path="/api/events/{eventId}/ticket-types",
        operation_id="createTicketType",
        summary="Add a ticket type to an event",
        handler=create_ticket_type,
        access=ORGANIZER_OR_ADMIN,
        ownership=Ownership.EVENT_ORGANIZER_OR_ADMIN,
        answers={201: RouteAnswer(TicketType, "The ticket type.", ("Location", "ETag"))},
        tag="Events",
        body=CreateTicketTypeBody,
        is_command=True,
        problems=frozenset({Code.SALES_CLOSED}),
        description="An event has at most 200 of them, all in one currency (of EVENTHUB_CURRENCIES), and none is on "
        "sale after its end. A price has no more decimals than ISO 4217 gives its currency.",
    ),
    Route(
        method="PATCH",
        path="/api/ticket-types/{ticketTypeId}",
        operation_id="updateTicketType",
        summary="Change a ticket type",
        handler=update_ticket_type,
        access=ORGANIZER_OR_ADMIN,
        ownership=Ownership.EVENT_ORGANIZER_OR_ADMIN,
        answers={200: _TICKET_TYPE},
        tag="Events",
        body=UpdateTicketTypeBody,
        is_command=True,
        request_headers=("If-Match",),
        problems=frozenset({Code.VERSION_CONFLICT, Code.EVENT_HAS_SALES, Code.SALES_CLOSED}),
        description="A merge patch (RFC 7396). The quota never goes below what is held or sold.",
    ),
    Route(
        method="DELETE",
        path="/api/ticket-types/{ticketTypeId}",
        operation_id="deleteTicketType",
        summary="Remove a ticket type that nobody holds or owns",
        handler=delete_ticket_type,
        access=ORGANIZER_OR_ADMIN,
        ownership=Ownership.EVENT_ORGANIZER_OR_ADMIN,
        answers={200: RouteAnswer(TicketType, "The ticket type as it was.", ("ETag",))},
        tag="Events",
        is_command=True,
        request_headers=("If-Match",),
        problems=frozenset({Code.VERSION_CONFLICT, Code.EVENT_HAS_SALES, Code.SALES_CLOSED}),
    ),
)
