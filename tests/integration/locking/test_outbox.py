"""The relay and those who write: rows that are sent go without a look at rows that are being written."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import pytest

from contracts.events import OrderCancelled
from contracts.messaging.envelope import Codec
from db.messages import outbox
from db.messages.outbox import (
    Cause,
    NewEvent,
    Outbox,
    stream_of,
)
from db.mysql.database import (
    Database,
    Transaction,
    error_code,
    placeholders,
)
from tests.harness.resources import an_order
from tests.harness.scratch import SECRET, scratch

LOCK_WAIT_TIMEOUT = 1205
SIZES = (1, 3, 40, 200)
Forget = Callable[[Database, list[int]], Awaitable[object]]


@pytest.fixture
async def empty() -> AsyncIterator[Database]:
    """A database without a relay, whose patience with a lock is short."""
    async with scratch() as places:
        database = await Database.connect(places.mysql_url, size=2)
        yield database
        await database.close()


def write(transaction: Transaction, count: int) -> None:
    """A decision with so many events."""
    event = OrderCancelled(order=an_order(id=1), organizer_id=1)
    events = [NewEvent(event, "order:1", number, 1) for number in range(count)]
    Outbox(Codec(SECRET), "test", 4).add(
        transaction, datetime.now(UTC), [(one, Cause(None, None)) for one in events]
    )


async def waited(database: Database, count: int, forget: Forget) -> bool:
    """Whether `forget` waited for a decision that writes while `count` rows have been sent."""
    async with database.transaction() as transaction:
        write(transaction, count)
    sent = [row.id for row in await outbox.pending(database, [stream_of("order:1")], 500)]
    assert len(sent) == count
    async with database.transaction() as deciding:
        write(deciding, 1)
        await deciding.flush()
        try:
            await forget(database, sent)
        except Exception as error:
            if error_code(error) == LOCK_WAIT_TIMEOUT:
                return True
            raise
    assert await database.read("SELECT COUNT(*) FROM outbox") == [(1,)]
    return False


async def with_a_list(database: Database, ids: list[int]) -> None:
    """How one would write it."""
    await database.write(f"DELETE FROM outbox WHERE id IN ({placeholders(ids)})", *ids)


@pytest.mark.parametrize("count", SIZES)
async def test_what_is_sent_is_forgotten_beside_a_decision(empty: Database, count: int) -> None:
    """A decision that takes its time does not hold the relay up, nor the relay the decision."""
    assert not await waited(empty, count, outbox.published)


async def test_control_a_list_of_ids_waits(empty: Database) -> None:
    """The control: on a small table a list is answered with a scan."""
    assert await waited(empty, 40, with_a_list)
