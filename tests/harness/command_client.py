"""A command client that sends commands as a gateway does, without HTTP, and reads their durable outcomes.

In: a command model. Out: the outcome row. For tests of message processing and the workers' handlers.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from contracts.command_ids import CommandId, CommandIds
from contracts.commands import Command, CreateEvent, CreateTicketType, OrderItem, PlaceOrder
from contracts.messaging.envelope import Codec, Envelope
from contracts.messaging.link import Link, declare
from contracts.messaging.publisher import Coalescer, Publisher
from contracts.messaging.topology import (
    COMMANDS_EXCHANGE,
    topology,
)
from contracts.outcomes import Outcome
from contracts.runtime.settings import Settings
from db.messages import outcomes
from db.mysql.database import Database
from gateway.submission.dispatch import queue_of
from tests.harness.accounts import Person
from tests.harness.scratch import SECRET, Scratch
from tests.harness.waiting import eventually

FINGERPRINT = "0" * 32


@dataclass(slots=True)
class CommandClient:
    """Sends commands and waits for their outcomes."""

    settings: Settings
    database: Database
    publisher: Publisher
    coalescer: Coalescer
    codec: Codec
    command_ids: CommandIds

    def envelope(
        self,
        command: Command,
        *,
        uuid: bytes | None = None,
        age: float = 0.0,
        replyto: str | None = None,
    ) -> tuple[bytes, Envelope]:
        """(UUID, envelope) of a command accepted `age` seconds ago."""
        accepted = datetime.now(UTC) - timedelta(seconds=age)
        chosen = uuid or self.command_ids.fresh()
        sealed = self.command_ids.seal(CommandId(chosen, accepted), command.principal.caller)
        return chosen, Envelope(
            id=sealed,
            type=command.TYPE,
            source="/eventhub/test",
            time=accepted,
            data=command.to_json(),
            correlationid="test-request-1",
            expirytime=accepted + timedelta(seconds=self.settings.command_deadline),
            partitionkey=_partition(command),
            replyto=replyto,
        )

    def queue(self, command: Command) -> str:
        """Where a command goes."""
        return queue_of(command, self.settings.shards)

    async def send(self, command: Command, **how: object) -> bytes:
        """Publish, confirmed; the command's UUID."""
        uuid, envelope = self.envelope(command, **how)  # type: ignore[arg-type]  # passed on by name
        await self.coalescer.submit(self.queue(command), self.codec.encode(envelope))
        return uuid

    async def outcome(self, uuid: bytes, within: float = 15.0) -> Outcome:
        """The outcome, once there is one."""

        async def look() -> Outcome | None:
            return (await outcomes.find(self.database, [uuid])).get(uuid)

        found = await eventually(look, within=within)
        assert found is not None
        return found

    async def ask(self, command: Command, **how: object) -> Outcome:
        """Send and wait."""
        return await self.outcome(await self.send(command, **how))

    async def sale(
        self, organizer: Person, *quotas: int, **fields: object
    ) -> tuple[int, list[int]]:
        """(event id, ticket type ids) of a new event on sale."""
        event = CreateEvent(
            principal=organizer.principal,
            fingerprint=FINGERPRINT,
            name="Concert",
            start_time="2030-01-01T18:00:00Z",
            end_time="2030-01-01T23:00:00Z",
        )
        event_id = result(await self.ask(event))["id"]
        types = []
        for quota in quotas or (10,):
            values: dict[str, Any] = {
                "price": "49.90",
                "currency": "USD",
                "max_per_order": 10,
            } | fields
            ticket_type = CreateTicketType(
                principal=organizer.principal,
                fingerprint=FINGERPRINT,
                event_id=event_id,
                name="Seat",
                quota=quota,
                **values,
            )
            types.append(result(await self.ask(ticket_type))["id"])
        return event_id, types


def result(outcome: Outcome) -> dict[str, Any]:
    """The resource of a success."""
    assert outcome.status_code < 300, outcome.body
    made: dict[str, Any] = orjson.loads(outcome.body)
    return made


def place(person: Person, event_id: int, *items: tuple[int, int]) -> PlaceOrder:
    """An order command: (ticket type, quantity)."""
    wanted = tuple(OrderItem(ticket_type_id=one, quantity=quantity) for one, quantity in items)
    return PlaceOrder(
        principal=person.principal, fingerprint=FINGERPRINT, event_id=event_id, items=wanted
    )


def _partition(command: Command) -> str:
    order_id = getattr(command, "order_id", None)
    return f"order:{order_id}" if order_id else f"event:{getattr(command, 'event_id', 0)}"


@contextlib.asynccontextmanager
async def command_client(
    scratch: Scratch, database: Database, **settings: object
) -> AsyncIterator[CommandClient]:
    """A command client with a broker connection of its own; the topology is declared."""
    chosen = scratch.settings(**settings)
    wanted = topology(chosen.shards, chosen.queue_length)
    link = Link(
        scratch.amqp_url, "command-client", on_open=lambda channel: declare(channel, wanted)
    )
    await link.start(wait=20)
    publisher = Publisher(link)
    try:
        yield CommandClient(
            settings=chosen,
            database=database,
            publisher=publisher,
            coalescer=Coalescer(publisher, COMMANDS_EXCHANGE),
            codec=Codec(SECRET),
            command_ids=CommandIds(SECRET),
        )
    finally:
        await link.stop()
