"""Tickets over HTTP: list, show, the picture of a code, the public keys (reads); rename, transfer (commands).

In: a ticket's or an order's id, a name, an address. Out: the ticket, or why not.
Must stay true: only the holder and admins see a code, and only in reads; a code is derived when it is read; foreign
tickets look like none.
"""

import io
from datetime import datetime
from typing import Annotated, Any

import segno
from aiohttp import web
from pydantic import Field

from contracts.commands import Command, RenameHolder, TransferTicket
from contracts.models import Principal
from contracts.problems import Code, Problem
from contracts.shapes import Answer, shows
from contracts.tickets.codes import Jwk, NoSigningKey, TicketClaims, TicketKeys
from contracts.tickets.names import HolderName
from contracts.tickets.ticket import TicketResource, TicketRow, TicketStatus, ticket_resource
from db import order_reads
from db.accounts import accounts
from db.tickets import reads
from db.tickets.reads import TicketRead
from gateway.accounts.sign_in import Email
from gateway.http.keys import (
    CLOCK,
    DATABASE,
    KEYRING,
    body,
    path_id,
    principal,
    query,
)
from gateway.http.models import Body, PageQuery
from gateway.http.paging import Page, from_cursor, page
from gateway.http.problems import Refusal, not_found, unavailable
from gateway.http.replies import json_reply, raw_reply
from gateway.http.routing import (
    ANYONE,
    SIGNED_IN,
    Ownership,
    Route,
    RouteAnswer,
)
from gateway.resources.orders import NO_ORDER
from gateway.submission.submit import Call, submit

NO_TICKET = "There is no such ticket, or it is not yours."
_LAST = 2**63 - 1
_SVG = "image/svg+xml"
_JWKS = "application/jwk-set+json"
KEYS_MAX_AGE = 3600
"""As long as a new key is published before it signs (`db.tickets.keys.PUBLISHED_SECONDS`)."""
_QR_SCALE = 8


class TransferBody(Body):
    """Who shall hold the ticket: the address of an account."""

    email: Annotated[Email, Field(examples=["grace@example.com"])]


class HolderBody(Body):
    """The name on the ticket; null takes it off."""

    holder_name: HolderName | None


@shows(TicketRow)
class Ticket(Answer):
    """A ticket as a reader sees it. `code`: null for all but its holder and admins, and of a void ticket."""

    code: str | None


class TicketPage(Page):
    """A page of tickets."""

    data: list[Ticket]


class JwkSet(Answer):
    """The public keys that verify."""

    keys: list[Jwk]


class Codes:
    """Derives the codes that one caller may see."""

    def __init__(self, keys: TicketKeys, caller: Principal, now: datetime) -> None:
        self._keys, self._caller, self._now = keys, caller, now
        self._all = caller.has(("ADMIN",))

    @classmethod
    async def for_caller(cls, request: web.Request) -> "Codes":
        """With the keys and the time of this moment."""
        app = request.app
        return cls(await app[KEYRING].keys(), principal(request), app[CLOCK].now())

    def show(self, row: TicketRow) -> dict[str, Any]:
        """The ticket as this caller sees it. Raises Refusal (503) while there is no key."""
        sees = self._all or row.holder_id == self._caller.user_id
        code = self.of(row) if sees and row.status != TicketStatus.VOID else None
        return ticket_resource(row) | {"code": code}

    def of(self, row: TicketRow) -> str:
        """The ticket's code. Raises Refusal (503) while there is no key."""
        claims = TicketClaims(row.id, row.event_id, row.ticket_type_id, row.version)
        try:
            return self._keys.code(claims, self._now)
        except NoSigningKey:
            raise unavailable("There is no key to sign tickets with yet.") from None


async def list_held(request: web.Request) -> web.Response:
    """GET /api/tickets."""
    wanted = query(request, PageQuery)
    below = int(from_cursor(wanted.cursor, int)[0]) if wanted.cursor else _LAST
    caller, codes = principal(request), await Codes.for_caller(request)
    rows = await reads.held(request.app[DATABASE], caller.user_id, below, wanted.limit + 1)
    return json_reply(page(rows, wanted.limit, lambda row: (row.id,), codes.show))


async def list_of_order(request: web.Request) -> web.Response:
    """GET /api/orders/{orderId}/tickets."""
    wanted, order_id = query(request, PageQuery), path_id(request, "orderId")
    after = int(from_cursor(wanted.cursor, int)[0]) if wanted.cursor else 0
    caller, database = principal(request), request.app[DATABASE]
    owners = await order_reads.owners_of_order(database, order_id)
    if owners is None:
        raise not_found(NO_ORDER)
    sees_all = (
        owners.user_id == caller.user_id
        or caller.has(("ADMIN",))
        or (owners.organizer_id == caller.user_id and caller.has(("ORGANIZER",)))
    )
    holder = None if sees_all else caller.user_id
    rows = await reads.of_order(database, order_id, holder, after, wanted.limit + 1)
    if not rows and not sees_all:
        raise not_found(NO_ORDER)
    codes = await Codes.for_caller(request)
    return json_reply(page(rows, wanted.limit, lambda row: (row.id,), codes.show))


async def show_ticket(request: web.Request) -> web.Response:
    """GET /api/tickets/{ticketId}."""
    caller, found = principal(request), await _find(request)
    concerned = caller.user_id in (found.row.holder_id, found.owners.buyer_id)
    organizes = found.owners.organizer_id == caller.user_id and caller.has(("ORGANIZER",))
    if not (concerned or organizes or caller.has(("ADMIN",))):
        raise not_found(NO_TICKET)
    return json_reply((await Codes.for_caller(request)).show(found.row))


async def show_qr(request: web.Request) -> web.Response:
    """GET /api/tickets/{ticketId}/qr.svg."""
    row = (await _held(request)).row
    if row.status == TicketStatus.VOID:
        raise Refusal(Problem(Code.TICKET_VOID, "The ticket is void: it has no code any more."))
    picture = io.BytesIO()
    code = (await Codes.for_caller(request)).of(row)
    segno.make(code, error="m", micro=False).save(
        picture, kind="svg", scale=_QR_SCALE, dark="#000", light="#fff", xmldecl=False
    )
    return raw_reply(picture.getvalue(), content_type=_SVG)


async def rename_holder(request: web.Request) -> web.Response:
    """PATCH /api/tickets/{ticketId}."""
    ticket_id, wanted = path_id(request, "ticketId"), body(request, HolderBody)

    async def prepare(caller: Principal, fingerprint: str) -> Command:
        await _held(request)
        return RenameHolder(
            principal=caller,
            fingerprint=fingerprint,
            ticket_id=ticket_id,
            holder_name=wanted.holder_name,
        )

    return await submit(request, Call(RenameHolder, wanted, prepare))


async def transfer_ticket(request: web.Request) -> web.Response:
    """POST /api/tickets/{ticketId}/transfer."""
    ticket_id, wanted = path_id(request, "ticketId"), body(request, TransferBody)

    async def prepare(caller: Principal, fingerprint: str) -> Command:
        await _held(request)
        receiver = await accounts.verified_by_email(request.app[DATABASE], wanted.email)
        if receiver is None:
            raise not_found("There is no account with this verified address.")
        return TransferTicket(
            principal=caller, fingerprint=fingerprint, ticket_id=ticket_id, to_user_id=receiver
        )

    return await submit(request, Call(TransferTicket, wanted, prepare))


async def show_keys(request: web.Request) -> web.Response:
    """GET /.well-known/eventhub-tickets.json."""
    keys = await request.app[KEYRING].keys()
    headers = {"Cache-Control": f"public, max-age={KEYS_MAX_AGE}"}
    reply = json_reply(keys.to_jwks(), headers=headers)
    reply.headers["Content-Type"] = _JWKS
    return reply


async def _find(request: web.Request) -> TicketRead:
    found = await reads.find(request.app[DATABASE], path_id(request, "ticketId"))
    if found is None:
        raise not_found(NO_TICKET)
    return found


async def _held(request: web.Request) -> TicketRead:
    """The ticket, if the caller holds it. Raises Refusal (404)."""
    found = await _find(request)
    if found.row.holder_id != principal(request).user_id:
        raise not_found(NO_TICKET)
    return found


_PATH = "/api/tickets/{ticketId}"
_CHANGES = frozenset({Code.TICKET_USED, Code.TICKET_VOID})

ROUTES = (
    Route(
        method="GET",
        path="/api/orders/{orderId}/tickets",
        operation_id="listOrderTickets",
        summary="The tickets of an order",
        handler=list_of_order,
        access=SIGNED_IN,
        ownership=Ownership.HOLDER_OWNER_ORGANIZER_OR_ADMIN,
        answers={200: RouteAnswer(TicketPage, "A page of tickets by rising id.")},
        tag="Tickets",
        query=PageQuery,
        description="Who only holds some of them sees those alone.",
    ),
    Route(
        method="GET",
        path="/api/tickets",
        operation_id="listTickets",
        summary="The tickets that you hold, the newest first",
        handler=list_held,
        access=SIGNED_IN,
        ownership=Ownership.SELF,
        answers={200: RouteAnswer(TicketPage, "A page of tickets.")},
        tag="Tickets",
        query=PageQuery,
    ),
    Route(
        method="GET",
        path=_PATH,
        operation_id="showTicket",
        summary="A ticket",
        handler=show_ticket,
        access=SIGNED_IN,
        ownership=Ownership.HOLDER_OWNER_ORGANIZER_OR_ADMIN,
        answers={200: RouteAnswer(Ticket, "The ticket.")},
        tag="Tickets",
        description="`code` is for the holder and for admins; others find null.",
    ),
    Route(
        method="GET",
        path=_PATH + "/qr.svg",
        operation_id="showTicketQr",
        summary="A ticket's code as a picture",
        handler=show_qr,
        access=SIGNED_IN,
        ownership=Ownership.HOLDER,
        answers={200: RouteAnswer(None, "A QR code.", media_type=_SVG)},
        tag="Tickets",
        problems=frozenset({Code.TICKET_VOID}),
    ),
    Route(
        method="PATCH",
        path=_PATH,
        operation_id="renameHolder",
        summary="Write a name on a ticket",
        handler=rename_holder,
        access=SIGNED_IN,
        ownership=Ownership.HOLDER,
        answers={200: RouteAnswer(TicketResource, "The ticket.")},
        tag="Tickets",
        body=HolderBody,
        is_command=True,
        problems=_CHANGES,
    ),
    Route(
        method="POST",
        path=_PATH + "/transfer",
        operation_id="transferTicket",
        summary="Give a ticket to another account",
        handler=transfer_ticket,
        access=SIGNED_IN,
        ownership=Ownership.HOLDER,
        answers={200: RouteAnswer(TicketResource, "The ticket, held by the other account.")},
        tag="Tickets",
        body=TransferBody,
        is_command=True,
        problems=_CHANGES,
        description="Its `version` rises: codes of before are void at once, at gates without a network with their "
        "next bundle.",
    ),
    Route(
        method="GET",
        path="/.well-known/eventhub-tickets.json",
        operation_id="ticketKeys",
        summary="The public keys of ticket codes",
        handler=show_keys,
        access=ANYONE,
        answers={200: RouteAnswer(JwkSet, "A JWK set (RFC 7517).", media_type=_JWKS)},
        tag="Tickets",
        description="A key is published an hour before it signs, and stays as long as its events.",
    ),
)
