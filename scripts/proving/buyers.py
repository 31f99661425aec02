"""The load client: buyers who order, sometimes cancel, sometimes pay, and write down what they were told.

In: gateways' addresses, buyers with tokens, ticket types, a seed. Out: a `History`.
Must stay true: it draws every choice from its seed; each buyer buys once, so that effects are found by user; with
somebody to send more buyers it ends when it is told to, however fast they are served.
"""

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from scripts.proving.calling import Buyer, Caller
from scripts.proving.history import History, Operation

__all__ = ["Buyer", "BuyerLoad", "More", "Plan"]

More = Callable[[], Awaitable[Sequence[Buyer]]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What the buyers do. Shares are probabilities from 0 to 1."""

    gateways: Sequence[str]
    events_on_sale: Sequence[Sequence[int]]
    """Ticket types by event: an order takes from one event."""
    seed: int
    clients: int = 16
    keyed: float = 0.6
    """With an Idempotency-Key, and therefore asked again until there is an answer."""
    cancels: float = 0.2
    pays: float = 0.0
    wait: int = 5
    patience: float = 10.0
    """Seconds until an answer that has not come is none."""


class BuyerLoad:
    """Runs a plan for a list of buyers; each buys once. `more` sends further ones when the list is at its end."""

    def __init__(
        self, plan: Plan, buyers: Sequence[Buyer], history: History, more: More | None = None
    ) -> None:
        self._plan, self.history, self._more = plan, history, more
        self._sending, self._told_enough = asyncio.Lock(), False
        self._waiting = list(buyers)
        self._random = random.Random(plan.seed)  # noqa: S311 - a choice to be repeated, no secret
        self._numbers = 0
        self.done = 0

    async def run(self) -> None:
        """Let every buyer buy, `clients` at a time."""
        plan = self._plan
        connector = aiohttp.TCPConnector(limit=0, force_close=False)
        timeout = aiohttp.ClientTimeout(total=plan.patience)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            caller = Caller(session, plan.gateways, str(plan.seed), self._random, plan.wait)
            await asyncio.gather(*(self._client(caller) for _ in range(plan.clients)))

    def enough(self) -> None:
        """Let nobody begin any more; those who have begun come to their ends."""
        self._told_enough = True
        self._waiting.clear()

    async def _client(self, caller: Caller) -> None:
        while buyer := await self._next():
            await self._buy(caller, buyer)
            self.done += 1

    async def _next(self) -> Buyer | None:
        async with self._sending:
            if self._more and not self._waiting and not self._told_enough:
                self._waiting.extend(await self._more())
        return self._waiting.pop() if self._waiting and not self._told_enough else None

    async def _buy(self, caller: Caller, buyer: Buyer) -> None:
        pick, history = self._random, self.history
        event_on_sale = list(pick.choice(self._plan.events_on_sale))
        types = pick.sample(event_on_sale, k=pick.randint(1, min(2, len(event_on_sale))))
        items = tuple((one, pick.randint(1, 3)) for one in types)
        keyed, then = pick.random() < self._plan.keyed, pick.random()
        body = {"items": [{"ticketTypeId": one, "quantity": many} for one, many in items]}
        place = self._new("place", buyer, items=items)
        placed = await caller.do(history, buyer, place, "/api/orders", body, keyed=keyed)
        if placed.end != "ok" or placed.made is None:
            return
        if then < self._plan.cancels:
            cancel = self._new("cancel", buyer, target=placed.made)
            path = f"/api/orders/{placed.made}/cancel"
            await caller.do(history, buyer, cancel, path, None, keyed=keyed)
        elif then < self._plan.cancels + self._plan.pays:
            await self._pay(caller, buyer, placed.made, keyed=keyed)

    async def _pay(self, caller: Caller, buyer: Buyer, order_id: int, *, keyed: bool) -> None:
        quote = self._new("quote", buyer, target=order_id)
        body = {"orderId": order_id, "asset": "BTC"}
        path = "/api/public/payment/create-quote"
        quoted = await caller.do(self.history, buyer, quote, path, body, keyed=keyed)
        if quoted.made is None:
            return
        tx_hash = hash_of(f"{self._plan.seed} {buyer.user_id} {quoted.made}")
        confirm = self._new("confirm", buyer, target=quoted.made, tx_hash=tx_hash)
        path = f"/api/public/payment/confirm-payment/{quoted.made}"
        await caller.do(self.history, buyer, confirm, path, {"txHash": tx_hash}, keyed=keyed)

    def _new(self, kind: Any, buyer: Buyer, **what: Any) -> Operation:
        self._numbers += 1
        return Operation(self._numbers, kind, buyer.user_id, **what)


def hash_of(paid: str) -> str:
    """A transaction hash that stands for what was paid."""
    return "0x" + hashlib.sha256(paid.encode()).hexdigest()
