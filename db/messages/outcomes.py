"""Command outcomes: the durable answer of each decided command.

In: outcomes of a decision (inside its transaction). Out: outcomes by command UUID.
Must stay true: the primary key makes a second decision impossible; a tombstone (FAILED 503 for a command past its
deadline) is written before anybody is told so, and therefore forbids a later execution.
"""

from collections.abc import Sequence
from datetime import datetime

from contracts.outcomes import Outcome
from contracts.runtime.times import from_sql, to_sql
from db.mysql.database import (
    Database,
    JsonText,
    Row,
    Transaction,
    placeholders,
)

_COLUMNS = (
    "id",
    "user_id",
    "type",
    "fingerprint",
    "status_code",
    "code",
    "location",
    "request_id",
    "body",
    "accepted_at",
    "decided_at",
)


def insert(transaction: Transaction, outcomes: Sequence[Outcome]) -> None:
    """Write outcomes with the next statement: it raises IntegrityError (1062) when one of the commands was decided."""
    transaction.insert_later("command_outcomes", _COLUMNS, [_to_row(o) for o in outcomes])


async def insert_missing(database: Database, outcomes: Sequence[Outcome]) -> None:
    """Write those whose command has no outcome yet (tombstones, dead letters)."""
    for outcome in outcomes:
        row = _to_row(outcome)
        await database.write(
            f"INSERT IGNORE INTO command_outcomes ({','.join(_COLUMNS)}) "
            f"VALUES ({placeholders(row)})",
            *row,
        )


async def find(reader: Database | Transaction, commands: Sequence[bytes]) -> dict[bytes, Outcome]:
    """The outcomes of those commands (UUIDs) that are decided."""
    if not commands:
        return {}
    sql = (
        f"SELECT {','.join(_COLUMNS)} FROM command_outcomes WHERE id IN ({placeholders(commands)})"
    )
    fetch = reader.fetch if isinstance(reader, Transaction) else reader.read
    found = map(_from_row, await fetch(sql, *commands))
    return {outcome.command: outcome for outcome in found}


async def forget_before(database: Database, moment: datetime, limit: int) -> int:
    """Delete at most `limit` outcomes decided before `moment`; how many went."""
    return await database.write(
        "DELETE FROM command_outcomes WHERE decided_at < %s ORDER BY decided_at LIMIT %s",
        to_sql(moment),
        limit,
    )


def _to_row(outcome: Outcome) -> Row:
    return (
        outcome.command,
        outcome.user_id,
        outcome.type,
        outcome.fingerprint,
        outcome.status_code,
        outcome.code,
        outcome.location,
        outcome.request_id,
        JsonText(outcome.body.decode()),
        to_sql(outcome.accepted_at),
        to_sql(outcome.decided_at),
    )


def _from_row(row: Row) -> Outcome:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["command"] = values.pop("id")
    values["body"] = values["body"].encode()
    for name in ("accepted_at", "decided_at"):
        values[name] = from_sql(values[name])
    return Outcome(**values)
