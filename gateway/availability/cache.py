"""The availability cache: what this gateway knows of stock and pauses, and when it may refuse an order by it.

In: (version, available) of ticket types as they are heard of or re-read, and what orders ask for. Out: a
problem, or nothing: then a worker decides.
Must stay true: the highest version wins, in whatever order messages come; a type is refused only while
what is known of it is under a second old and was read after the last change of its event, so that
neither a lost message nor a flush keeps anybody out; the refusal is the one that a worker would give now:
closed sales and limits come before sold out.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from aiohttp import web

from contracts.commands import Command, PlaceOrder
from contracts.outcomes import Outcome
from contracts.problems import Code, Problem
from contracts.sales import (
    EVENT_CANCELLED,
    SALES_PAUSED,
    left_of,
    on_sale,
    shortage_members,
)
from db.catalogue import SaleState

FRESH_SECONDS = 1.0
REREAD_SECONDS = 0.75
WANTED_SECONDS = 3.0
"""A type that nobody wanted in vain for this long is not re-read any more."""
TYPES_MAX = 10_000


class RequestedItem(Protocol):
    """So many tickets of one type, as an order asks for them."""

    @property
    def ticket_type_id(self) -> int:
        """Which type."""

    @property
    def quantity(self) -> int:
        """How many."""


@dataclass(frozen=True, slots=True)
class TypeState(SaleState):
    """A ticket type as MySQL showed it. `held`: tickets in unpaid orders."""

    held: int
    next_release_at: datetime | None

    def on_sale(self, now: datetime) -> bool:
        """Whether orders are taken now."""
        window = self.sales_start, self.sales_end, self.event_end
        return not self.cancelled and on_sale(now, *window)

    @property
    def closed(self) -> bool:
        """Whether the event takes no orders, whatever its times say."""
        return self.cancelled or self.paused


@dataclass(slots=True)
class _Known:
    """Times are monotonic seconds; -inf: never."""

    version: int = 0
    available: int = 0
    heard_at: float = float("-inf")
    state: TypeState | None = None
    read_at: float = float("-inf")
    wanted_at: float = float("-inf")
    sold_out: Problem | None = None
    """What those are told who are refused by this state, once somebody was."""


class AvailabilityCache:
    """What is known of each ticket type that was heard of lately."""

    def __init__(
        self, now: Callable[[], datetime], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._now = now
        self._monotonic = monotonic
        self._types: OrderedDict[int, _Known] = OrderedDict()
        self._changed: OrderedDict[int, float] = OrderedDict()
        self._wanted = asyncio.Event()

    def heard(self, type_id: int, version: int, available: int, at: float | None = None) -> None:
        """A type stood at `version` with `available` tickets (at that monotonic time, else now)."""
        known = self._known(type_id)
        if version < known.version:
            return
        if available != known.available:
            known.sold_out = None
        known.version, known.available = version, available
        known.heard_at = max(known.heard_at, self._monotonic() if at is None else at)

    def read(self, states: Mapping[int, TypeState], asked: Iterable[int], at: float) -> None:
        """What MySQL showed of the types asked for; the query began at that monotonic time."""
        for type_id in asked:
            state = states.get(type_id)
            if state is None:
                # Deleted meanwhile: a worker says so better.
                self._types.pop(type_id, None)
                continue
            known = self._known(type_id)
            known.state, known.read_at, known.sold_out = state, at, None
            self.heard(type_id, state.version, state.available, at)

    def changed(self, event_id: int) -> None:
        """The event or one of its types is not what it was: what was read of them before counts no more."""
        now = self._monotonic()
        self._changed[event_id] = now
        self._changed.move_to_end(event_id)
        while next(iter(self._changed.values())) < now - FRESH_SECONDS:
            self._changed.popitem(last=False)

    def check(self, event_id: int, items: Sequence[RequestedItem]) -> Problem | None:
        """What a new order for these items of the event would be refused with (409), None when it may succeed.

        Said, not raised: in a rush this is most of what a gateway does, and a raised error with its trace costs more
        than the look at what is known.
        """
        for item in items:
            if self._maybe_short(item.ticket_type_id, item.quantity):
                self.suspect(item.ticket_type_id for item in items)
                return self._problem(items, event_id)
        return None

    def learn(self, command: Command, outcome: Outcome) -> None:
        """A worker's refusal tells what is worth knowing better."""
        if isinstance(command, PlaceOrder) and outcome.code in (Code.SOLD_OUT, Code.SALES_CLOSED):
            self.suspect(item.ticket_type_id for item in command.items)

    def suspect(self, type_ids: Iterable[int]) -> None:
        """These are wanted and may be gone: re-read them for a while."""
        now = self._monotonic()
        for type_id in type_ids:
            self._known(type_id).wanted_at = now
        self._wanted.set()

    def due(self) -> list[int]:
        """The types to re-read now."""
        now = self._monotonic()
        return [
            type_id
            for type_id, known in self._types.items()
            if known.wanted_at > now - WANTED_SECONDS and known.read_at <= now - REREAD_SECONDS
        ]

    async def wanted(self) -> None:
        """Return once a type is wanted in vain, or still is."""
        now = self._monotonic()
        if not any(known.wanted_at > now - WANTED_SECONDS for known in self._types.values()):
            self._wanted.clear()
        await self._wanted.wait()

    def _maybe_short(self, type_id: int, quantity: int) -> bool:
        known = self._types.get(type_id)
        if known is None or known.version == 0:
            return False
        return quantity > known.available or (known.state is not None and known.state.closed)

    def _problem(self, items: Sequence[RequestedItem], event_id: int) -> Problem | None:
        changed_at = self._changed.get(event_id, float("-inf"))
        fresh_since = self._monotonic() - FRESH_SECONDS
        short: tuple[int, _Known, TypeState] | None = None
        now = self._now()
        for item in items:
            type_id, quantity = item.ticket_type_id, item.quantity
            known = self._types[type_id]
            state = known.state
            if state is not None and state.cancelled:
                # A cancelled event stays cancelled: the one closed sale that is known for sure.
                return Problem(Code.SALES_CLOSED, EVENT_CANCELLED)
            if state is None or known.read_at <= changed_at:
                return None
            if min(known.heard_at, known.read_at) < fresh_since:
                return None
            if state.paused:
                return Problem(Code.SALES_CLOSED, SALES_PAUSED)
            if not state.on_sale(now) or quantity > state.max_per_order:
                return None
            if quantity > known.available and short is None:
                short = (type_id, known, state)
        if short is None:
            return None
        type_id, known, state = short
        if known.sold_out is None:
            known.sold_out = _sold_out(type_id, known.available, state)
        return known.sold_out

    def _known(self, type_id: int) -> _Known:
        known = self._types.get(type_id)
        if known is None:
            known = self._types[type_id] = _Known()
            if len(self._types) > TYPES_MAX:
                self._types.popitem(last=False)
        return known


def _sold_out(type_id: int, available: int, state: TypeState) -> Problem:
    members = shortage_members(available, state.held, state.next_release_at)
    return Problem(Code.SOLD_OUT, left_of(type_id, available), members)


AVAILABILITY = web.AppKey("availability", AvailabilityCache)
