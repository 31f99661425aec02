"""The notify handler around a database that fails: events keep their order, one bad event harms only itself."""

import io
from datetime import UTC, datetime
from typing import Any

import orjson

from contracts.events import EVENTS, OrderPlaced
from contracts.messaging.envelope import Envelope
from db.mysql.database import DatabaseAway
from tests.harness.resources import an_order
from workers.notify.handlers import Notifier, handlers
from workers.notify.lines import EventLines
from workers.runtime.handlers import (
    ACK,
    MessageHandler,
    Received,
    Retry,
)

POISON = 666


class Failing:
    """A database without listeners that is away for the first questions and chokes on one account."""

    def __init__(self, away: int = 0) -> None:
        self.away = away
        self.asked = 0

    async def read(self, sql: str, *parameters: Any) -> list[Any]:
        """No listeners, once it answers."""
        self.asked += 1
        if self.asked <= self.away:
            raise DatabaseAway("away")
        if POISON in parameters:
            raise ValueError("a value that does not fit")
        return []


def placed(number: int, user_id: int = 5) -> Received[OrderPlaced]:
    """A new order as it comes off the queue."""
    event = OrderPlaced(order=an_order(id=number, userId=user_id), organizer_id=7)
    at = datetime(2026, 5, 1, tzinfo=UTC)
    envelope = Envelope(f"e-{number}", event.TYPE, "/test", at, event.to_json())
    return Received(envelope, event, "notify")


def notifier(database: Failing, waits: list[int], log: io.BytesIO | None = None) -> Notifier:
    """A notifier that counts how often it waited for the database, and writes its lines to `log`."""

    async def back() -> None:
        waits.append(database.asked)

    lines = EventLines("notify-1", "info", log or io.BytesIO())
    return Notifier(database, lines, database_back=back, wake=lambda: None)  # type: ignore[arg-type]  # a fake


def logged(log: io.BytesIO) -> list[Any]:
    """The orders that the lines speak of, in order."""
    return [orjson.loads(line)["order_id"] for line in log.getvalue().splitlines()]


async def test_while_the_database_is_away_events_wait_in_order() -> None:
    """No retry ladder, which later events would overtake: the same events are written when it is back, then logged."""
    waits: list[int] = []
    log = io.BytesIO()
    ends = await notifier(Failing(away=2), waits, log).notify([placed(1), placed(2)])
    assert ends == [ACK, ACK]
    assert len(waits) == 2
    assert logged(log) == [1, 2]


async def test_one_event_that_cannot_be_written_harms_only_itself() -> None:
    """Its neighbours are acknowledged; it climbs the ladder, and is not logged as if it had been told."""
    log = io.BytesIO()
    ends = await notifier(Failing(), [], log).notify([placed(1), placed(2, POISON), placed(3)])
    assert [type(end) for end in ends] == [type(ACK), Retry, type(ACK)]
    assert logged(log) == [1, 3]


def test_every_event_has_its_handler() -> None:
    """What the topology lets into the queue is dealt with."""
    table = handlers(notifier(Failing(), []))
    assert set(table) == set(EVENTS)
    for type_, handler in table.items():
        assert isinstance(handler, MessageHandler)
        assert handler.model is EVENTS[type_]
