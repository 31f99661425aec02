"""The search index of events: all SQL of `event_terms`.

In: events as they are stored; terms that somebody asks for (`contracts.search_terms`). Out: rows of terms; conditions.
Must stay true: terms change in the transaction that changes the event; where that did not happen (events of before
this table, a worker of an older release), the event's `search_stale` says so and `refresh` makes up for it.
"""

from collections.abc import Collection, Sequence
from typing import Any

from contracts.search_terms import stored_terms
from db.mysql.database import Database, Transaction, placeholders

ABOVE_ALL_UTF8 = b"\xff"
"""No UTF-8 text holds this byte: what begins with a term lies between the term and the term with it."""


def add(transaction: Transaction, event_id: int, texts: Sequence[str | None]) -> None:
    """Store the terms of a new event."""
    _insert(transaction, event_id, stored_terms(*texts))


def replace(
    transaction: Transaction,
    event_id: int,
    before: Sequence[str | None],
    after: Sequence[str | None],
) -> None:
    """Store the terms of a changed event whose row this transaction holds."""
    _change(transaction, event_id, set(stored_terms(*before)), set(stored_terms(*after)))


async def stale(database: Database, limit: int) -> list[int]:
    """Events whose terms are not those of their texts, at most `limit`."""
    rows = await database.read(
        "SELECT id FROM events WHERE search_stale = 1 ORDER BY id LIMIT %s", limit
    )
    return [row[0] for row in rows]


async def refresh(transaction: Transaction, event_ids: Sequence[int]) -> None:
    """Make the terms of these events what their texts say. Who is locked by somebody else is left for later."""
    held = await transaction.fetch(
        "SELECT id FROM events FORCE INDEX (PRIMARY) "
        f"WHERE id IN ({placeholders(event_ids)}) ORDER BY id FOR UPDATE SKIP LOCKED",
        *event_ids,
    )
    for (event_id,) in held:
        rows = await transaction.fetch(
            "SELECT version, name, venue FROM events WHERE id = %s", event_id
        )
        version, *texts = rows[0]
        found = await transaction.fetch(
            "SELECT term FROM event_terms WHERE event_id = %s", event_id
        )
        before = {bytes(term).decode() for (term,) in found}
        _change(transaction, event_id, before, set(stored_terms(*texts)))
        transaction.later(
            "UPDATE events SET searched_version = version WHERE id = %s AND version = %s",
            event_id,
            version,
        )


def conditions(terms: Collection[str]) -> tuple[list[str], list[Any]]:
    """SQL conditions on `e.id`, one for each term, and their parameters."""
    sql: list[str] = []
    parameters: list[Any] = []
    for term in terms:
        first = term.encode()
        sql.append(
            "e.id IN (SELECT w.event_id FROM event_terms w WHERE w.term >= %s AND w.term < %s)"
        )
        parameters += [first, first + ABOVE_ALL_UTF8]
    return sql, parameters


def _change(transaction: Transaction, event_id: int, before: set[str], after: set[str]) -> None:
    # Each by its key: a range would hold the gaps beside it against other events' terms.
    for term in sorted(before - after):
        transaction.later(
            "DELETE FROM event_terms WHERE term = %s AND event_id = %s", term.encode(), event_id
        )
    _insert(transaction, event_id, sorted(after - before))


def _insert(transaction: Transaction, event_id: int, terms: Sequence[str]) -> None:
    rows = [(term.encode(), event_id) for term in terms]
    transaction.insert_later("event_terms", ("term", "event_id"), rows)
