"""Who gets which tickets: the pure rule of a batch of orders.

In: stock and events as they stand, requests in the order they came, the time. Out: one grant or
refusal each, and what is taken per ticket type. No I/O, no clock, no ids.
Must stay true: never more is granted of a type than was available; first come, first served; a
smaller later request may take what a bigger earlier one could not; a request gets all its items or
none; nobody gets more of a type than its limit per person, counting what the batch gave before; the checks come in the
contract's order: 404, 400, SALES_CLOSED, LIMIT_EXCEEDED, SOLD_OUT.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from math import ceil

from contracts.problems import Code
from contracts.sales import EVENT_CANCELLED, SALES_PAUSED, each_once, left_of, on_sale
from contracts.tickets.ticket import ORDER_TICKETS_MAX
from db.holdings import NOTHING, Holding, Person
from db.stock import EventState, Stock

TOTAL_MAX = Decimal(10) ** 16
"""DECIMAL(18,2) holds totals below this."""


@dataclass(frozen=True, slots=True)
class AllocationRequest:
    """One request: so many tickets per type; `already` counts what its order holds of each type."""

    event_id: int
    items: tuple[tuple[int, int], ...]
    user_id: int = 0
    is_admin: bool = False
    already: Mapping[int, int] = field(default_factory=dict)
    total_before: Decimal = Decimal(0)
    adds: bool = False
    """To an order that exists: its account has no order more by it."""

    @property
    def person(self) -> Person:
        """Who asks, and for which event: limits per person count by it."""
        return self.user_id, self.event_id

    def sees(self, event: EventState) -> bool:
        """Whether the event is there for who asks: a draft is for its organizer and admins alone."""
        return not event.concealed or self.is_admin or event.organizer_id == self.user_id


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
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class PersonLimits:
    """unpaid_orders: of an event that an account may have (0: any number); cooldown: seconds without a new one after
    one expired unpaid (0: none)."""

    unpaid_orders: int = 0
    cooldown: int = 0


UNLIMITED = PersonLimits()


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
    *,
    holdings: Mapping[Person, Holding] | None = None,
    limits: PersonLimits = UNLIMITED,
) -> Allocation:
    """Serve requests in order from what is left after those before them. `holdings`: what each person has already."""
    persons = _Persons(holdings or {}, limits, now)
    left = {type_id: one.available for type_id, one in stock.items() if not one.deleted}
    taken: dict[int, int] = {}
    answers: list[AllocationGranted | AllocationRefused] = []
    for request in wanted:
        answer = _refusal(stock, events, request, persons, left) or _grant(stock, request)
        if isinstance(answer, AllocationGranted):
            persons.give(stock, request, answer)
            for type_id, quantity, _ in answer.lines:
                left[type_id] -= quantity
                taken[type_id] = taken.get(type_id, 0) + quantity
        answers.append(answer)
    return Allocation(tuple(answers), taken)


def _refusal(
    stock: Mapping[int, Stock],
    events: Mapping[int, EventState],
    request: AllocationRequest,
    persons: "_Persons",
    left: Mapping[int, int],
) -> AllocationRefused | None:
    event = events.get(request.event_id)
    if (
        event is None
        or not request.sees(event)
        or not left.keys() >= {one for one, _ in request.items}
    ):
        return AllocationRefused(Code.NOT_FOUND, "There is no such ticket type.")
    types = [(stock[type_id], quantity) for type_id, quantity in request.items]
    return (
        _malformed(types, request)
        or _closed(types, event, persons.now)
        or _over_limit(types, request)
        or persons.refusal(types, request)
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
    if event.concealed:
        return AllocationRefused(Code.SALES_CLOSED, "The event is a draft: publish it first.")
    if event.paused:
        return AllocationRefused(Code.SALES_CLOSED, SALES_PAUSED)
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


class _Persons:
    """What each person holds of each event, as the batch so far has left it."""

    def __init__(
        self, holdings: Mapping[Person, Holding], limits: PersonLimits, now: datetime
    ) -> None:
        self._holdings, self._limits, self.now = holdings, limits, now
        self._unpaid: dict[Person, int] = {}
        self._tickets: dict[tuple[Person, int], int] = {}

    def refusal(
        self, types: Sequence[tuple[Stock, int]], request: AllocationRequest
    ) -> AllocationRefused | None:
        """LIMIT_EXCEEDED when the person would hold too much."""
        holding = self._holdings.get(request.person, NOTHING)
        for one, quantity in types:
            if one.max_per_user is None:
                continue
            held = self._tickets.get((request.person, one.id), 0) + holding.tickets.get(one.id, 0)
            if held + quantity > one.max_per_user:
                detail = f"A person gets at most {one.max_per_user} tickets of type {one.id}."
                return AllocationRefused(Code.LIMIT_EXCEEDED, detail)
        bound = self._limits.unpaid_orders or holding.expired_at
        if not bound or request.adds or not _cost(types):
            return None
        return self._too_many_orders(request.person, holding) or self._cooling(holding)

    def _too_many_orders(self, person: Person, holding: Holding) -> AllocationRefused | None:
        most = self._limits.unpaid_orders
        if not most or holding.unpaid + self._unpaid.get(person, 0) < most:
            return None
        detail = f"An account has at most {most} unpaid orders of an event: pay or cancel one."
        wait = self._seconds_until(holding.next_end) if holding.next_end else None
        return AllocationRefused(Code.LIMIT_EXCEEDED, detail, retry_after=wait)

    def _cooling(self, holding: Holding) -> AllocationRefused | None:
        if holding.expired_at is None:
            return None
        free_at = holding.expired_at + timedelta(seconds=self._limits.cooldown)
        if self.now >= free_at:
            return None
        detail = "An order of yours for this event has just expired unpaid: wait a moment."
        wait = self._seconds_until(free_at)
        return AllocationRefused(Code.LIMIT_EXCEEDED, detail, retry_after=wait)

    def _seconds_until(self, moment: datetime) -> int:
        return max(1, ceil((moment - self.now).total_seconds()))

    def give(
        self, stock: Mapping[int, Stock], request: AllocationRequest, grant: AllocationGranted
    ) -> None:
        """Count what was granted just now, where something is limited."""
        for type_id, quantity, _ in grant.lines:
            if stock[type_id].max_per_user is not None:
                key = (request.person, type_id)
                self._tickets[key] = self._tickets.get(key, 0) + quantity
        if grant.cost and not request.adds:
            self._unpaid[request.person] = self._unpaid.get(request.person, 0) + 1


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
