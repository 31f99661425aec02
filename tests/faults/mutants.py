"""EventHub with one guard taken out, to see that the proof notices: `python -m tests.faults.mutants GUARD MODULE`.

In: the name of a guard and the module to run without it. Out: that process, broken in this one way.
Must stay true: each mutant differs from the real thing by its guard alone; nothing but tests/faults starts one.
"""

import runpy
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import aiomysql

from contracts.runtime import failpoints
from contracts.runtime.times import to_sql
from db import stock as stocks
from db.messages import outbox, outcomes
from db.mysql.database import Transaction
from db.stock import Stock, Unreturned
from workers.relay import publishing
from workers.runtime import processing, self_test
from workers.runtime.services import Services


def write_what_was_read(
    transaction: Transaction, steps: Sequence[tuple[Stock, int]], now: datetime
) -> None:
    """Stock as whoever trusts their reading writes it, whatever it is by now (for `db.stock._write`)."""
    for before, delta in steps:
        transaction.later(
            "UPDATE ticket_types SET available = %s, version = version + 1, updated_at = %s WHERE id = %s",
            max(0, before.available + delta),
            to_sql(now),
            before.id,
        )
        # The ledger's key would notice as well: this build has none.
        transaction.later("DELETE FROM stock_ledger WHERE ticket_type_id = %s", before.id)


def pool_of_old_snapshots(**arguments: Any) -> Any:
    """Sessions that write over what has changed since they read it (for `aiomysql.create_pool`).

    MariaDB from 11.6.2 on has a guard of its own: it refuses that (1020, `innodb_snapshot_isolation`), unless told
    otherwise. It alone reads the comment; for all others nothing changes.
    """
    off = "/*M!110602 , innodb_snapshot_isolation = OFF */"
    return _CREATE_POOL(**arguments | {"init_command": f"{arguments['init_command']} {off}"})


def outcome_row() -> None:
    """Decisions leave no outcome."""

    def forget(*_: object) -> None:
        return None

    outcomes.insert = forget  # type: ignore[assignment]  # the point of a mutant


def ack_before_commit() -> None:
    """Deliveries are acknowledged as they come, before anything is decided."""
    process = processing.MessageProcessor.process

    async def acked_first(self: processing.MessageProcessor, deliveries: Sequence[Any]) -> None:
        for delivery in deliveries:
            await delivery.message.ack()
        await process(self, deliveries)

    def nothing(*_: object) -> None:
        return None

    processing.MessageProcessor.process = acked_first  # type: ignore[method-assign]  # the point of a mutant
    processing.MessageProcessor._acknowledge = nothing  # type: ignore[method-assign, assignment]  # the point of a mutant


async def relay_marking_first(services: Any, streams: Sequence[int], *_: object) -> int:
    """A pass of a relay that forgets events, then publishes them."""
    rows = await outbox.pending(services.database, streams, publishing.POLL_LIMIT)
    if rows:
        await outbox.published(services.database, [row.id for row in rows])
        failpoints.reach("relay.selected")
        await publishing.publish(services.publisher, rows)
    return len(rows)


def mark_before_publish() -> None:
    """The relay forgets events, then publishes them."""
    publishing.relay_once = relay_marking_first  # type: ignore[assignment]  # the point of a mutant


def all_at_once(cut: Iterable[Any]) -> list[list[Any]]:
    """Messages none of which waits for another's confirm (for `publishing.waves`)."""
    return [list(cut)]


async def publish_going_on(
    publisher: Any, rows: Sequence[outbox.PendingEvent]
) -> list[outbox.PendingEvent]:
    """Publishing that does not stop at the first message without a confirm."""
    confirmed: list[outbox.PendingEvent] = []
    for message in publishing.messages(rows):
        for row in message:
            confirmed += await _PUBLISH(publisher, [row])
    return confirmed


def by_key_alone(rows: Sequence[outbox.PendingEvent], *, key: Any, aggregate: Any) -> Any:
    """Grouping that looks at the routing key and at nothing else (for `contracts.messaging.coalesce.coalesce`)."""
    groups: dict[Any, list[outbox.PendingEvent]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return list(groups.values())


_CREATE_POOL = aiomysql.create_pool
_PUBLISH = publishing.publish
RELAYS: dict[str, tuple[str, Any]] = {
    "mark after publish": ("relay_once", relay_marking_first),
    "stop at the first": ("publish", publish_going_on),
    "order of an aggregate": ("coalesce", by_key_alone),
    "one of an aggregate under way": ("waves", all_at_once),
}
"""Relays without a guard: what to replace in workers.relay.publishing, and by what."""


def returned_twice() -> None:
    """Lines that came back are not told from those that did not."""

    async def unreturned(
        transaction: Transaction, order_ids: Any, *, lock: bool
    ) -> list[Unreturned]:
        lines: list[Unreturned] = []
        for order_id in sorted(set(order_ids)):
            rows = await transaction.fetch(
                "SELECT id, order_id, ticket_type_id, quantity FROM order_details WHERE order_id = %s",
                order_id,
            )
            lines += [Unreturned(*row) for row in rows]
        return lines

    def mark(transaction: Transaction, lines: Any, after: Any, now: datetime) -> None:
        for line in lines:
            transaction.later(
                "UPDATE order_details SET returned_version = %s WHERE id = %s",
                after[line.ticket_type_id].version,
                line.id,
            )

    stocks.unreturned = unreturned
    stocks.mark_returned = mark


async def passed(services: Services, *_: object) -> bool:
    """A self-test that finds nothing: a worker without its guard would notice that and take no message."""
    services.readiness.self_test = None
    return True


MUTANTS: dict[str, Callable[[], None]] = {
    "outcome row": outcome_row,
    "ack before commit": ack_before_commit,
    "mark before publish": mark_before_publish,
    "returned twice": returned_twice,
}

if __name__ == "__main__":
    guard, module = sys.argv[1:]
    MUTANTS[guard]()
    self_test.passed = passed  # type: ignore[assignment]  # what the audit finds is asked here
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__")
