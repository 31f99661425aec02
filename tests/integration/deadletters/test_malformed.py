"""A message that we signed and that is not what its type says dies at its first attempt, with its reason."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from contracts.commands import CreateEvent
from contracts.events import OrderCancelled
from contracts.messaging.envelope import SINGLE, Envelope
from contracts.messaging.publisher import Properties
from contracts.messaging.topology import EVENTS_EXCHANGE
from db.mysql.database import Database
from tests.harness.desk import FINGERPRINT, Desk, desk
from tests.harness.people import person
from tests.harness.resources import an_order
from tests.harness.scratch import Scratch
from tests.harness.staff import staff
from tests.integration.deadletters.morgue import found, mark
from workers.runtime.processing import ATTEMPT_HEADER


@pytest.fixture(scope="module")
async def counter(world: Scratch, database: Database) -> AsyncIterator[Desk]:
    """The relay keeps what dies; inventory hears of ended orders and takes commands."""
    async with desk(world, database) as opened, staff(opened.settings, "relay", "inventory"):
        yield opened


def without(name: str) -> dict[str, Any]:
    """An order resource that lacks a member."""
    return {key: value for key, value in an_order().items() if key != name}


@pytest.mark.parametrize(
    ("order", "fault"),
    [
        (without("id"), "order.id: Field required"),
        (an_order(id="7"), "order.id: Input should be a valid integer"),
        (an_order(details=[{"ticketTypeId": 1}]), "order.details.0.quantity: Field required"),
        ("none", "order: Input should be a valid dictionary"),
    ],
    ids=["missing", "another kind", "inside", "no object"],
)
async def test_a_malformed_event_is_a_dead_letter_at_once(
    counter: Desk, order: Any, fault: str
) -> None:
    """Signed by us, and yet no order: trying it twelve times would not make it one."""
    event_id = mark()
    envelope = Envelope(
        id=event_id,
        type=OrderCancelled.TYPE,
        source="/eventhub/test",
        time=datetime.now(UTC),
        data={"order": order, "organizerId": 1, "reason": "buyer"},
    )
    body = counter.codec.encode(envelope)
    where = f"{OrderCancelled.TOPIC}.0"
    properties = Properties(SINGLE, message_id=event_id)
    await counter.publisher.publish(EVENTS_EXCHANGE, where, body, properties)
    letter = await found(counter.database, event_id)
    assert letter.reason.startswith(f"data is not valid: {fault}")
    assert letter.headers
    assert letter.headers[ATTEMPT_HEADER] == 1


async def test_a_command_beyond_the_limits_dies_and_its_client_is_told(counter: Desk) -> None:
    """No gateway of ours sends one: FAILED, and no row of it."""
    organizer = await person(counter.database, "ORGANIZER")
    command = CreateEvent(
        principal=organizer.principal,
        fingerprint=FINGERPRINT,
        name="Concert",
        start_time="2030-01-01T18:00:00Z",
        end_time="2030-01-01T23:00:00Z",
    )
    failed = await counter.ask(command.model_copy(update={"name": " "}))
    assert (failed.status_code, failed.code) == (500, "INTERNAL")
    [[count]] = await counter.database.read(
        "SELECT COUNT(*) FROM events WHERE organizer_id = %s", organizer.id
    )
    assert count == 0
