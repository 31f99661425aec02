"""Events are created, patched and cancelled by their commands."""

from collections.abc import AsyncIterator

import aio_pika
import orjson
import pytest

from contracts.messaging.topology import EVENTS_EXCHANGE
from db.mysql.database import Database
from tests.harness.desk import Desk
from tests.harness.people import Person, person
from tests.harness.scratch import Scratch
from tests.harness.waiting import eventually
from tests.integration.catalogue.management import (
    body,
    buy,
    cancel_event,
    create_event,
    create_type,
    delete_type,
    pay,
    update_event,
    update_type,
)


@pytest.fixture
async def heard(world: Scratch, counter: Desk) -> AsyncIterator[list[dict[str, object]]]:
    """What is published about the catalogue while the test runs: CloudEvents in order."""
    found: list[dict[str, object]] = []
    connection = await aio_pika.connect(world.amqp_url)
    channel = await connection.channel()
    queue = await channel.declare_queue(exclusive=True)
    for topic in ("event.*", "ticket_type.*"):
        await queue.bind(EVENTS_EXCHANGE, topic)

    async def arrived(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        parsed = orjson.loads(message.body)
        found.extend(parsed if isinstance(parsed, list) else [parsed])

    await queue.consume(arrived, no_ack=True)
    yield found
    await connection.close()


async def test_an_organizer_creates_an_event(counter: Desk) -> None:
    """201 with the event, PUBLISHED, version 1, no types; Location names it."""
    organizer = await person(counter.database, "ORGANIZER")
    outcome = await counter.ask(create_event(organizer, description="Loud", venue="Hall"))
    made = body(outcome)
    assert (outcome.status_code, outcome.location) == (201, f"/api/events/{made['id']}")
    assert made["organizerId"] == organizer.id
    assert (made["status"], made["version"], made["ticketTypes"]) == ("PUBLISHED", 1, [])
    assert (made["description"], made["venue"]) == ("Loud", "Hall")
    assert made["startTime"] == "2030-01-01T18:00:00.000000Z"


@pytest.mark.parametrize("roles", [("USER",), ("PROVIDER",)])
async def test_others_create_none(counter: Desk, roles: tuple[str, ...]) -> None:
    """FORBIDDEN by the worker too: queues bypass the gateway."""
    nobody = await person(counter.database, *roles)  # type: ignore[arg-type]  # role names
    assert (await counter.ask(create_event(nobody))).code == "FORBIDDEN"


async def test_a_patch_changes_an_event_once(counter: Desk, heard: list[dict[str, object]]) -> None:
    """The version steps and EventChanged carries the whole event; the same patch again changes nothing."""
    organizer = await person(counter.database, "ORGANIZER")
    event_id = body(await counter.ask(create_event(organizer)))["id"]
    changed = body(
        await counter.ask(update_event(organizer, event_id, {"name": "Opera"}, '"v1.0"'))
    )
    assert (changed["name"], changed["version"]) == ("Opera", 2)
    again = body(await counter.ask(update_event(organizer, event_id, {"name": "Opera"}, '"v2.0"')))
    assert again == changed

    async def told() -> list[object]:
        mine = [one for one in heard if one["subject"] == f"event:{event_id}"]
        names = [(one["sequence"], one["data"]["event"]["name"]) for one in mine]  # type: ignore[index]  # parsed JSON
        return names if len(names) > 1 else []

    assert await eventually(told) == [("1", "Concert"), ("2", "Opera")]


async def test_a_stale_if_match_changes_nothing(counter: Desk) -> None:
    """VERSION_CONFLICT, and the event is as it was."""
    organizer = await person(counter.database, "ORGANIZER")
    event_id = body(await counter.ask(create_event(organizer)))["id"]
    await counter.ask(update_event(organizer, event_id, {"name": "A"}))
    refused = await counter.ask(update_event(organizer, event_id, {"name": "B"}, '"v1"'))
    assert (refused.status_code, refused.code) == (409, "VERSION_CONFLICT")
    assert body(await counter.ask(update_event(organizer, event_id, {})))["name"] == "A"


async def test_foreign_events_are_out_of_reach(counter: Desk) -> None:
    """Another organizer sees 404, a buyer 403, an admin may; unknown events are 404."""
    organizer, other = [await person(counter.database, "ORGANIZER") for _ in range(2)]
    buyer, admin = await person(counter.database), await person(counter.database, "ADMIN")
    event_id = body(await counter.ask(create_event(organizer)))["id"]
    for who, code in ((other, "NOT_FOUND"), (buyer, "FORBIDDEN"), (admin, None)):
        assert (await counter.ask(update_event(who, event_id, {"name": "X"}))).code == code
        assert (await counter.ask(create_type(who, event_id))).code == code
    for who, code in ((other, "NOT_FOUND"), (buyer, "FORBIDDEN"), (admin, None)):
        assert (await counter.ask(cancel_event(who, event_id))).code == code
    assert (await counter.ask(update_event(admin, 2**62, {"name": "X"}))).code == "NOT_FOUND"


async def _order_status(database: Database, order_id: int) -> str:
    rows = await database.read("SELECT status FROM orders WHERE id = %s", order_id)
    return str(rows[0][0])


async def test_cancelling_an_event_ends_its_unpaid_orders(counter: Desk) -> None:
    """CANCELLED at once; the orders follow and their tickets come back; cancelled again: the same answer."""
    organizer, buyer = await person(counter.database, "ORGANIZER"), await person(counter.database)
    event_id, (type_id,) = await counter.sale(organizer, 5)
    order_id = await buy(counter, buyer, event_id, type_id, 3)
    cancelled = body(await counter.ask(cancel_event(organizer, event_id)))
    assert (cancelled["status"], cancelled["version"]) == ("CANCELLED", 2)

    async def released() -> bool:
        rows = await counter.database.read(
            "SELECT available FROM ticket_types WHERE id = %s", type_id
        )
        return rows[0][0] == 5 and await _order_status(counter.database, order_id) == "CANCELLED"

    await eventually(released)
    again = body(await counter.ask(cancel_event(organizer, event_id)))
    assert (again["status"], again["version"]) == ("CANCELLED", 2)


async def test_a_cancelled_event_is_final(counter: Desk) -> None:
    """SALES_CLOSED for patches and types, new and old."""
    organizer = await person(counter.database, "ORGANIZER")
    event_id, (type_id,) = await counter.sale(organizer, 5)
    await counter.ask(cancel_event(organizer, event_id))
    for command in (
        update_event(organizer, event_id, {"name": "X"}),
        create_type(organizer, event_id),
        update_type(organizer, event_id, type_id, {"quota": 9}),
        delete_type(organizer, event_id, type_id),
    ):
        assert (await counter.ask(command)).code == "SALES_CLOSED"


async def test_an_event_that_somebody_paid_for_stays(counter: Desk) -> None:
    """EVENT_HAS_SALES, and the event is still on sale."""
    organizer, buyer = await person(counter.database, "ORGANIZER"), await person(counter.database)
    event_id, (type_id,) = await counter.sale(organizer, 5)
    await pay(counter, buyer, await buy(counter, buyer, event_id, type_id, 1))
    refused = await counter.ask(cancel_event(organizer, event_id))
    assert (refused.status_code, refused.code) == (409, "EVENT_HAS_SALES")
    assert body(await counter.ask(update_event(organizer, event_id, {})))["status"] == "PUBLISHED"


async def test_an_etag_never_shows_two_states(counter: Desk) -> None:
    """(event version, sum of its types' versions) never comes back, whatever is added, changed and removed."""
    organizer = await person(counter.database, "ORGANIZER")
    event_id, (first, second) = await counter.sale(organizer, 5, 5)
    seen = [await _tag(counter, organizer, event_id)]
    for command in (
        update_type(organizer, event_id, first, {"quota": 6}),
        delete_type(organizer, event_id, second),
        update_type(organizer, event_id, first, {"quota": 7}),
        update_event(organizer, event_id, {"name": "X"}),
        create_type(organizer, event_id),
        update_type(organizer, event_id, first, {"name": "Y"}),
    ):
        assert (await counter.ask(command)).status_code < 300
        seen.append(await _tag(counter, organizer, event_id))
    assert len(set(seen)) == len(seen)


async def _tag(counter: Desk, who: Person, event_id: int) -> tuple[int, int]:
    shown = body(await counter.ask(update_event(who, event_id, {})))
    return shown["version"], sum(one["version"] for one in shown["ticketTypes"])
