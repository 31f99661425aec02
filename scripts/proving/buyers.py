"""The load client: buyers who order, sometimes cancel, sometimes pay, and write down what they were told.

In: gateways' addresses, buyers with tokens, ticket types, a seed. Out: a `History`.
Must stay true: it draws every choice from its seed; it believes nothing that it was not told: no answer is an
unknown end; with a key it asks again, as a careful client does, and expects the same command.
"""

import asyncio
import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import aiohttp

from scripts.proving.history import End, History, Operation

AGAIN_SECONDS = 0.25
ATTEMPTS = 40
NOTHING_DONE = frozenset({400, 401, 403, 404, 409, 413, 415, 422, 429, 503})


@dataclass(frozen=True, slots=True)
class Buyer:
    """An account and its access token."""

    user_id: int
    token: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What the buyers do. Shares are probabilities from 0 to 1."""

    gateways: Sequence[str]
    shelves: Sequence[Sequence[int]]
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


class Load:
    """Runs a plan for a list of buyers; each buys once."""

    def __init__(self, plan: Plan, buyers: Sequence[Buyer], history: History) -> None:
        self._plan, self.history = plan, history
        self._waiting = list(buyers)
        self._random = random.Random(plan.seed)  # noqa: S311 - a choice to be repeated, no secret
        self._numbers = 0
        self.done = 0

    async def run(self) -> None:
        """Let every buyer buy, `clients` at a time."""
        connector = aiohttp.TCPConnector(limit=0, force_close=False)
        timeout = aiohttp.ClientTimeout(total=self._plan.patience)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            await asyncio.gather(*(self._client(session) for _ in range(self._plan.clients)))

    def enough(self) -> None:
        """Let nobody begin any more; those who have begun come to their ends."""
        self._waiting.clear()

    async def _client(self, session: aiohttp.ClientSession) -> None:
        while self._waiting:
            await self._buy(session, self._waiting.pop())
            self.done += 1

    async def _buy(self, session: aiohttp.ClientSession, buyer: Buyer) -> None:
        pick = self._random
        shelf = list(pick.choice(self._plan.shelves))
        types = pick.sample(shelf, k=pick.randint(1, min(2, len(shelf))))
        items = tuple((one, pick.randint(1, 3)) for one in types)
        keyed, then = pick.random() < self._plan.keyed, pick.random()
        body = {"items": [{"ticketTypeId": one, "quantity": many} for one, many in items]}
        placed = await self._do(
            session, buyer, self._new("place", buyer, items=items), "/api/orders", body, keyed
        )
        if placed.end != "ok" or placed.made is None:
            return
        if then < self._plan.cancels:
            await self._do(
                session,
                buyer,
                self._new("cancel", buyer, target=placed.made),
                f"/api/orders/{placed.made}/cancel",
                None,
                keyed,
            )
        elif then < self._plan.cancels + self._plan.pays:
            await self._pay(session, buyer, placed.made, keyed)

    async def _pay(
        self, session: aiohttp.ClientSession, buyer: Buyer, order_id: int, keyed: bool
    ) -> None:
        quoted = await self._do(
            session,
            buyer,
            self._new("quote", buyer, target=order_id),
            "/api/public/payment/create-quote",
            {"orderId": order_id, "asset": "BTC"},
            keyed,
        )
        if quoted.made is None:
            return
        paid = f"{self._plan.seed} {buyer.user_id} {quoted.made}"
        tx_hash = "0x" + hashlib.sha256(paid.encode()).hexdigest()
        await self._do(
            session,
            buyer,
            self._new("confirm", buyer, target=quoted.made, tx_hash=tx_hash),
            f"/api/public/payment/confirm-payment/{quoted.made}",
            {"txHash": tx_hash},
            keyed,
        )

    def _new(self, kind: Any, buyer: Buyer, **what: Any) -> Operation:
        self._numbers += 1
        return Operation(self._numbers, kind, buyer.user_id, **what)

    async def _do(
        self,
        session: aiohttp.ClientSession,
        buyer: Buyer,
        operation: Operation,
        path: str,
        body: object,
        keyed: bool,
    ) -> Operation:
        """One operation to its end; with a key it is asked again as long as its end is unknown."""
        headers = {"Authorization": f"Bearer {buyer.token}", "Prefer": f"wait={self._plan.wait}"}
        if keyed:
            headers["Idempotency-Key"] = f"{self._plan.seed}-{operation.number}"
        for _ in range(ATTEMPTS if keyed else 1):
            operation = replace(operation, attempts=operation.attempts + 1)
            self.history.write(operation)
            operation = await self._ask(session, operation, path, body, headers)
            self.history.write(operation)
            if operation.end not in ("unknown", "accepted") and operation.status not in (429, 503):
                break
            await asyncio.sleep(AGAIN_SECONDS)
        return operation

    async def _ask(
        self,
        session: aiohttp.ClientSession,
        operation: Operation,
        path: str,
        body: object,
        headers: Mapping[str, str],
    ) -> Operation:
        gateway = self._random.choice(self._plan.gateways)
        before: End = operation.end if operation.attempts > 1 else "refused"
        arguments: dict[str, Any] = {} if body is None else {"json": body}
        try:
            async with session.post(gateway + path, headers=headers, **arguments) as answer:
                told = await answer.json(content_type=None)
                command_id = answer.headers.get("X-Command-Id") or told.get("commandId")
                return operation.ended(
                    end_of(answer.status, told, before),
                    status=answer.status,
                    code=told.get("code"),
                    command_id=command_id,
                    made=told.get("id") if answer.status in (200, 201) else None,
                )
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return operation.ended("unknown", status=None)


def end_of(status: int, told: Mapping[str, Any], before: End) -> End:
    """What an answer says of an operation whose end was `before`.

    A 503 that names a command leaves it open. So does any 429 or 503 after an unknown end: this time nothing was
    done, but the time before may have been.
    """
    if status in (200, 201):
        return "ok"
    if status == 202:
        return "accepted"
    if status not in NOTHING_DONE:
        return "unknown"
    if status == 503 and told.get("commandId"):
        return "unknown"
    if status in (429, 503) and before in ("unknown", "accepted"):
        return before
    return "refused"
