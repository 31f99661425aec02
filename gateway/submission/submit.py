"""How a call that publishes a command is served: key, early refusals, publish, wait, answer.

In: a request whose body is validated, and how to make its command. Out: the answer of the contract.
Must stay true: the key is looked up before anything is refused early; a command is waited for before
it is published, so that its outcome cannot be missed; what cannot be published is refused as nothing
done (429, 503), what may have been is given out with its id (503 and where to poll).
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog
from aiohttp import web
from pydantic import BaseModel

from contracts.command_ids import CommandId, CommandIds
from contracts.commands import KINDS, Command
from contracts.messaging.link import BrokerAway
from contracts.messaging.publisher import PublishRefused, PublishUnknown, Unroutable
from contracts.models import Principal
from contracts.outcomes import Outcome
from contracts.problems import Code, Problem
from db.mysql.clock import DatabaseClock
from gateway.http import keys
from gateway.http.problems import Refusal, to_response, unavailable
from gateway.submission.answers import (
    COMMAND_ID,
    CommandReply,
    Etag,
    accepted_reply,
    decided_reply,
    events_url,
    location_of,
    undecided_reply,
)
from gateway.submission.command_metrics import CommandMetrics
from gateway.submission.decisions import Decisions
from gateway.submission.dispatch import (
    Dispatcher,
    asked_path,
    fingerprint,
    valid_traceparent,
)
from gateway.submission.idempotency import IdempotencyKeys, Key, KeyAttempt
from gateway.submission.outcomes import Opened
from gateway.submission.preferences import idempotency_key, is_strict, wait_seconds
from gateway.submission.pressure import Pressure

Prepare = Callable[[Principal, str], Awaitable[Command]]
"""(caller, fingerprint) -> the command. Raises Refusal for what is refused without one."""
Precheck = Callable[[], Awaitable[Problem | None]]
"""What the gateway already knows the command to be refused with now. Raises Refusal, as Prepare does."""


@dataclass(slots=True)
class Call:
    """A ⚡ call: what it asks (`body`: the validated body, or JSON values) and how its command is made."""

    command: type[Command]
    body: BaseModel | Mapping[str, Any]
    prepare: Prepare
    precheck: Precheck | None = None
    etag: Etag | None = None
    on_outcome: Callable[[Command, Outcome], None] | None = None
    wait: int = 0
    """Seconds to wait for a client that says nothing: for calls that the contract answers at once."""


@dataclass(slots=True)
class _Asked:
    """One request for a call: who asks, what it means, how long they wait (until: loop time)."""

    call: Call
    request: web.Request
    caller: Principal
    request_id: str
    preferred: int
    """Seconds that the client asked to wait, 0 when it did not."""
    wait: int
    until: float
    strict: bool
    """Whether the client takes no 202: it waits, and wants a decision or an error."""
    _fingerprint: str = ""

    @property
    def fingerprint(self) -> str:
        """What the request asks, made when it is first needed: an early refusal needs none."""
        if not self._fingerprint:
            body, request = self.call.body, self.request
            values = body.model_dump(by_alias=True) if isinstance(body, BaseModel) else body
            self._fingerprint = fingerprint(request.method, asked_path(request), values)
        return self._fingerprint

    @property
    def traceparent(self) -> str | None:
        """The trace that the request belongs to."""
        return valid_traceparent(self.request.headers.get("traceparent"))


class Submissions:
    """Everything that ⚡ calls share in this process."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        decisions: Decisions,
        idempotency: IdempotencyKeys,
        pressure: Pressure,
        *,
        ids: CommandIds,
        clock: DatabaseClock,
        metrics: CommandMetrics,
    ) -> None:
        self._dispatcher = dispatcher
        self._decisions = decisions
        self._idempotency = idempotency
        self._pressure = pressure
        self._ids = ids
        self._clock = clock
        self._metrics = metrics
        self._notes: set[asyncio.Task[None]] = set()

    async def submit(self, request: web.Request, call: Call) -> web.Response:
        """Answer a ⚡ call. Raises Refusal."""
        headers, caller = request.headers, keys.principal(request)
        preferences = tuple(headers.getall("Prefer", ()))
        preferred = wait_seconds(preferences)
        wait = preferred or call.wait
        until = asyncio.get_running_loop().time() + wait
        id_ = request[keys.CONTEXT].request_id
        # Strict without waiting would be an error each time: it goes with a wait, as any preference may be ignored.
        strict = wait > 0 and is_strict(preferences)
        asked = _Asked(call, request, caller, id_, preferred, wait, until, strict)
        text = idempotency_key(headers)
        try:
            if text is None:
                return await self._unkeyed(asked)
            return await self._keyed(asked, Key(caller.caller, text))
        except Refusal as refusal:
            self._metrics.refused(str(refusal.problem.code))
            raise

    async def drain(self) -> None:
        """Wait for what is still to be noted of keys."""
        await asyncio.gather(*self._notes, return_exceptions=True)

    async def _unkeyed(self, asked: _Asked) -> web.Response:
        if (refused := await self._refused(asked)) is not None:
            return refused
        command = await asked.call.prepare(asked.caller, asked.fingerprint)
        opened = self._open(asked, self._ids.fresh())
        with self._decisions.expecting(opened.id.uuid, asked.wait) as expectation:
            try:
                await self._dispatcher.publish(opened, command, asked.traceparent)
            except (PublishRefused, Unroutable, BrokerAway, PublishUnknown) as error:
                raise self._unpublished(error, opened, command) from error
            outcome = await self._decisions.wait(opened, expectation, asked.until)
        return self._answer(asked, opened, outcome, command)

    async def _keyed(self, asked: _Asked, key: Key) -> web.Response:
        kind = KINDS[asked.call.command.TYPE]
        found = await self._idempotency.find(key, asked.fingerprint, asked.request_id, kind)
        if found.attempt is not None:
            return await self._again(asked, key, found.attempt, found.outcome)
        if (refused := await self._refused(asked)) is not None:
            return refused
        command = await asked.call.prepare(asked.caller, asked.fingerprint)
        attempt, mine = await self._idempotency.claim(key, asked.fingerprint, found)
        if not mine:
            return await self._again(asked, key, attempt, None)
        return await self._take(asked, key, attempt, command, replayed=False)

    async def _again(
        self, asked: _Asked, key: Key, attempt: KeyAttempt, outcome: Outcome | None
    ) -> web.Response:
        """The key's command once more: answer it, wait for it, publish it if that may be missing."""
        self._metrics.replayed.inc()
        opened = self._open_attempt(asked, key, attempt)
        if outcome is not None:
            # The row's own acceptance time: that is the id its first caller was given.
            decided = replace(opened, id=replace(opened.id, accepted_at=outcome.accepted_at))
            decided = replace(decided, text=self._ids.seal(decided.id, key.caller))
            return self._answer(asked, decided, outcome, None, replayed=True)
        if not attempt.confirmed:
            try:
                command = await asked.call.prepare(asked.caller, asked.fingerprint)
            except Refusal as refusal:
                # Not to be published any more; whether the broker has it, nobody here can say.
                raise _unknown(opened) from refusal
            return await self._take(asked, key, attempt, command, replayed=True)
        with self._decisions.expecting(opened.id.uuid, asked.wait) as expectation:
            outcome = await self._decisions.wait(opened, expectation, asked.until)
        return self._answer(asked, opened, outcome, None, replayed=True)

    async def _take(
        self, asked: _Asked, key: Key, attempt: KeyAttempt, command: Command, *, replayed: bool
    ) -> web.Response:
        opened = self._open_attempt(asked, key, attempt)
        with self._decisions.expecting(opened.id.uuid, asked.wait) as expectation:
            try:
                await self._dispatcher.publish_once(opened, command, asked.traceparent)
            except (PublishRefused, Unroutable, BrokerAway) as error:
                await self._idempotency.forget(key, attempt)
                raise self._unpublished(error, opened, command) from error
            except PublishUnknown as error:
                raise self._unpublished(error, opened, command) from error
            self._note(self._idempotency.confirm(key, attempt))
            outcome = await self._decisions.wait(opened, expectation, asked.until)
        return self._answer(asked, opened, outcome, command, replayed=replayed)

    async def _refused(self, asked: _Asked) -> web.Response | None:
        """The refusal that needs no command."""
        precheck = asked.call.precheck
        if precheck is None or (problem := await precheck()) is None:
            return None
        self._metrics.refused(problem.code)
        return to_response(problem, asked.request_id)

    def _open(self, asked: _Asked, uuid: bytes) -> Opened:
        return self._opened(asked, uuid, self._clock.now())

    def _open_attempt(self, asked: _Asked, key: Key, attempt: KeyAttempt) -> Opened:
        uuid = self._idempotency.uuid(key, attempt.number)
        return self._opened(asked, uuid, attempt.accepted_at)

    def _opened(self, asked: _Asked, uuid: bytes, accepted_at: datetime) -> Opened:
        id_ = CommandId(uuid, accepted_at, KINDS[asked.call.command.TYPE])
        text = self._ids.seal(id_, asked.caller.caller)
        structlog.contextvars.bind_contextvars(command_id=text)
        return Opened(id_, text, asked.caller.caller, asked.request_id, asked.fingerprint)

    def _answer(
        self,
        asked: _Asked,
        opened: Opened,
        outcome: Outcome | None,
        command: Command | None,
        *,
        replayed: bool = False,
    ) -> web.Response:
        reply = CommandReply(
            opened, asked.request_id, asked.preferred, asked.strict, replayed, asked.call.etag
        )
        if outcome is None:
            return undecided_reply(reply) if asked.strict else self._accepted(reply, None)
        if outcome.fingerprint not in (asked.fingerprint, ""):
            detail = "This Idempotency-Key was used for another request; use a fresh one."
            raise Refusal(Problem(Code.IDEMPOTENCY_MISMATCH, detail))
        if command is not None and asked.call.on_outcome is not None:
            asked.call.on_outcome(command, outcome)
        if not asked.wait:
            return self._accepted(reply, outcome)
        self._metrics.decided_seconds.observe(
            max(0.0, (outcome.decided_at - outcome.accepted_at).total_seconds())
        )
        return decided_reply(reply, outcome)

    def _accepted(self, reply: CommandReply, outcome: Outcome | None) -> web.Response:
        listen_at = events_url(self._ids, reply.opened, self._clock.now())
        return accepted_reply(reply, outcome, listen_at)

    def _unpublished(self, error: Exception, opened: Opened, command: Command) -> Refusal:
        if isinstance(error, PublishRefused):
            return self._pressure.refusal(self._dispatcher.queue_of(command))
        if isinstance(error, PublishUnknown):
            return _unknown(opened)
        return unavailable("The message broker is away for a moment; nothing was done.")

    def _note(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)


def _unknown(opened: Opened) -> Refusal:
    problem = Problem(
        Code.UNAVAILABLE,
        "The broker did not say whether it took the command; ask for it before trying again.",
        {"commandId": opened.text},
        retry_after=1,
    )
    where = {"Location": location_of(opened.text), COMMAND_ID: opened.text}
    return Refusal(problem, where)


SUBMISSIONS = web.AppKey("submissions", Submissions)


async def submit(request: web.Request, call: Call) -> web.Response:
    """Answer a ⚡ call in its application."""
    return await request.app[SUBMISSIONS].submit(request, call)
