"""What a worker tells the message processor: for each message type, a model and the function that deals with it.

In: lists of `Received` messages of one type. Out: one `Decision` per command; new events per
reaction; or a `Disposition` each.
Must stay true: a handler that gets a `Context` writes only through its transaction and can be run
again from the start.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

import orjson
from redis.asyncio import Redis

from contracts.command_ids import CommandId
from contracts.commands import Command
from contracts.events import DomainEvent
from contracts.messaging.envelope import Envelope
from contracts.models import Wire
from contracts.outcomes import Outcome
from contracts.problems import Code, Problem
from contracts.runtime.settings import Settings
from db.messages.outbox import Cause, NewEvent
from db.mysql.database import Statement, Transaction

M = TypeVar("M", bound=Wire)
M_co = TypeVar("M_co", bound=Wire, covariant=True)
C = TypeVar("C", bound=Command)
E = TypeVar("E", bound=DomainEvent)


@dataclass(frozen=True, slots=True)
class Ack:
    """Dealt with: the message may go."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Not now: the message climbs the retry ladder."""

    reason: str


@dataclass(frozen=True, slots=True)
class DeadLettered:
    """Never: the message is kept in the dead-letter table with this reason."""

    reason: str


Disposition = Ack | Retry | DeadLettered
ACK = Ack()


@dataclass(frozen=True, slots=True, eq=False)
class Received(Generic[M_co]):
    """One message out of a delivery, opened and checked."""

    envelope: Envelope
    message: M_co
    queue: str
    command_id: CommandId | None = None
    """Set for commands: the UUID and the acceptance time inside the envelope's id."""
    seen_before: bool = False
    """The broker delivered it before, or it comes from the retry ladder."""

    @property
    def uuid(self) -> bytes:
        """The command's UUID. Raises AttributeError for an event."""
        assert self.command_id is not None, "an event has no command id"
        return self.command_id.uuid

    @property
    def cause(self) -> Cause:
        """What the events of a decision say of their origin."""
        return Cause(self.envelope.correlationid, self.envelope.id, self.envelope.traceparent)


@dataclass(frozen=True, slots=True)
class Decision:
    """How one command ends: status, body, and the events that this makes true."""

    status_code: int
    body: dict[str, Any] | Problem
    location: str | None = None
    events: tuple[NewEvent, ...] = ()

    def outcome(self, received: Received[Command], now: datetime) -> Outcome:
        """The durable row of this decision."""
        assert received.command_id is not None, "only commands are decided"
        request_id = received.envelope.correlationid or received.envelope.id[:64]
        problem = self.body if isinstance(self.body, Problem) else None
        body = problem.to_json(request_id) if problem else self.body
        return Outcome(
            command=received.uuid,
            user_id=received.message.principal.caller,
            type=received.envelope.type,
            fingerprint=received.message.fingerprint,
            status_code=self.status_code,
            code=str(problem.code) if problem else None,
            location=self.location,
            request_id=request_id,
            body=orjson.dumps(body),
            accepted_at=received.command_id.accepted_at,
            decided_at=now,
        )


def succeeded(
    status_code: int,
    resource: dict[str, Any],
    *,
    location: str | None = None,
    events: Sequence[NewEvent] = (),
) -> Decision:
    """The command did what it asked for."""
    return Decision(status_code, resource, location, tuple(events))


def rejected(problem: Problem, *, events: Sequence[NewEvent] = ()) -> Decision:
    """The command is refused; `events` for refusals that leave a trace (late money)."""
    return Decision(problem.status, problem, None, tuple(events))


def not_found(what: str) -> Decision:
    """There is no such thing, or it is not the caller's: both look the same."""
    return rejected(Problem(Code.NOT_FOUND, f"There is no such {what}."))


@dataclass(frozen=True, slots=True)
class Context:
    """What a handler may use: the open transaction, the database's time, the settings, Redis for reads."""

    transaction: Transaction
    now: datetime
    settings: Settings
    redis: "Redis"


NewEvents = list[tuple[NewEvent, Cause]]


@dataclass(frozen=True, slots=True)
class CommandHandler(Generic[C]):
    """Commands: `decide` gets a batch in order and returns one decision each, inside one transaction."""

    model: type[C]
    decide: Callable[[Context, Sequence[Received[C]]], Awaitable[list[Decision]]]
    seats: Callable[[C], Iterable[tuple[int, int]]] | None = None
    """(ticket type, event) pairs whose seat lock must be held."""
    reads: Callable[[Sequence[Received[C]], Settings], Sequence[Statement]] | None = None
    """The queries that `decide` begins with, so that they travel with BEGIN. A saved round trip, no more."""
    weight: Callable[[C], int] = lambda _: 1
    """How much of a transaction a command takes up; see `workers.runtime.deciding.BATCH_WEIGHT`."""


@dataclass(frozen=True, slots=True)
class EventHandler(Generic[E]):
    """Events: `react` gets a batch in order, writes, and returns the events that follow. Must tolerate repeats."""

    model: type[E]
    react: Callable[[Context, Sequence[Received[E]]], Awaitable[NewEvents]]


@dataclass(frozen=True, slots=True)
class MessageHandler(Generic[M]):
    """Messages that need more than one transaction or none: the handler ends each itself."""

    model: type[M]
    consume: Callable[[Sequence[Received[M]]], Awaitable[list[Disposition]]]


Handler = CommandHandler[Any] | EventHandler[Any] | MessageHandler[Any]


@dataclass(slots=True, eq=False)
class WorkItem:
    """A received message on its way to its end."""

    received: Received[Any]
    end: Disposition | None = None
    on_end: Callable[[], None] = field(default=lambda: None)

    def finish(self, end: Disposition) -> None:
        """Give it its one end."""
        assert self.end is None, "a message has exactly one end"
        self.end = end
        self.on_end()
