"""Notify workers that die: nothing is lost, order holds, the others take over."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from db.mysql.database import Database
from tests.harness.accounts import person
from tests.harness.processes import Processes, running_processes
from tests.harness.scratch import Scratch
from tests.harness.system import System
from tests.integration.notify.conftest import EventPublisher, confirmed, hook, placed
from tests.integration.notify.receiver import Receiver


@pytest.fixture
async def workers(scratch: Scratch, tmp_path: Path) -> AsyncIterator[Processes]:
    """Notify workers as processes."""
    async with running_processes(scratch, tmp_path, webhook_allow_private="true") as started:
        yield started


async def test_a_killed_worker_loses_nothing(
    system: System,
    database: Database,
    receiver: Receiver,
    event_publisher: EventPublisher,
    workers: Processes,
) -> None:
    """Killed among a hundred events and again, with another worker beside it: each is heard, each order in order."""
    buyer = await person(database)
    for number in range(4):
        await hook(system, buyer, receiver, f"/crash{number}")
    first = await workers.start("notify-1")
    await workers.start("notify-2")
    told: list[str] = []
    for number in range(50):
        event = placed(buyer)
        told.append((await event_publisher.tell_order(event)).id)
        told.append((await event_publisher.tell_order(confirmed(event, buyer))).id)
        if number in (15, 30):
            await first.kill()
            first = await workers.start("notify-1", ready=False)
    for number in range(4):
        path = f"/crash{number}"
        for message_id in told:
            await receiver.heard_of(path, message_id)
        seen: dict[int, list[int]] = {}
        for call in receiver.calls[path]:
            seen.setdefault(call.body["data"]["id"], []).append(call.body["sequence"])
        # A repeat may come (at least once), but never an earlier event after a later one was heard.
        assert all(sequences == sorted(sequences) for sequences in seen.values())
    await first.ready()
    assert await first.stop() == 0
