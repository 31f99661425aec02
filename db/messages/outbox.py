"""The outbox: events written in the transaction that makes them true, until the relay has them confirmed.

In: events of a decision (inside its transaction). Out: rows in publishing order; rows gone once confirmed.
Must stay true: an aggregate's rows have rising ids in the order of its commits (it was locked when they were
inserted); a row disappears only after the broker confirmed its message.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from contracts.events import DomainEvent, routing_key
from contracts.messaging.envelope import Codec, Envelope, new_event_id
from contracts.messaging.topology import shard_of
from contracts.runtime.times import to_sql
from db.mysql.database import (
    Database,
    JsonText,
    Transaction,
    placeholders,
)

STREAMS = 16


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event about to happen. `aggregate` is `order:17`; `sequence` its version after the event."""

    event: DomainEvent
    aggregate: str
    sequence: int
    event_id: int
    """The event (concert) it belongs to: decides the shard. 0 where there is none."""


@dataclass(frozen=True, slots=True)
class Cause:
    """What led to an event: it travels with it from the HTTP request to the last log line."""

    correlation_id: str | None
    causation_id: str | None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """A row that waits for the broker. `body` is one encoded envelope."""

    id: int
    stream: int
    aggregate: str
    routing_key: str
    body: bytes


def stream_of(aggregate: str) -> int:
    """The stream that carries all events of an aggregate."""
    return zlib.crc32(aggregate.encode()) % STREAMS


class Outbox:
    """Writes and drains the outbox. `source` names the process kind in each envelope."""

    def __init__(self, codec: Codec, source: str, shards: int) -> None:
        self._codec = codec
        self._source = f"/eventhub/{source}"
        self._shards = shards

    def add(
        self, transaction: Transaction, now: datetime, events: Sequence[tuple[NewEvent, Cause]]
    ) -> None:
        """Write the events of a decision, with the transaction's next statement."""
        at = to_sql(now)
        rows = [
            (
                stream_of(new.aggregate),
                new.aggregate,
                routing_key(type(new.event), shard_of(new.event_id, self._shards)),
                JsonText(self._codec.encode(self._envelope(new, cause, now)).decode()),
                at,
            )
            for new, cause in events
        ]
        columns = ("stream", "aggregate", "routing_key", "body", "created_at")
        transaction.insert_later("outbox", columns, rows)

    def _envelope(self, new: NewEvent, cause: Cause, now: datetime) -> Envelope:
        return Envelope(
            id=new_event_id(),
            type=new.event.TYPE,
            source=self._source,
            time=now,
            data=new.event.to_json(),
            subject=new.aggregate,
            correlationid=cause.correlation_id,
            causationid=cause.causation_id,
            traceparent=cause.traceparent,
            sequence=str(new.sequence),
            partitionkey=new.aggregate,
        )


async def pending(database: Database, streams: Sequence[int], limit: int) -> list[PendingEvent]:
    """The oldest unpublished rows of `streams`, by id."""
    if not streams:
        return []
    rows = await database.read(
        "SELECT id, stream, aggregate, routing_key, body FROM outbox "
        f"WHERE stream IN ({placeholders(streams)}) ORDER BY id LIMIT %s",
        *streams,
        limit,
    )
    return [
        PendingEvent(id_, stream, aggregate, routing_key, body.encode())
        for id_, stream, aggregate, routing_key, body in rows
    ]


async def published(database: Database, ids: Sequence[int]) -> None:
    """Forget rows whose messages the broker has confirmed."""
    if ids:
        # Each row found by its key. `id IN (…)` is answered with a scan while the table is small, which it always
        # is: a scan waits for every decision that is about to commit, and every decision waits for the scan.
        await database.write(
            "DELETE o FROM JSON_TABLE(%s, '$[*]' COLUMNS (id BIGINT PATH '$')) AS sent "
            "STRAIGHT_JOIN outbox AS o FORCE INDEX (PRIMARY) ON o.id = sent.id",
            str(list(ids)),
        )


async def lag(database: Database) -> tuple[int, float]:
    """(rows waiting, age of the oldest in seconds)."""
    rows = await database.read(
        "SELECT COUNT(*), COALESCE(TIMESTAMPDIFF(MICROSECOND, MIN(created_at), UTC_TIMESTAMP(6)), 0) "
        "FROM outbox"
    )
    [[waiting, micros]] = rows
    return int(waiting), max(0.0, float(micros) / 1e6)
