"""Ticket types are created, changed and deleted by their commands; the ledger says why at every version."""

import asyncio

import pytest

from tests.harness.accounts import person
from tests.harness.command_client import CommandClient, place
from tests.integration.catalogue.management import (
    accepted,
    body,
    buy,
    create_event,
    create_type,
    delete_type,
    ledger,
    pay,
    stock,
    update_event,
    update_type,
)
from tests.integration.payments.payment_client import cancel


async def test_a_new_type_has_its_whole_quota(client: CommandClient) -> None:
    """201 with Location; one CREATE step; the event shows it and keeps its own version."""
    organizer = await person(client.database, "ORGANIZER")
    event_id = body(await client.ask(create_event(organizer)))["id"]
    outcome = await client.ask(
        create_type(organizer, event_id, quota=7, sales_end="2029-01-01T00:00:00Z")
    )
    made = body(outcome)
    assert (outcome.status_code, outcome.location) == (201, f"/api/ticket-types/{made['id']}")
    assert (made["quota"], made["available"], made["version"]) == (7, 7, 1)
    assert (made["price"], made["salesEnd"]) == ("49.90", "2029-01-01T00:00:00.000000Z")
    assert await ledger(client.database, made["id"]) == [(1, "CREATE", 7, 7)]
    shown = body(await client.ask(update_event(organizer, event_id, {})))
    assert (shown["ticketTypes"], shown["version"]) == ([made], 1)


async def test_each_change_is_one_step(client: CommandClient) -> None:
    """Text alone EDIT, quota alone or with text QUOTA, nothing new no step at all."""
    organizer = await person(client.database, "ORGANIZER")
    event_id, (type_id,) = await client.sale(organizer, 10)
    for patch in (
        {"name": "Box"},
        {"quota": 15},
        {"quota": 12, "price": "60.00", "maxPerOrder": 4},
        {"quota": 12},
        {},
    ):
        assert (
            await client.ask(update_type(organizer, event_id, type_id, patch))
        ).status_code == 200
    assert await ledger(client.database, type_id) == [
        (1, "CREATE", 10, 10),
        (2, "EDIT", 0, 0),
        (3, "QUOTA", 5, 5),
        (4, "QUOTA", -3, -3),
    ]
    assert await stock(client.database, type_id) == (12, 12, 4)


async def test_quota_stops_at_what_is_held_and_sold(client: CommandClient) -> None:
    """2 held and 3 sold of 10: 5 is possible, 4 is EVENT_HAS_SALES; released tickets free it again."""
    organizer, buyer = await person(client.database, "ORGANIZER"), await person(client.database)
    event_id, (type_id,) = await client.sale(organizer, 10)
    held = await buy(client, buyer, event_id, type_id, 2)
    await pay(client, buyer, await buy(client, buyer, event_id, type_id, 3))
    refused = await client.ask(update_type(organizer, event_id, type_id, {"quota": 4}))
    assert (refused.status_code, refused.code) == (409, "EVENT_HAS_SALES")
    assert (
        body(await client.ask(update_type(organizer, event_id, type_id, {"quota": 5})))["available"]
        == 0
    )
    assert (await client.ask(place(buyer, event_id, (type_id, 1)))).code == "SOLD_OUT"
    assert (await client.ask(cancel(buyer, held))).status_code == 200
    await accepted(client, lambda: update_type(organizer, event_id, type_id, {"quota": 3}))
    assert (await stock(client.database, type_id))[:2] == (3, 0)


async def test_quota_and_orders_at_once_keep_the_balance(client: CommandClient) -> None:
    """Quota goes up and down while thirty orders come in: never more out than there is."""
    organizer, buyer = await person(client.database, "ORGANIZER"), await person(client.database)
    event_id, (type_id,) = await client.sale(organizer, 10)
    commands = [place(buyer, event_id, (type_id, 1)) for _ in range(30)]
    patches = [update_type(organizer, event_id, type_id, {"quota": q}) for q in (3, 20, 5, 12)]
    mixed = [*commands[:10], patches[0], *commands[10:20], *patches[1:], *commands[20:]]
    uuids = await asyncio.gather(*(client.send(one) for one in mixed))
    outcomes = [await client.outcome(uuid) for uuid in uuids]
    placed = sum(one.type == commands[0].TYPE and one.status_code == 201 for one in outcomes)
    quota, available, version = await stock(client.database, type_id)
    assert quota - available == placed
    assert [step[0] for step in await ledger(client.database, type_id)] == list(
        range(1, version + 1)
    )


async def test_a_type_with_live_orders_stays(client: CommandClient) -> None:
    """EVENT_HAS_SALES while an order holds or owns some; deletable once all came back."""
    organizer, buyer = await person(client.database, "ORGANIZER"), await person(client.database)
    event_id, (type_id, paid_type) = await client.sale(organizer, 10, 10)
    held = await buy(client, buyer, event_id, type_id, 1)
    await pay(client, buyer, await buy(client, buyer, event_id, paid_type, 1))
    for one in (type_id, paid_type):
        assert (await client.ask(delete_type(organizer, event_id, one))).code == "EVENT_HAS_SALES"
    assert (await client.ask(cancel(buyer, held))).status_code == 200
    deleted = await accepted(client, lambda: delete_type(organizer, event_id, type_id))
    assert body(deleted)["id"] == type_id


async def test_a_deleted_type_is_nowhere(client: CommandClient) -> None:
    """Gone from the event (one version on), unknown to every further command; its row and ledger stay."""
    organizer, buyer = await person(client.database, "ORGANIZER"), await person(client.database)
    event_id, (type_id, other) = await client.sale(organizer, 10, 10)
    assert (
        await client.ask(delete_type(organizer, event_id, type_id, '"v1.1"'))
    ).status_code == 200
    shown = body(await client.ask(update_event(organizer, event_id, {})))
    assert ([one["id"] for one in shown["ticketTypes"]], shown["version"]) == ([other], 2)
    for command in (
        update_type(organizer, event_id, type_id, {"quota": 9}),
        delete_type(organizer, event_id, type_id),
        place(buyer, event_id, (type_id, 1)),
    ):
        assert (await client.ask(command)).code == "NOT_FOUND"
    assert (await ledger(client.database, type_id))[-1] == (2, "EDIT", 0, 0)


async def test_a_type_is_found_in_its_own_event_alone(client: CommandClient) -> None:
    """A type named with another event of the same organizer is NOT_FOUND."""
    organizer = await person(client.database, "ORGANIZER")
    event_id, (type_id,) = await client.sale(organizer, 10)
    elsewhere, _ = await client.sale(organizer, 10)
    assert (
        await client.ask(update_type(organizer, elsewhere, type_id, {"quota": 9}))
    ).code == "NOT_FOUND"
    assert await stock(client.database, type_id) == (10, 10, 1)
    assert (await client.ask(update_type(organizer, event_id, 2**62, {}))).code == "NOT_FOUND"


@pytest.mark.parametrize("tag", ['"v1"', 'W/"v1.9"', '"v9"', '"v7", "v1"'])
async def test_if_match_is_the_types_own_version(client: CommandClient, tag: str) -> None:
    """At version 2 only a tag of version 2 passes."""
    organizer = await person(client.database, "ORGANIZER")
    event_id, (type_id,) = await client.sale(organizer, 10)
    await client.ask(update_type(organizer, event_id, type_id, {"name": "Box"}))
    refused = await client.ask(update_type(organizer, event_id, type_id, {"quota": 9}, tag))
    assert refused.code == "VERSION_CONFLICT"
    assert (
        await client.ask(delete_type(organizer, event_id, type_id, tag))
    ).code == "VERSION_CONFLICT"
    passed = await client.ask(update_type(organizer, event_id, type_id, {"quota": 9}, '"v2.2"'))
    assert passed.status_code == 200


async def test_all_types_of_an_event_share_a_currency(client: CommandClient) -> None:
    """INVALID at /currency for a second one; a deleted type no longer counts."""
    organizer = await person(client.database, "ORGANIZER")
    event_id, (type_id,) = await client.sale(organizer, 10)
    refused = await client.ask(create_type(organizer, event_id, currency="EUR"))
    assert (refused.status_code, body(refused)["errors"][0]["pointer"]) == (400, "/currency")
    await client.ask(delete_type(organizer, event_id, type_id))
    assert (await client.ask(create_type(organizer, event_id, currency="EUR"))).status_code == 201


async def test_two_types_at_once_cannot_mix_currencies(client: CommandClient) -> None:
    """Sent together: the event's row makes one wait for the other."""
    organizer = await person(client.database, "ORGANIZER")
    event_id = body(await client.ask(create_event(organizer)))["id"]
    both = await asyncio.gather(
        *(client.ask(create_type(organizer, event_id, currency=c)) for c in ("USD", "EUR"))
    )
    assert sorted(one.status_code for one in both) == [201, 400]


async def test_the_same_command_twice_creates_one_type(client: CommandClient) -> None:
    """A repeated UUID answers the same and adds no row."""
    organizer = await person(client.database, "ORGANIZER")
    event_id = body(await client.ask(create_event(organizer)))["id"]
    uuid = client.command_ids.fresh()
    command = create_type(organizer, event_id)
    await asyncio.gather(*(client.send(command, uuid=uuid) for _ in range(3)))
    await client.outcome(uuid)
    assert (await client.ask(update_event(organizer, event_id, {}))).status_code == 200
    rows = await client.database.read(
        "SELECT COUNT(*) FROM ticket_types WHERE event_id = %s", event_id
    )
    assert rows[0][0] == 1
