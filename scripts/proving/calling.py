"""One caller of the API who writes down every call before it is sent and again when it ends.

In: an operation, its path and body, whether it has an Idempotency-Key. Out: the operation with its end; each answer
counted in `told`.
Must stay true: nothing is believed that was not told: no answer is an unknown end; with a key it asks again, as a
careful client does, and expects the same command. An answer that nobody may be given (500, no JSON) is kept, whatever
comes after it.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp

from scripts.proving.history import End, History, Operation

AGAIN_SECONDS = 0.25
ATTEMPTS = 40
NOTHING_DONE = frozenset({400, 401, 403, 404, 409, 413, 415, 422, 429, 503})
ANSWERS = NOTHING_DONE | {200, 201, 202}
"""Whatever else a gateway says to a call is no answer: it must know what it did, or that nobody can know (503)."""


@dataclass(frozen=True, slots=True)
class Buyer:
    """An account and its access token."""

    user_id: int
    token: str

    @property
    def authorization(self) -> dict[str, str]:
        """The header that says who asks."""
        return {"Authorization": f"Bearer {self.token}"}


@dataclass(slots=True)
class Caller:
    """Calls gateways for buyers. `name` makes the Idempotency-Keys of this load its own."""

    session: aiohttp.ClientSession
    gateways: Sequence[str]
    name: str
    pick: random.Random
    wait: int = 5
    told: Counter[str] = field(default_factory=Counter)
    """Answers by status, refusals with their code ("409 SOLD_OUT"), `unanswered …` with an error's name, `replayed`."""

    async def do(
        self,
        history: History,
        buyer: Buyer,
        operation: Operation,
        path: str,
        body: object,
        *,
        keyed: bool,
    ) -> Operation:
        """One operation to its end; with a key it is asked again as long as its end is unknown."""
        headers = self.headers(buyer, operation, keyed=keyed)
        for _ in range(ATTEMPTS if keyed else 1):
            operation = replace(operation, attempts=operation.attempts + 1)
            history.write(operation)
            operation = await self.ask(operation, path, body, headers)
            history.write(operation)
            if operation.end not in ("unknown", "accepted") and operation.status not in (429, 503):
                break
            await asyncio.sleep(AGAIN_SECONDS)
        return operation

    def headers(
        self, buyer: Buyer, operation: Operation, *, keyed: bool, waits: bool = True
    ) -> dict[str, str]:
        """Who asks, how long they wait for the decision, and their key."""
        headers = dict(buyer.authorization)
        if waits:
            headers["Prefer"] = f"wait={self.wait}"
        if keyed:
            headers["Idempotency-Key"] = f"{self.name}-{operation.number}"
        return headers

    async def ask(
        self, operation: Operation, path: str, body: object, headers: Mapping[str, str]
    ) -> Operation:
        """POST once; the operation as it stands after the answer, or without one."""
        gateway = self.pick.choice(self.gateways)
        arguments: dict[str, Any] = {} if body is None else {"json": body}
        try:
            async with self.session.post(gateway + path, headers=headers, **arguments) as answer:
                raw = await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            self.told[f"unanswered {type(error).__name__}"] += 1
            return operation.ended("unknown", status=None)
        told = _document(raw)
        self._count(answer, told or {})
        return answered(operation, answer.status, told, answer.headers.get("X-Command-Id"))

    def _count(self, answer: aiohttp.ClientResponse, told: Mapping[str, Any]) -> None:
        self.told[f"{answer.status} {told['code']}" if "code" in told else str(answer.status)] += 1
        if answer.headers.get("Idempotent-Replayed"):
            self.told["replayed"] += 1


def answered(
    operation: Operation, status: int, told: Mapping[str, Any] | None, named: str | None
) -> Operation:
    """The operation after an answer: its JSON (None: it had none), and the command that its header names."""
    broken = operation.broken
    if told is None or status not in ANSWERS:
        code = "without a document" if told is None else told.get("code", "")
        broken = (*broken, f"{status} {code}".strip())
    if told is None:
        return operation.ended("unknown", status=status, broken=broken)
    before: End = operation.end if operation.attempts > 1 else "refused"
    end = end_of(status, told, before)
    # An end that is still open is that of the command last heard of.
    known = operation.command_id if end in ("accepted", "unknown") else None
    return operation.ended(
        end,
        status=status,
        code=told.get("code"),
        command_id=named or told.get("commandId") or known,
        made=told.get("id") if status in (200, 201) else None,
        broken=broken,
    )


def _document(raw: bytes) -> Mapping[str, Any] | None:
    try:
        told = json.loads(raw)
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


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
