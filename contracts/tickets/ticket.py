"""A ticket: one place of a confirmed order, held by somebody, used once. Pure.

In: a confirmed order and its stored lines. Out: the tickets that it is owed; the ticket of the HTTP contract.
Must stay true: one ticket for each place and never two (the table's key says so as well); a status moves along
`TICKET_MOVES` and nowhere else; the code is no part of a ticket: whoever may see it derives it
(`contracts.tickets.codes`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

from contracts.problems import Code, Problem
from contracts.resources import IdNumber, Moment, OrderDetailRow, OrderRow
from contracts.shapes import INTERNAL, Answer, AsJson, json_writer, shows

ORDER_TICKETS_MAX = 10_000
"""Tickets of one order: they are issued in the one transaction that confirms it, which lives 4 s."""


class TicketStatus(StrEnum):
    """VALID lets in once; USED has; VOID never will (again)."""

    VALID = "VALID"
    USED = "USED"
    VOID = "VOID"


TICKET_MOVES: dict[TicketStatus, frozenset[TicketStatus]] = {
    TicketStatus.VALID: frozenset({TicketStatus.USED, TicketStatus.VOID}),
    TicketStatus.USED: frozenset({TicketStatus.VOID}),
    TicketStatus.VOID: frozenset(),
}
"""A used ticket becomes VOID when its order is refunded all the same."""


@dataclass(frozen=True, slots=True)
class NewTicket:
    """A ticket about to be issued. `number` counts the places of its line from 1."""

    order_detail_id: int
    number: int
    order_id: int
    event_id: int
    ticket_type_id: int
    holder_id: int


@dataclass(frozen=True, slots=True)
class StoredLine(OrderDetailRow):
    """A line of an order with its id: what tickets are issued for."""

    id: Annotated[int, INTERNAL] = 0


@dataclass(frozen=True, slots=True)
class TicketRow:
    """A row of `tickets`. `status` is one of `TicketStatus`; `number` counts the places of its line."""

    id: IdNumber
    order_id: IdNumber
    event_id: IdNumber
    ticket_type_id: IdNumber
    number: IdNumber
    holder_id: IdNumber
    holder_name: str | None
    status: Annotated[str, AsJson(Literal["VALID", "USED", "VOID"])]
    version: IdNumber
    issued_at: Moment
    used_at: Moment | None


@shows(TicketRow)
class TicketResource(Answer):
    """One place, held by somebody. `number` counts the places of its line in the order."""


class IssuedTickets(Answer):
    """Which tickets an order got."""

    order_id: IdNumber
    event_id: IdNumber
    user_id: IdNumber
    ticket_ids: list[IdNumber]


ticket_resource = json_writer(TicketRow)
"""The ticket of the contract, without its code: that is for those who may see it, in reads."""


def tickets_of(order: OrderRow, lines: Iterable[StoredLine]) -> list[NewTicket]:
    """The tickets that a confirmed order is owed: one for each place, held by its buyer."""
    return [
        NewTicket(
            order_detail_id=line.id,
            number=number,
            order_id=order.id,
            event_id=order.event_id,
            ticket_type_id=line.ticket_type_id,
            holder_id=order.user_id,
        )
        for line in lines
        for number in range(1, line.quantity + 1)
    ]


def by_order(issued: Iterable[tuple[int, NewTicket]]) -> dict[int, list[int]]:
    """Order id -> the ids of its new tickets, ascending."""
    found: dict[int, list[int]] = {}
    for ticket_id, ticket in issued:
        found.setdefault(ticket.order_id, []).append(ticket_id)
    return found


def tickets_issued(order: OrderRow, ticket_ids: list[int]) -> dict[str, Any]:
    """What is told of an order's new tickets: which they are, and no more."""
    return {
        "orderId": order.id,
        "eventId": order.event_id,
        "userId": order.user_id,
        "ticketIds": ticket_ids,
    }


def change_refusal(row: TicketRow) -> Problem | None:
    """Why a ticket can no longer be transferred or renamed; None while it is VALID."""
    if row.status == TicketStatus.USED:
        return Problem(Code.TICKET_USED, "The ticket has been used at the door.")
    if row.status == TicketStatus.VOID:
        return Problem(Code.TICKET_VOID, "The ticket is void.")
    return None
