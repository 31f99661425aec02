"""Short ways to manage a catalogue: commands by name, what they answered, what the database says."""

from collections.abc import Callable
from typing import Any, TypeVar

import orjson

from contracts.commands import (
    CancelEvent,
    Command,
    CreateEvent,
    CreateTicketType,
    DeleteTicketType,
    UpdateEvent,
    UpdateTicketType,
)
from contracts.outcomes import Outcome
from db.mysql.database import Database
from tests.harness.accounts import Person
from tests.harness.command_client import FINGERPRINT, CommandClient, place, result
from tests.harness.waiting import eventually
from tests.integration.payments.payment_client import confirm, fresh_hash, quote, set_rate

C = TypeVar("C", bound=Command)
EVENT = {
    "name": "Concert",
    "start_time": "2030-01-01T18:00:00Z",
    "end_time": "2030-01-01T23:00:00Z",
}
TYPE = {"name": "Seat", "price": "49.90", "currency": "USD", "quota": 10, "max_per_order": 10}


def create_event(who: Person, **fields: Any) -> CreateEvent:
    """A new event, as EVENT but for `fields`."""
    return _command(CreateEvent, who, EVENT | fields)


def update_event(
    who: Person, event_id: int, patch: dict[str, Any], match: str | None = None
) -> UpdateEvent:
    """A merge patch of an event."""
    return _command(UpdateEvent, who, {"event_id": event_id, "patch": patch, "if_match": match})


def cancel_event(who: Person, event_id: int) -> CancelEvent:
    """The end of an event."""
    return _command(CancelEvent, who, {"event_id": event_id})


def create_type(who: Person, event_id: int, **fields: Any) -> CreateTicketType:
    """A new ticket type, as TYPE but for `fields`."""
    return _command(CreateTicketType, who, {"event_id": event_id} | TYPE | fields)


def update_type(
    who: Person, event_id: int, type_id: int, patch: dict[str, Any], match: str | None = None
) -> UpdateTicketType:
    """A merge patch of a ticket type."""
    target = {"event_id": event_id, "ticket_type_id": type_id}
    return _command(UpdateTicketType, who, target | {"patch": patch, "if_match": match})


def delete_type(
    who: Person, event_id: int, type_id: int, match: str | None = None
) -> DeleteTicketType:
    """The removal of a ticket type."""
    target = {"event_id": event_id, "ticket_type_id": type_id}
    return _command(DeleteTicketType, who, target | {"if_match": match})


def _command(model: type[C], who: Person, fields: dict[str, Any]) -> C:
    return model(principal=who.principal, fingerprint=FINGERPRINT, **fields)


def body(outcome: Outcome) -> dict[str, Any]:
    """The resource or the problem."""
    parsed: dict[str, Any] = orjson.loads(outcome.body)
    return parsed


async def pay(client: CommandClient, buyer: Person, order_id: int) -> None:
    """Quote an order and confirm it."""
    await set_rate(client.database, "BTC", "50000")
    payment = result(await client.ask(quote(buyer, order_id)))
    payment_id = int(str(payment["id"]))
    assert (await client.ask(confirm(buyer, payment_id, fresh_hash()))).status_code == 200


async def buy(
    client: CommandClient, buyer: Person, event_id: int, type_id: int, quantity: int
) -> int:
    """The id of a new unpaid order."""
    return int(str(result(await client.ask(place(buyer, event_id, (type_id, quantity))))["id"]))


async def ledger(database: Database, type_id: int) -> list[tuple[Any, ...]]:
    """(version, kind, delta, quota delta) of every step of a type."""
    rows = await database.read(
        "SELECT version, kind, delta, quota_delta FROM stock_ledger WHERE ticket_type_id = %s ORDER BY version",
        type_id,
    )
    return [tuple(row) for row in rows]


async def stock(database: Database, type_id: int) -> tuple[int, int, int]:
    """(quota, available, version) of a type."""
    rows = await database.read(
        "SELECT quota, available, version FROM ticket_types WHERE id = %s", type_id
    )
    quota, available, version = rows[0]
    return quota, available, version


async def accepted(client: CommandClient, command: Callable[[], Command]) -> Outcome:
    """The outcome of the first of these commands that succeeds: what stands against it goes away by itself."""

    async def ask() -> Outcome | None:
        outcome = await client.ask(command())
        return outcome if outcome.status_code < 300 else None

    outcome = await eventually(ask)
    assert outcome is not None
    return outcome
