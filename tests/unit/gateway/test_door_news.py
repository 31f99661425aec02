"""What a gateway's door hears on its queue: signed events about stock and events; anything else is nothing to it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from contracts.events import DomainEvent, EventCancelled, EventChanged, StockChanged
from contracts.messaging.envelope import SINGLE, Codec, Envelope
from gateway.availability.broadcast import AvailabilityListener
from tests.harness.resources import an_event

SECRET = "s" * 32
STOCK = StockChanged(ticket_type_id=3, event_id=7, version=5, quota=10, available=4)
CHANGED = EventChanged(event=an_event(id=7), organizer_id=1)
CANCELLED = EventCancelled(event=an_event(id=7), organizer_id=1)


class Heard:
    """A door that notes what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def heard(self, *what: int) -> None:
        self.calls.append(("heard", *what))

    def changed(self, event_id: int) -> None:
        self.calls.append(("changed", event_id))


class Message:
    content_type = SINGLE

    def __init__(self, body: bytes) -> None:
        self.body = body


async def told(event: DomainEvent, codec: Codec) -> list[tuple[object, ...]]:
    """What the door is told when this event arrives."""
    envelope = Envelope(
        id="1", type=event.TYPE, source="/test", time=datetime.now(UTC), data=event.to_json()
    )
    door: Any = Heard()
    message: Any = Message(codec.encode(envelope))
    await AvailabilityListener("amqp://nobody", "test", Codec(SECRET), door)._arrived(message)
    calls: list[tuple[object, ...]] = door.calls
    return calls


@pytest.mark.parametrize(
    ("event", "call"),
    [
        (STOCK, ("heard", 3, 5, 4)),
        (CHANGED, ("changed", 7)),
        (CANCELLED, ("changed", 7)),
    ],
)
async def test_the_door_is_told(event: DomainEvent, call: tuple[object, ...]) -> None:
    """Stock by version; a change or a cancellation by its event."""
    assert await told(event, Codec(SECRET)) == [call]


@pytest.mark.parametrize("event", [STOCK, CHANGED, CANCELLED])
async def test_forged_news_are_none(event: DomainEvent) -> None:
    """Signed by somebody else: nothing is heard."""
    assert await told(event, Codec("x" * 32)) == []
