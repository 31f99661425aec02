"""Dead letters from the queue `dead` into the table `dead_letters`.

In: any AMQP message: ours, a provider's, one that the broker gave up on; readable or not. Out: a row each; FAILED/500
for every command in it that has no outcome yet, so that its client learns of it.
Must stay true: a message is acknowledged only after its row is committed; nothing in a message can stop the next one;
only a command that we signed gets an outcome, and never one that was decided already; of each provider so many
letters are kept and no more, since strangers write to that queue.

Source of the broker's headers (x-death, x-first-death-*): RabbitMQ manual, "Dead Letter Exchanges".
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
import structlog
from aio_pika.abc import AbstractIncomingMessage
from prometheus_client import Counter
from pydantic import ValidationError

from contracts.command_ids import CommandIds
from contracts.commands import COMMANDS, Command
from contracts.messaging.envelope import (
    BATCH,
    Codec,
    Envelope,
    MalformedMessage,
    open_body,
)
from contracts.messaging.topology import RATES_QUEUE
from contracts.outcomes import Outcome
from contracts.problems import Code, Problem
from contracts.runtime import failpoints
from contracts.runtime.times import from_sql
from db.messages import dead_letters, outcomes
from db.messages.dead_letters import DeadLetter
from db.mysql.database import Database, Transaction, is_away
from workers.runtime.handlers import ACK, Disposition
from workers.runtime.intake import QueueDelivery
from workers.runtime.processing import KEY_HEADER, QUEUE_HEADER, REASON_HEADER, Raw
from workers.runtime.services import Services

log = structlog.get_logger(__name__)

BODY_KEPT_MAX = 4 * 1024 * 1024
"""Ours are 512 KiB at most; a strange one is cut here, below the server's max_allowed_packet (16 MiB on MariaDB)."""
STRANGER_BODY_KEPT_MAX = 64 * 1024
"""Of what a provider sent: no report is larger."""
AGAIN_SECONDS = 0.5
DROPPED = Counter(
    "eventhub_provider_letters_dropped_total",
    "Dead letters that went because their provider has caused so many",
)
_FAILED = Problem(Code.INTERNAL, "The command could not be dealt with; nothing of it was done.")


class DeadLetterSink:
    """Writes dead letters, and the outcomes of the commands among them."""

    def __init__(self, database: Database, codec: Codec, command_ids: CommandIds) -> None:
        self._database, self._codec, self._command_ids = database, codec, command_ids

    async def store(self, message: AbstractIncomingMessage) -> None:
        """Keep one message. When this returns it is committed and may be acknowledged.

        Raises the database's errors: the message stays on its queue.
        """
        envelopes = _envelopes(message)
        letter = dead_letter(message, envelopes)

        async def keep(transaction: Transaction) -> None:
            await dead_letters.store(transaction, letter)
            if letter.queue == RATES_QUEUE:
                DROPPED.inc(await dead_letters.bound(transaction, letter))
            failpoints.reach("worker.written")

        await self._database.run(keep)
        failpoints.reach("worker.committed")
        commands = [one for one in envelopes if one.type in COMMANDS]
        if commands:
            await self._fail(commands)
        log.warning(
            "dead letter kept",
            queue=letter.queue,
            reason=letter.reason,
            message_id=letter.message_id,
            message_type=letter.message_type,
            correlation_id=letter.correlation_id,
        )

    async def _fail(self, commands: list[Envelope]) -> None:
        [[now]] = await self._database.read("SELECT UTC_TIMESTAMP(6)")
        failed = [self._outcome(one, from_sql(now)) for one in commands]
        await outcomes.insert_missing(self._database, [one for one in failed if one])

    def _outcome(self, envelope: Envelope, now: datetime) -> Outcome | None:
        """FAILED/500 for a command that a gateway of ours made; None for a forged or unreadable one."""
        if not self._codec.verifies(envelope):
            return None
        try:
            command = Command.model_validate(envelope.data)
        except ValidationError:
            return None
        command_id = self._command_ids.open(envelope.id, command.principal.caller)
        if command_id is None:
            return None
        request_id = envelope.correlationid or envelope.id[:64]
        return Outcome(
            command=command_id.uuid,
            user_id=command.principal.caller,
            type=envelope.type,
            fingerprint=command.fingerprint,
            status_code=_FAILED.status,
            code=str(_FAILED.code),
            location=None,
            request_id=request_id,
            body=orjson.dumps(_FAILED.to_json(request_id)),
            accepted_at=command_id.accepted_at,
            decided_at=now,
        )


def dead_letter(message: AbstractIncomingMessage, envelopes: list[Envelope]) -> DeadLetter:
    """The row of a message; `envelopes` are those in it that can be read."""
    headers = {str(name): _plain(value) for name, value in (message.headers or {}).items()}
    death = _first_death(headers)
    reason = _text(headers.get(REASON_HEADER)) or _broker_reason(headers)
    queue, key = _origin(message, headers, death)
    most = STRANGER_BODY_KEPT_MAX if queue == RATES_QUEUE else BODY_KEPT_MAX
    if len(message.body) > most:
        reason = f"{reason} (the first {most} of {len(message.body)} bytes are kept)"
    first = envelopes[0] if len(envelopes) == 1 else None
    return DeadLetter(
        queue=queue,
        reason=reason,
        body=message.body[:most],
        exchange=_text((death or {"exchange": message.exchange}).get("exchange")) or "",
        routing_key=key,
        content_type=message.content_type,
        message_id=message.message_id or (first.id if first else None),
        message_type=message.type or (first.type if first else _batch_type(envelopes)),
        correlation_id=message.correlation_id or (first.correlationid if first else None),
        headers=headers,
    )


def _origin(
    message: AbstractIncomingMessage, headers: Mapping[str, Any], death: Mapping[str, Any]
) -> tuple[str, str]:
    """The queue on which a message died, and what it was published under.

    What the broker gave up on the providers' queue brings the headers that its provider wrote, ours among them:
    of such a message only the broker's own entry in x-death and the routing key, which the broker checked, count.
    """
    key = message.routing_key or ""
    if _died_on(headers, RATES_QUEUE) and key != RATES_QUEUE:
        return RATES_QUEUE, key
    queue = _text(headers.get(QUEUE_HEADER)) or _text(headers.get("x-first-death-queue")) or "?"
    return queue, _first_text(death.get("routing-keys")) or _text(headers.get(KEY_HEADER)) or key


def _died_on(headers: Mapping[str, Any], queue: str) -> bool:
    deaths = headers.get("x-death")
    entries = deaths if isinstance(deaths, list) else []
    return any(isinstance(entry, dict) and entry.get("queue") == queue for entry in entries)


def consume_dead_letters(services: Services) -> Raw:
    """The relay process's handler of the queue `dead`."""
    sink = DeadLetterSink(services.database, services.codec, services.command_ids)

    async def consume(delivery: QueueDelivery) -> Disposition:
        while True:
            try:
                await sink.store(delivery.message)
                return ACK
            except Exception as error:
                # The retry ladder would overwrite where the message came from: wait here instead.
                if not is_away(error):
                    log.exception("dead letter not kept, trying again")
            if services.stop.is_set():
                raise asyncio.CancelledError("stopping: the dead letter stays on its queue")
            await asyncio.sleep(AGAIN_SECONDS)

    return consume


def _envelopes(message: AbstractIncomingMessage) -> list[Envelope]:
    try:
        return open_body(message.body, message.content_type)
    except MalformedMessage:
        return []


def _batch_type(envelopes: list[Envelope]) -> str | None:
    types = {envelope.type for envelope in envelopes}
    return types.pop() if len(types) == 1 else (BATCH if types else None)


def _broker_reason(headers: Mapping[str, Any]) -> str:
    """`delivery_limit`, `expired`, `rejected`, `maxlen` in words, when the broker itself gave up."""
    reason = _text(headers.get("x-first-death-reason"))
    return f"the broker gave up: {reason}" if reason else "published as dead without a reason"


def _first_death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """The oldest entry of x-death (the broker puts the newest first); {} where there is none."""
    deaths = headers.get("x-death")
    if isinstance(deaths, list) and deaths and isinstance(deaths[-1], dict):
        return deaths[-1]
    return {}


def _first_text(value: object) -> str | None:
    return _text(value[0]) if isinstance(value, list) and value else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _plain(value: object) -> Any:
    """An AMQP header's value as JSON: bytes as text where they are, everything unknown as its repr."""
    if value is None or isinstance(value, bool | str | float):
        return _whole(value) if isinstance(value, str) else value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else str(value)
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "backslashreplace")
    if isinstance(value, Mapping):
        return {_whole(str(name)): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value.isoformat() if isinstance(value, datetime) else repr(value)


def _whole(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
