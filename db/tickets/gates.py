"""Gates in SQL: devices at the door of an event, and whether their tokens still count.

In: an event, a name, the digest of a token. Out: `contracts.tickets.scans.GateRow`.
Must stay true: a revoked gate stays revoked, and its scans stay; the token itself is nowhere here.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from contracts.runtime.times import to_sql
from contracts.tickets.scans import GateRow
from db.mysql.database import Database, Transaction, placeholders
from db.rows import Select

_GATES = Select(GateRow)


@dataclass(frozen=True, slots=True)
class NewGate:
    """A gate about to be made."""

    event_id: int
    name: str
    created_by: int


TokenMaker = Callable[[int], tuple[str, bytes]]
"""A gate's id -> its token and the token's digest."""


class TooManyGates(Exception):
    """The event has as many gates as it may have."""


async def create(
    database: Database, new: NewGate, make_token: TokenMaker, *, limit: int
) -> tuple[GateRow, str]:
    """A new gate and its token. Raises TooManyGates."""

    async def work(transaction: Transaction) -> tuple[GateRow, str]:
        # The organizer's row orders the requests, so that two at once cannot both be the last allowed one.
        [[organizer]] = await transaction.fetch(
            "SELECT organizer_id FROM events WHERE id = %s", new.event_id
        )
        await transaction.fetch("SELECT id FROM users WHERE id = %s FOR UPDATE", organizer)
        [[count]] = await transaction.fetch(
            "SELECT COUNT(*) FROM gates WHERE event_id = %s AND revoked_at IS NULL", new.event_id
        )
        if count >= limit:
            raise TooManyGates
        now = await transaction.now()
        columns = ("event_id", "name", "token_digest", "created_by", "created_at")
        row = (new.event_id, new.name, bytes(32), new.created_by, to_sql(now))
        gate_id = await transaction.insert("gates", columns, [row])
        token, digest = make_token(gate_id)
        await transaction.execute(
            "UPDATE gates SET token_digest = %s WHERE id = %s", digest, gate_id
        )
        return GateRow(gate_id, new.event_id, new.name, now, None, None), token

    return await database.run(work)


async def page(database: Database, event_id: int, after_id: int, limit: int) -> list[GateRow]:
    """An event's gates with ids above `after_id`, revoked ones too, by id."""
    rows = await database.read(
        f"SELECT {_GATES.columns} FROM gates WHERE event_id = %s AND id > %s ORDER BY id LIMIT %s",
        event_id,
        after_id,
        limit,
    )
    return _GATES.rows(rows)


async def revoke(database: Database, event_id: int, gate_id: int) -> bool:
    """Its token counts no more; False when the event has no such gate."""
    await database.write(
        "UPDATE gates SET revoked_at = UTC_TIMESTAMP(6) "
        "WHERE id = %s AND event_id = %s AND revoked_at IS NULL",
        gate_id,
        event_id,
    )
    found = await database.read(
        "SELECT 1 FROM gates WHERE id = %s AND event_id = %s", gate_id, event_id
    )
    return bool(found)


@dataclass(frozen=True, slots=True)
class GateAccess:
    """What decides whether a token counts."""

    id: int
    event_id: int
    digest: bytes
    revoked: bool


async def access(database: Database, gate_ids: Iterable[int]) -> dict[int, GateAccess]:
    """Whether these gates' tokens count now; those that exist."""
    wanted = sorted(set(gate_ids))
    rows = await database.read(
        "SELECT id, event_id, token_digest, revoked_at IS NOT NULL FROM gates "
        f"WHERE id IN ({placeholders(wanted)})",
        *wanted,
    )
    return {row[0]: GateAccess(row[0], row[1], row[2], bool(row[3])) for row in rows}


async def seen(database: Database, gate_id: int) -> None:
    """Note that the gate asked for something."""
    await database.write(
        "UPDATE gates SET last_seen_at = UTC_TIMESTAMP(6) WHERE id = %s AND revoked_at IS NULL",
        gate_id,
    )


async def working(transaction: Transaction, gate_ids: Iterable[int]) -> dict[int, tuple[int, str]]:
    """Gate id -> (its event, its name), for those of these gates that are not revoked."""
    wanted = sorted(set(gate_ids))
    rows = await transaction.fetch(
        "SELECT id, event_id, name FROM gates "
        f"WHERE id IN ({placeholders(wanted)}) AND revoked_at IS NULL",
        *wanted,
    )
    return {row[0]: (row[1], row[2]) for row in rows}
