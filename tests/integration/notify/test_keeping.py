"""How long deliveries are kept, and what becomes of results while the database is away."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from db.mysql.database import Database, DatabaseAway
from db.webhooks import deliveries
from db.webhooks.deliveries import NewDelivery
from db.webhooks.delivery_log import sweep
from db.webhooks.endpoints import targets
from tests.harness.accounts import person
from tests.harness.system import System
from tests.integration.notify.conftest import Hook, hook
from tests.integration.notify.receiver import Receiver
from workers.notify.lanes import EndpointQueue
from workers.notify.recording import AttemptResult, Recorder
from workers.notify.schedule import DeliveryVerdict, Policy, ReceiverResponse

AT = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
async def made(system: System, database: Database, receiver: Receiver) -> Hook:
    """A webhook; no worker runs."""
    return await hook(system, await person(database), receiver, "/kept")


async def write(database: Database, made: Hook, event_id: str) -> deliveries.DueDelivery:
    """A pending delivery of that webhook."""
    new = NewDelivery(made.id, event_id, "order.placed", f"order:{event_id}", 1, "{}")
    await database.run(lambda transaction: deliveries.add(transaction, [new]))
    rows = await database.read(
        "SELECT id FROM webhook_deliveries WHERE endpoint_id = %s AND event_id = %s",
        made.id,
        event_id,
    )
    (loaded,) = await deliveries.load(database, [rows[0][0]])
    return loaded


async def ended(database: Database, made: Hook, event_id: str, status: str, days: int) -> None:
    """A delivery that was closed so many days ago, with one attempt."""
    delivery = await write(database, made, event_id)
    await database.write(
        "UPDATE webhook_deliveries SET status = %s, next_attempt_at = NULL, "
        "delivered_at = UTC_TIMESTAMP(6), updated_at = UTC_TIMESTAMP(6) - INTERVAL %s DAY "
        "WHERE id = %s",
        status,
        days,
        delivery.id,
    )
    await database.write(
        "INSERT INTO webhook_attempts (delivery_id, number, started_at, duration_ms) "
        "VALUES (%s, 1, UTC_TIMESTAMP(6), 1)",
        delivery.id,
    )


async def left(database: Database, made: Hook) -> set[str]:
    """The events whose deliveries are still there, each with its attempt."""
    rows = await database.read(
        "SELECT d.event_id FROM webhook_deliveries d LEFT JOIN webhook_attempts a "
        "ON a.delivery_id = d.id WHERE d.endpoint_id = %s "
        "AND (a.delivery_id IS NOT NULL OR d.status = 'PENDING')",
        made.id,
    )
    return {row[0] for row in rows}


async def sweep_all(database: Database) -> None:
    """Sweep until nothing is old (other tests leave their own)."""
    while await sweep(database):
        continue


async def test_old_deliveries_go_young_and_pending_ones_stay(
    system: System, database: Database, made: Hook
) -> None:
    """Delivered: seven days. Failed: thirty. Pending: until it is closed."""
    await ended(database, made, "delivered-6", "DELIVERED", 6)
    await ended(database, made, "delivered-8", "DELIVERED", 8)
    await ended(database, made, "failed-29", "FAILED", 29)
    await ended(database, made, "failed-31", "FAILED", 31)
    await write(database, made, "pending")
    await sweep_all(database)
    assert await left(database, made) == {"delivered-6", "failed-29", "pending"}
    rows = await database.read(
        "SELECT COUNT(*) FROM webhook_attempts a LEFT JOIN webhook_deliveries d "
        "ON d.id = a.delivery_id WHERE d.id IS NULL"
    )
    assert rows[0][0] == 0


async def test_a_deleted_webhooks_log_goes_at_once(database: Database, made: Hook) -> None:
    """Nobody can read it any more."""
    await ended(database, made, "fresh", "DELIVERED", 0)
    await database.write("UPDATE webhook_endpoints SET status = 'DELETED' WHERE id = %s", made.id)
    await sweep_all(database)
    assert await left(database, made) == set()


class AwayAtFirst:
    """The session's database, away for the first transactions."""

    def __init__(self, database: Database, times: int) -> None:
        self._database, self.times = database, times

    async def run(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        """Run it, once we are back."""
        if self.times > 0:
            self.times -= 1
            raise DatabaseAway("away")
        return await self._database.run(work)


async def test_results_wait_for_the_database(database: Database, made: Hook) -> None:
    """An attempt that ended while the database was away is written once when it is back, and only then given free."""
    delivery = await write(database, made, "waits")
    (target,) = await targets(database, [made.id])
    lane = EndpointQueue(target, Policy())
    written: list[AttemptResult] = []
    away = AwayAtFirst(database, 2)
    recorder = Recorder(away, written.append)  # type: ignore[arg-type]  # stands for the database
    task = asyncio.create_task(recorder.run())
    verdict = DeliveryVerdict(delivered=True, delay=None, error=None)
    recorder.put(
        AttemptResult(lane, delivery, lane.target.url, ReceiverResponse(204), verdict, AT, 0.01)
    )
    await recorder.flush()
    task.cancel()
    assert away.times == 0
    assert [result.delivery.id for result in written] == [delivery.id]
    rows = await database.read(
        "SELECT status, attempts FROM webhook_deliveries WHERE id = %s", delivery.id
    )
    assert tuple(rows[0]) == ("DELIVERED", 1)
