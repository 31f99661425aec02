"""Who gets which tickets: the pure rule of a batch of orders.

In: stock and events as they stand, requests in the order they came, the time. Out: one grant or
refusal each, and what is taken per ticket type. No I/O, no clock, no ids.
Must stay true: never more is granted of a type than was available; first come, first served; a
smaller later request may take what a bigger earlier one could not; a request gets all its items or
none; the checks come in the contract's order: 404, 400, SALES_CLOSED, LIMIT_EXCEEDED, SOLD_OUT.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from contracts.problems import Code
from contracts.sales import EVENT_CANCELLED, each_once, left_of, on_sale
from contracts.tickets.ticket import ORDER_TICKETS_MAX
from db.stock import EventState, Stock

TOTAL_MAX = Decimal(10) ** 16
"""DECIMAL(18,2) holds totals below this."""


@dataclass(frozen=True, slots=True)
class AllocationRequest:
    """One request: so many tickets per type; `already` counts what its order holds of each type."""

    event_id: int
    items: tuple[tuple[int, int], ...]
    already: Mapping[int, int] = field(default_factory=dict)
    total_before: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class AllocationGranted:
    """All items are granted. Lines: (ticket type, quantity, unit price)."""

    lines: tuple[tuple[int, int, Decimal], ...]
    cost: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class AllocationRefused:
    """Nothing is granted. `ticket_type_id` names the type that is short when sold out."""

    code: Code
    detail: str
    ticket_type_id: int | None = None
    available: int | None = None


@dataclass(frozen=True, slots=True)
class Allocation:
    """The answers in request order, and the quantities taken per type (only positive ones)."""

    answers: tuple[AllocationGranted | AllocationRefused, ...]
    taken: Mapping[int, int]


def allocate(
    stock: Mapping[int, Stock],
    events: Mapping[int, EventState],
    wanted: Sequence[AllocationRequest],
    now: datetime,
) -> Allocation:
    """Serve requests in order from what is left after those before them."""
    left = {type_id: one.available for type_id, one in stock.items() if not one.deleted}
    taken: dict[int, int] = {}
    answers: list[AllocationGranted | AllocationRefused] = []
    for request in wanted:
        answer = _refusal(stock, events, request, now, left) or _grant(stock, request)
        if isinstance(answer, AllocationGranted):
            for type_id, quantity, _ in answer.lines:
                left[type_id] -= quantity
                taken[type_id] = taken.get(type_id, 0) + quantity
        answers.append(answer)
    return Allocation(tuple(answers), taken)


def _refusal(
    stock: Mapping[int, Stock],
    events: Mapping[int, EventState],
    request: AllocationRequest,
    now: datetime,
    left: Mapping[int, int],
) -> AllocationRefused | None:
    event = events.get(request.event_id)
    if event is None or any(type_id not in left for type_id, _ in request.items):
        return AllocationRefused(Code.NOT_FOUND, "There is no such ticket type.")
    types = [(stock[type_id], quantity) for type_id, quantity in request.items]
    return (
        _malformed(types, request)
        or _closed(types, event, now)
        or _over_limit(types, request)
        or _sold_out(types, left)
    )


def _malformed(
    types: Sequence[tuple[Stock, int]], request: AllocationRequest
) -> AllocationRefused | None:
    if not types:
        return AllocationRefused(Code.INVALID, "An order has at least one item.")
    if any(one.event_id != request.event_id for one, _ in types):
        return AllocationRefused(Code.INVALID, "The ticket types of an order belong to one event.")
    if not each_once(one.id for one, _ in types):
        return AllocationRefused(Code.INVALID, "A ticket type stands twice in the request.")
    return None


def _closed(
    types: Sequence[tuple[Stock, int]], event: EventState, now: datetime
) -> AllocationRefused | None:
    if event.cancelled:
        return AllocationRefused(Code.SALES_CLOSED, EVENT_CANCELLED)
    for one, _ in types:
        if not on_sale(now, one.sales_start, one.sales_end, event.end_time):
            return AllocationRefused(Code.SALES_CLOSED, f"Ticket type {one.id} is not on sale now.")
    return None


def _over_limit(
    types: Sequence[tuple[Stock, int]], request: AllocationRequest
) -> AllocationRefused | None:
    for one, quantity in types:
        if quantity + request.already.get(one.id, 0) > one.max_per_order:
            limit = f"An order holds at most {one.max_per_order} tickets of type {one.id}."
            return AllocationRefused(Code.LIMIT_EXCEEDED, limit)
    if sum(request.already.values()) + sum(quantity for _, quantity in types) > ORDER_TICKETS_MAX:
        limit = f"An order holds at most {ORDER_TICKETS_MAX} tickets."
        return AllocationRefused(Code.LIMIT_EXCEEDED, limit)
    if _cost(types) + request.total_before >= TOTAL_MAX:
        return AllocationRefused(
            Code.LIMIT_EXCEEDED, "The order's total is more than can be charged."
        )
    return None


def _sold_out(
    types: Sequence[tuple[Stock, int]], left: Mapping[int, int]
) -> AllocationRefused | None:
    for one, quantity in types:
        if quantity > left[one.id]:
            detail = left_of(one.id, left[one.id])
            return AllocationRefused(Code.SOLD_OUT, detail, one.id, left[one.id])
    return None


def _grant(stock: Mapping[int, Stock], request: AllocationRequest) -> AllocationGranted:
    types = [(stock[type_id], quantity) for type_id, quantity in request.items]
    lines = tuple((one.id, quantity, one.price) for one, quantity in types)
    return AllocationGranted(lines, _cost(types), types[0][0].currency)


def _cost(types: Sequence[tuple[Stock, int]]) -> Decimal:
    return sum((one.price * quantity for one, quantity in types), Decimal(0))
