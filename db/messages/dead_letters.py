"""Dead letters: every message that nobody could deal with, byte for byte, with its reason.

In: what the relay process took from the queue `dead`. Out: rows of `dead_letters` for people to look at and to end.
Must stay true: the same message from the same queue is one row, however often it dies (`seen` counts); a body is never
changed; a row is ended (REDRIVEN, DROPPED) by an operator alone and comes back as DEAD when its message dies again
(those of a stranger, `bound`, go when it has caused too many).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import orjson

from db.mysql.database import (
    Database,
    Transaction,
    placeholders,
)
from db.rows import Select


class Status(StrEnum):
    """DEAD waits for a person; the others are what that person decided."""

    DEAD = "DEAD"
    REDRIVEN = "REDRIVEN"
    DROPPED = "DROPPED"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message on its way into the table. Texts longer than their column are cut; `headers` is plain JSON."""

    queue: str
    reason: str
    body: bytes
    exchange: str = ""
    routing_key: str = ""
    content_type: str | None = None
    message_id: str | None = None
    message_type: str | None = None
    correlation_id: str | None = None
    headers: dict[str, Any] | None = None

    @property
    def digest(self) -> bytes:
        """SHA-256 over where it died and what it says: 32 bytes."""
        return hashlib.sha256(self.queue.encode() + b"\0" + self.body).digest()


@dataclass(frozen=True, slots=True)
class Stored:
    """A row of `dead_letters`. Times are aware UTC; `body` is None in lists."""

    id: int
    queue: str
    reason: str
    exchange: str
    routing_key: str
    content_type: str | None
    message_id: str | None
    message_type: str | None
    correlation_id: str | None
    seen: int
    status: Status
    created_at: datetime
    updated_at: datetime
    size: int
    headers: dict[str, Any] | None = None
    body: bytes | None = None


SENDER_KEPT = 200
"""Letters of one sender that are kept, on a queue that strangers write to."""
_LENGTHS = {
    "queue": 128,
    "reason": 2000,
    "exchange_name": 128,
    "routing_key": 255,
    "content_type": 128,
    "message_id": 255,
    "message_type": 128,
    "correlation_id": 128,
}
_WHOLE = Select(Stored, exchange="exchange_name", size="LENGTH(body)")
_LISTED = Select(Stored, but=("headers", "body"), exchange="exchange_name", size="LENGTH(body)")


async def store(transaction: Transaction, letter: DeadLetter) -> None:
    """Keep a message; the same one again only counts up, takes the newer reason and is DEAD again."""
    texts = (
        *(letter.queue, letter.reason, letter.exchange, letter.routing_key, letter.content_type),
        *(letter.message_id, letter.message_type, letter.correlation_id),
    )
    names = [*_LENGTHS, "digest", "headers", "body"]
    values: list[object] = [
        text if text is None else _storable(text)[:length]
        for text, length in zip(texts, _LENGTHS.values(), strict=True)
    ]
    values += [letter.digest, orjson.dumps(letter.headers or {}).decode(), letter.body]
    await transaction.execute(
        f"INSERT INTO dead_letters ({', '.join(names)}, created_at, updated_at) "
        f"VALUES ({placeholders(values)}, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6)) "
        "ON DUPLICATE KEY UPDATE seen = seen + 1, reason = VALUES(reason), status = 'DEAD', "
        "updated_at = VALUES(updated_at)",
        *values,
    )


async def bound(transaction: Transaction, letter: DeadLetter) -> int:
    """Of those who published this one only the newest letters stay; how many went.

    Who published: the first two words of the routing key (`rates.<provider>.<asset>`).
    """
    sender = ".".join(letter.routing_key.split(".")[:2])
    escaped = sender.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    rows = await transaction.fetch(
        "SELECT id FROM dead_letters WHERE queue = %s AND (routing_key = %s OR routing_key LIKE %s) "
        "ORDER BY id DESC LIMIT %s OFFSET %s",
        letter.queue,
        sender,
        f"{escaped}.%",
        SENDER_KEPT,
        SENDER_KEPT,
    )
    if not rows:
        return 0
    return await transaction.execute(
        f"DELETE FROM dead_letters WHERE id IN ({placeholders(rows)})", *(row[0] for row in rows)
    )


async def listing(database: Database, *, ended: bool, limit: int) -> list[Stored]:
    """The newest letters without bodies, newest first; those that were ended too when `ended`."""
    where = "" if ended else "WHERE status = 'DEAD' "
    rows = await database.read(
        f"SELECT {_LISTED.columns} FROM dead_letters {where}ORDER BY id DESC LIMIT %s",
        limit,
    )
    return _LISTED.rows(rows)


async def find(database: Database, letter_id: int) -> Stored | None:
    """One letter with headers and body."""
    rows = await database.read(
        f"SELECT {_WHOLE.columns} FROM dead_letters WHERE id = %s",
        letter_id,
    )
    return _WHOLE.row(rows[0]) if rows else None


async def end(database: Database, letter_ids: Sequence[int], status: Status) -> int:
    """Note what an operator decided on DEAD letters; how many of them were still DEAD."""
    if not letter_ids:
        return 0
    return await database.write(
        "UPDATE dead_letters SET status = %s, updated_at = UTC_TIMESTAMP(6) "
        f"WHERE status = 'DEAD' AND id IN ({placeholders(letter_ids)})",
        str(status),
        *letter_ids,
    )


async def forget_ended(database: Database, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` letters that an operator ended longer than `keep` ago; how many went."""
    over = (
        "status IN ('REDRIVEN', 'DROPPED') AND updated_at < UTC_TIMESTAMP(6) - INTERVAL %s SECOND"
    )
    seconds = int(keep.total_seconds())
    rows = await database.read(
        f"SELECT id FROM dead_letters WHERE {over} ORDER BY id LIMIT %s", seconds, limit
    )
    if not rows:
        return 0
    # One that has died again meanwhile is DEAD, and stays.
    return await database.write(
        f"DELETE FROM dead_letters WHERE id IN ({placeholders(rows)}) AND {over}",
        *(id_ for (id_,) in rows),
        seconds,
    )


def _storable(text: str) -> str:
    """Without lone surrogates: the driver could not encode them."""
    return text.encode("utf-8", "replace").decode()
