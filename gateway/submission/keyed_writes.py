"""Idempotency-Key on calls that the gateway decides itself (webhooks): done once, answered alike each time.

In: a request, what it asks for, and how to do it. Out: the answer, or the one that its key stands for already.
Must stay true: effect and answer are one transaction, the answer under the same primary key as a command's outcome of
that key would be; so a key has one meaning over all calls (422 for any other), and two requests at once do one thing.
Answers are kept sealed: they may hold a secret that is stored nowhere in the clear.

A refusal is nothing done: the same key is decided afresh.
"""

import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from contracts.outcomes import Outcome
from contracts.problems import Code, Problem
from contracts.webhooks.secrets import SecretSealer, UnreadableSecret
from db.messages import outcomes
from db.mysql.clock import DatabaseClock
from db.mysql.database import Transaction, is_duplicate
from gateway.http import keys
from gateway.http.problems import Refusal, unavailable
from gateway.http.replies import json_reply
from gateway.submission.answers import REPLAYED
from gateway.submission.dispatch import asked_path, fingerprint
from gateway.submission.idempotency import IdempotencyKeys, Key
from gateway.submission.preferences import idempotency_key

NO_COMMAND = 0
"""The kind of a command id that no command has."""


@dataclass(frozen=True, slots=True)
class WriteAnswer:
    """A success: its status, its JSON body, where the thing is."""

    status: int
    body: Mapping[str, Any]
    location: str | None = None

    def reply(self, *, replayed: bool = False) -> web.Response:
        """As a response."""
        headers = {"Location": self.location} if self.location else {}
        if replayed:
            headers[REPLAYED] = "true"
        return json_reply(dict(self.body), self.status, headers)


Keep = Callable[[Transaction, WriteAnswer], None]
"""To be called in the transaction of the effect: it keeps the answer, if there is a key to keep it for."""
Write = Callable[[Keep], Awaitable[WriteAnswer]]


def _keep_nothing(_: Transaction, __: WriteAnswer) -> None:
    """Nobody will ask again."""


class KeyedWrites:
    """Such calls of one gateway."""

    def __init__(
        self, idempotency: IdempotencyKeys, sealer: SecretSealer, clock: DatabaseClock
    ) -> None:
        self._idempotency, self._sealer, self._clock = idempotency, sealer, clock

    async def once(
        self, request: web.Request, type_: str, asked: Mapping[str, Any], write: Write
    ) -> web.Response:
        """Do it, or answer as before. `asked` is the validated body. Raises Refusal."""
        text = idempotency_key(request.headers)
        if text is None:
            return (await write(_keep_nothing)).reply()
        key = Key(keys.principal(request).user_id, text)
        print_ = fingerprint(request.method, asked_path(request), asked)
        id_ = request[keys.CONTEXT].request_id
        found = await self._idempotency.find(key, print_, id_, NO_COMMAND)
        if found.attempt is not None:
            return self._again(key, found.outcome)
        uuid = self._idempotency.uuid(key, found.next_number)

        def keep(transaction: Transaction, answer: WriteAnswer) -> None:
            outcome = self._outcome(uuid, key.caller, type_, print_, id_, answer)
            outcomes.insert(transaction, [outcome])

        try:
            return (await write(keep)).reply()
        except Exception as error:
            if not is_duplicate(error):
                raise
        # Somebody with the same key was first; nothing of ours was done.
        found = await self._idempotency.find(key, print_, id_, NO_COMMAND)
        return self._again(key, found.outcome)

    def _outcome(
        self, uuid: bytes, user_id: int, type_: str, print_: str, id_: str, answer: WriteAnswer
    ) -> Outcome:
        now = self._clock.now()
        sealed = self._sealer.seal(orjson.dumps(answer.body).decode(), user_id)
        return Outcome(
            command=uuid,
            user_id=user_id,
            type=type_,
            fingerprint=print_,
            status_code=answer.status,
            code=None,
            location=answer.location,
            request_id=id_,
            body=orjson.dumps({"sealed": base64.b64encode(sealed).decode()}),
            accepted_at=now,
            decided_at=now,
        )

    def _again(self, key: Key, outcome: Outcome | None) -> web.Response:
        if outcome is None:
            raise unavailable("What this Idempotency-Key stands for is being decided; ask again.")
        sealed = base64.b64decode(orjson.loads(outcome.body)["sealed"])
        try:
            body = orjson.loads(self._sealer.open(sealed, key.caller))
        except UnreadableSecret:
            # Sealed under a master secret that is named no more: it was done, and its secret is gone for good.
            detail = (
                "This Idempotency-Key was used before the service's own secret was changed, and its answer cannot be "
                f"said again. It was done: look at {outcome.location or 'what it was for'}, and use a fresh key."
            )
            raise Refusal(Problem(Code.IDEMPOTENCY_MISMATCH, detail)) from None
        return WriteAnswer(outcome.status_code, body, outcome.location).reply(replayed=True)


KEYED_WRITES = web.AppKey("keyed_writes", KeyedWrites)
