"""The self-test: a worker does its work once, on made-up rows, in a transaction that is rolled back.

In: a worker's scene, which asks its real handlers for everything they do. Out: the process may begin, or why not.
Must stay true: nothing of it stays or is published; it meets no row of anybody else's and so waits for nobody and holds
nobody up; what it learns is that every statement runs on this server with this schema and this account's rights. Ids
that it drew are not given out again: ids are no count of anything.

A worker whose statements fail would end every command with FAILED/500. It takes no message before it has passed:
commands wait, and the reason is in `/readyz` and in the log.
"""

import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
import structlog

from contracts.command_ids import CommandId
from contracts.commands import Command
from contracts.events import DomainEvent
from contracts.messaging.envelope import Envelope, new_event_id
from contracts.models import Principal, RoleName
from contracts.outcomes import Outcome
from db.mysql.database import (
    Transaction,
    error_code,
    is_away,
    is_transient,
)
from workers.runtime.deciding import write_decisions
from workers.runtime.handlers import (
    CommandHandler,
    Context,
    EventHandler,
    Handler,
    Received,
)
from workers.runtime.reacting import write_effects
from workers.runtime.services import Services

log = structlog.get_logger(__name__)

AGAIN_SECONDS = 2.0
NAME = "self-test"


class SelfTestFailed(Exception):
    """A handler refused what it must grant."""


class _RolledBack(Exception):
    """The scene is over; the transaction ends without a trace."""


@dataclass(slots=True)
class Stage:
    """The open transaction of a self-test, and the worker's handlers on it."""

    services: Services
    transaction: Transaction
    handlers: Mapping[str, Handler]
    now: datetime
    asked: list[str] = field(default_factory=list)
    """The message types that were dealt with, in order."""

    @property
    def context(self) -> Context:
        """As a handler gets it."""
        services = self.services
        return Context(self.transaction, self.now, services.settings, services.redis)

    def account(self, *roles: RoleName) -> Principal:
        """An account that is none: workers may not make one, and need none to be there."""
        return Principal(user_id=made_up_id(), roles=roles)

    async def decide(self, make: Callable[..., Command], who: Principal, **fields: Any) -> Outcome:
        """A command's outcome, with all that a decision writes."""
        command = make(principal=who, fingerprint="0" * 32, **fields)
        handler = self.handlers[command.TYPE]
        assert isinstance(handler, CommandHandler), f"{command.TYPE} is not decided here"
        uuid = secrets.token_bytes(16)
        received = self._received(command, CommandId(uuid, self.now))
        self.asked.append(command.TYPE)
        settings = self.services.settings
        ahead = handler.reads([received], settings) if handler.reads else ()
        self.transaction.read_ahead(*ahead)
        await self.transaction.now()
        [outcome] = await write_decisions(
            self.context, self.services.outbox, handler.decide, [received]
        )
        return outcome

    async def grant(
        self, make: Callable[..., Command], who: Principal, **fields: Any
    ) -> dict[str, Any]:
        """The resource that a command must give. Raises SelfTestFailed."""
        outcome = await self.decide(make, who, **fields)
        if outcome.status_code >= 300:
            raise SelfTestFailed(f"{outcome.type} ends with {outcome.status_code} {outcome.code}")
        body: dict[str, Any] = orjson.loads(outcome.body)
        return body

    async def react(self, event: DomainEvent) -> None:
        """Let an event take effect."""
        handler = self.handlers[event.TYPE]
        assert isinstance(handler, EventHandler), f"{event.TYPE} is not reacted to here"
        self.asked.append(event.TYPE)
        received = self._received(event, None)
        await write_effects(self.context, self.services.outbox, handler, [received])

    def _received(self, message: Command | DomainEvent, id_: CommandId | None) -> Received[Any]:
        envelope = Envelope(
            id=new_event_id(),
            type=message.TYPE,
            source=f"/eventhub/{NAME}",
            time=self.now,
            data=message.to_json(),
            correlationid=NAME,
        )
        return Received(envelope, message, NAME, id_)


Scene = Callable[[Stage], Awaitable[None]]
"""Asks everything of a kind of worker. Raises whatever goes wrong."""


async def play(services: Services, handlers: Mapping[str, Handler], scene: Scene) -> list[str]:
    """Run a scene and undo it; the message types that it dealt with. Raises what the scene raises."""
    asked: list[str] = []
    failed: Exception | None = None
    try:
        async with services.database.transaction() as transaction:
            now = await transaction.now()
            # Made-up rows refer to rows that are not there. This error closes the session: nobody else gets it.
            await transaction.execute("SET foreign_key_checks = 0")
            try:
                await scene(Stage(services, transaction, handlers, now, asked))
                await transaction.flush()
            except Exception as error:
                if is_away(error):
                    raise
                failed = error
            raise _RolledBack
    except _RolledBack:
        if failed is not None:
            raise failed from None
        return asked


async def passed(services: Services, handlers: Mapping[str, Handler], scene: Scene | None) -> bool:
    """Try until it passes; False when the process is told to stop before."""
    readiness = services.readiness
    if scene is None:
        readiness.self_test = None
        return True
    while not services.stop.is_set():
        try:
            await play(services, handlers, scene)
            readiness.self_test = None
            return True
        except Exception as error:
            readiness.self_test = reason_of(error)
            if is_away(error) or is_transient(error):
                log.warning("self-test not over, trying again", error=repr(error))
            else:
                log.exception("self-test failed, taking no message")
        await services.rest(AGAIN_SECONDS)
    return False


def reason_of(error: Exception) -> str:
    """What a probe may tell of it."""
    if isinstance(error, SelfTestFailed):
        return str(error)
    code = error_code(error)
    return f"{type(error).__name__}{f' {code}' if code else ''}; see the log"


def made_up_id() -> int:
    """An id that nobody has: far above those that are given out."""
    return 2**52 + secrets.randbelow(2**51)


def made_up_hash() -> str:
    """A transaction hash that nobody has."""
    return "0x" + hashlib.sha256(secrets.token_bytes(32)).hexdigest()
