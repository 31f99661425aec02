"""One shopper's visit: look, order, perhaps add, cancel, pay or leave; sometimes ask the same thing twice.

In: a caller, a buyer, what is on sale, a history. Out: the history's operations; what should not have been, in `odd`.
Must stay true: each buyer makes one order, so that effects are found by user; the last tickets (`scarce`) are never
paid for: they must come back, over and over.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from scripts.proving.buyers import hash_of
from scripts.proving.calling import Buyer, Caller
from scripts.proving.history import End, History, Operation

ODD_MAX = 50
POLL_SECONDS = 5
UNDECIDED_SECONDS = 60.0
ENDS: Mapping[str, End] = {"SUCCEEDED": "ok", "REJECTED": "refused", "FAILED": "refused"}


@dataclass(frozen=True, slots=True)
class EventOnSale:
    """An event and its ticket types. scarce: few tickets for many buyers."""

    event_id: int
    ticket_types: tuple[int, ...]
    scarce: bool = False


@dataclass(frozen=True, slots=True)
class Habits:
    """What shoppers do. Shares are probabilities from 0 to 1; those of `scarce` events never pay."""

    scarce: float = 0.1
    keyed: float = 0.6
    streams: float = 0.1
    """Wait for the decision on the stream of server-sent events."""
    polls: float = 0.1
    """Ask for the decision until it is there."""
    repeats: float = 0.1
    reads: float = 0.5
    adds: float = 0.2
    cancels: float = 0.25
    quotes: float = 0.35
    pays: float = 0.85
    """Of those with a quote. Who neither cancels nor pays lets the order expire."""


@dataclass(slots=True)
class Visitors:
    """What all visits share."""

    caller: Caller
    events_on_sale: Sequence[EventOnSale]
    habits: Habits
    pick: random.Random
    odd: Counter[str] = field(default_factory=Counter)
    """Answers that no shopper may be given, with how often."""
    reads: Counter[str] = field(default_factory=Counter)
    """Reads by status."""

    def event_on_sale(self) -> EventOnSale:
        """Where the next shopper goes."""
        scarce = self.pick.random() < self.habits.scarce
        return self.pick.choice([one for one in self.events_on_sale if one.scarce == scarce])

    def chance(self, share: float) -> bool:
        """True with that probability."""
        return self.pick.random() < share

    def strange(self, what: str) -> None:
        """Note an answer that should not have been."""
        if what in self.odd or len(self.odd) < ODD_MAX:
            self.odd[what] += 1


class Visit:
    """One buyer."""

    def __init__(self, all_: Visitors, buyer: Buyer, history: History, first_number: int) -> None:
        self._all, self._caller, self._buyer, self._history = all_, all_.caller, buyer, history
        self._number = first_number
        self._keyed = all_.chance(all_.habits.keyed)

    async def run(self) -> None:
        """From the first look to the end."""
        event_on_sale = self._all.event_on_sale()
        if self._all.chance(self._all.habits.reads):
            await self._read(
                self._all.pick.choice([f"/api/events/{event_on_sale.event_id}", "/api/events"])
            )
        placed = await self._place(event_on_sale)
        if placed.end != "ok" or placed.made is None:
            return
        order = placed.made
        if self._all.chance(self._all.habits.reads):
            await self._read(self._all.pick.choice([f"/api/orders/{order}", "/api/orders"]))
        if self._all.chance(self._all.habits.adds):
            await self._add(order, event_on_sale)
        if self._all.chance(self._all.habits.cancels):
            await self._do("cancel", f"/api/orders/{order}/cancel", None, target=order)
        elif not event_on_sale.scarce and self._all.chance(self._all.habits.quotes):
            await self._pay(order)

    async def _place(self, event_on_sale: EventOnSale) -> Operation:
        habits, way = self._all.habits, self._all.pick.random()
        items = self._items(event_on_sale, 2)
        if way < habits.streams + habits.polls:
            return await self._place_and_wait(items, streamed=way < habits.streams)
        placed = await self._do("place", "/api/orders", _body(items), items=items)
        if placed.end == "ok" and self._keyed and self._all.chance(habits.repeats):
            await self._repeat(placed, _body(items))
        return placed

    async def _repeat(self, placed: Operation, body: object) -> None:
        """The same call with the same key is the same order."""
        headers = self._caller.headers(self._buyer, placed, keyed=True)
        again = await self._caller.ask(placed, "/api/orders", body, headers)
        if again.end == "ok" and again.made != placed.made:
            self._all.strange("a repeat made another order")
        elif again.end == "refused" and again.status not in (429, 503):
            self._all.strange(f"a repeat was refused: {again.status} {again.code}")

    async def _place_and_wait(
        self, items: tuple[tuple[int, int], ...], *, streamed: bool
    ) -> Operation:
        """Without `Prefer`: 202 at once, and the decision by itself."""
        operation = self._new("place", items=items)
        self._history.write(operation)
        headers = self._caller.headers(self._buyer, operation, keyed=False, waits=False)
        operation = await self._caller.ask(operation, "/api/orders", _body(items), headers)
        if operation.end == "accepted" and operation.command_id:
            hear = self._stream if streamed else self._poll
            try:
                async with asyncio.timeout(UNDECIDED_SECONDS):
                    operation = _decided(operation, await hear(operation.command_id))
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                self._caller.told[f"unheard {type(error).__name__}"] += 1
        self._history.write(operation)
        return operation

    async def _stream(self, command_id: str) -> dict[str, Any]:
        """The one event of the command's stream. Raises ValueError when it ends without it."""
        async with self._get(f"/api/commands/{command_id}/events") as answer:
            self._caller.told[f"stream {answer.status}"] += 1
            async for line in answer.content:
                if line.startswith(b"data:"):
                    told: dict[str, Any] = json.loads(line[5:])
                    return told
        raise ValueError("a stream without its event")

    async def _poll(self, command_id: str) -> dict[str, Any]:
        while True:
            path = f"/api/commands/{command_id}?wait={POLL_SECONDS}"
            async with self._get(path) as answer:
                self._caller.told[f"poll {answer.status}"] += 1
                told: dict[str, Any] = await answer.json()
            if told.get("status") != "PENDING":
                return told

    async def _add(self, order: int, event_on_sale: EventOnSale) -> None:
        items = self._items(event_on_sale, 1)
        await self._do("add", "/api/orders", _body(items, order), items=items, target=order)

    async def _pay(self, order: int) -> None:
        body = {"orderId": order, "asset": self._all.pick.choice(["BTC", "ETH"])}
        path = "/api/public/payment/create-quote"
        quoted = await self._do("quote", path, body, target=order)
        if quoted.made is None or not self._all.chance(self._all.habits.pays):
            return
        tx_hash = hash_of(f"{self._caller.name} {self._buyer.user_id} {quoted.made}")
        path = f"/api/public/payment/confirm-payment/{quoted.made}"
        await self._do("confirm", path, {"txHash": tx_hash}, target=quoted.made, tx_hash=tx_hash)

    async def _read(self, path: str) -> None:
        try:
            async with self._get(path) as answer:
                await answer.read()
                self._all.reads[str(answer.status)] += 1
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._all.reads[f"unanswered {type(error).__name__}"] += 1

    def _get(self, path: str) -> Any:
        gateway = self._all.pick.choice(self._caller.gateways)
        return self._caller.session.get(gateway + path, headers=self._buyer.authorization)

    def _items(self, event_on_sale: EventOnSale, types_max: int) -> tuple[tuple[int, int], ...]:
        pick = self._all.pick
        count = pick.randint(1, min(types_max, len(event_on_sale.ticket_types)))
        return tuple(
            (one, pick.randint(1, 2)) for one in pick.sample(event_on_sale.ticket_types, k=count)
        )

    async def _do(self, kind: Any, path: str, body: object, **what: Any) -> Operation:
        operation = self._new(kind, **what)
        return await self._caller.do(
            self._history, self._buyer, operation, path, body, keyed=self._keyed
        )

    def _new(self, kind: Any, **what: Any) -> Operation:
        self._number += 1
        return Operation(self._number, kind, self._buyer.user_id, **what)


def _body(items: Sequence[tuple[int, int]], order: int | None = None) -> dict[str, Any]:
    body: dict[str, Any] = {
        "items": [{"ticketTypeId": one, "quantity": many} for one, many in items]
    }
    return body if order is None else body | {"orderId": order}


def _decided(operation: Operation, told: Mapping[str, Any]) -> Operation:
    """The operation after its command resource says how it ended. Raises ValueError when it does not."""
    end = ENDS.get(str(told.get("status")))
    if end is None:
        raise ValueError(f"a decision says {told.get('status')}")
    result, problem = told.get("result") or {}, told.get("problem") or {}
    return operation.ended(
        end, status=told.get("statusCode"), code=problem.get("code"), made=result.get("id")
    )
