"""Limits per person: tickets of a type, unpaid orders of an event, the pause after one expired."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.sales import Sale, items, order, sale
from tests.harness.scratch import Scratch
from tests.harness.system import Api, System, running
from tests.harness.waiting import eventually

UNPAID = 3
COOLDOWN = 600


@pytest.fixture(scope="module")
async def system(scratch: Scratch, database: Database) -> AsyncIterator[System]:
    """Two inventory processes, so that batches of one event may meet; orders live two seconds."""
    workers = ("inventory", "inventory-2", "order", "payment", "relay")
    async with running(
        scratch,
        workers=workers,
        unpaid_orders=UNPAID,
        hold_cooldown=COOLDOWN,
        order_ttl=2,
    ) as started:
        yield started


@pytest.fixture
async def buyer(system: System, database: Database) -> Person:
    return await person(database)


@pytest.fixture
async def concert(system: System, database: Database) -> Sale:
    """An event with two types, of the first at most four for each person."""
    organizer = await person(database, "ORGANIZER")
    made = await sale(system, organizer, 1000, 1000)
    answer = await system.api(organizer).patch(
        f"/api/ticket-types/{made.ticket_type}", {"maxPerUser": 4}
    )
    assert (answer.status, answer.body["maxPerUser"]) == (200, 4)
    return made


async def attempts(api: Api, ticket_type: int, quantity: int, times: int) -> list[str]:
    """The ends of so many orders at once: CREATED or the refusal's code."""
    body = items((ticket_type, quantity))
    answers = await asyncio.gather(*(api.post("/api/orders", body) for _ in range(times)))
    return sorted(answer.code or "CREATED" for answer in answers)


async def test_one_account_cannot_hoard_an_event(
    system: System, buyer: Person, concert: Sale
) -> None:
    """However many orders are sent at once, three are unpaid and the refusal says when to come back."""
    api = system.api(buyer)
    ends = await attempts(api, concert.ticket_types[1], 4, 40)
    assert ends == ["CREATED"] * UNPAID + ["LIMIT_EXCEEDED"] * (40 - UNPAID)
    refused = await api.post("/api/orders", items((concert.ticket_types[1], 1)))
    assert (refused.status, refused.code) == (409, "LIMIT_EXCEEDED")
    assert refused.headers["Retry-After"] == str(refused.body["retryAfter"])


async def test_after_an_order_expired_unpaid_nobody_takes_the_tickets_again_at_once(
    system: System, buyer: Person, concert: Sale
) -> None:
    """For that event alone, and for that account alone."""
    api, type_id = system.api(buyer), concert.ticket_types[1]
    order_id = await order(api, type_id)

    async def expired() -> bool:
        return bool((await api.get(f"/api/orders/{order_id}")).body["status"] == "EXPIRED")

    await eventually(expired, within=20)
    refused = await api.post("/api/orders", items((type_id, 1)))
    assert (refused.status, refused.code) == (409, "LIMIT_EXCEEDED")
    assert 1 <= refused.body["retryAfter"] <= COOLDOWN
    another = await sale(system, concert.organizer, 10)
    await order(api, another.ticket_type)


async def test_a_cancelled_order_makes_room(system: System, buyer: Person, concert: Sale) -> None:
    """What is given back is held no more."""
    api, type_id = system.api(buyer), concert.ticket_types[1]
    orders = [await order(api, type_id) for _ in range(UNPAID)]
    assert await attempts(api, type_id, 1, 1) == ["LIMIT_EXCEEDED"]
    cancelled = await api.post(f"/api/orders/{orders[0]}/cancel")
    assert cancelled.status == 200, cancelled.body
    assert await attempts(api, type_id, 1, 1) == ["CREATED"]


async def test_nobody_gets_more_of_a_type_than_its_limit(
    system: System, buyer: Person, concert: Sale
) -> None:
    """Over orders at once and additions to an order."""
    api, type_id = system.api(buyer), concert.ticket_type
    ends = await attempts(api, type_id, 2, 20)
    assert ends == ["CREATED"] * 2 + ["LIMIT_EXCEEDED"] * 18
    mine = (await api.get("/api/orders")).body["data"]
    added = await api.post("/api/orders", items((type_id, 1)) | {"orderId": mine[0]["id"]})
    assert (added.status, added.code) == (409, "LIMIT_EXCEEDED")
    other = await api.post(
        "/api/orders", items((concert.ticket_types[1], 1)) | {"orderId": mine[0]["id"]}
    )
    assert other.status == 201, other.body


async def test_the_limit_is_each_persons_own(
    system: System, database: Database, concert: Sale
) -> None:
    """Ten people at once: four each."""
    people = [await person(database) for _ in range(10)]
    ends = await asyncio.gather(
        *(attempts(system.api(one), concert.ticket_type, 2, 3) for one in people)
    )
    assert ends == [["CREATED", "CREATED", "LIMIT_EXCEEDED"]] * 10


async def test_a_refusal_by_a_limit_binds_no_key(
    system: System, buyer: Person, concert: Sale
) -> None:
    """The same key buys once there is room."""
    api, type_id = system.api(buyer), concert.ticket_types[1]
    orders = [await order(api, type_id) for _ in range(UNPAID)]
    body = items((type_id, 1))
    assert (await api.post("/api/orders", body, key="again")).code == "LIMIT_EXCEEDED"
    await api.post(f"/api/orders/{orders[0]}/cancel")
    assert (await api.post("/api/orders", body, key="again")).status == 201


@pytest.mark.parametrize("limit", [0, -1, 1.5, "4"])
async def test_a_limit_per_person_is_a_whole_number(
    system: System, concert: Sale, limit: object
) -> None:
    """At least one; null removes it."""
    api, path = system.api(concert.organizer), f"/api/ticket-types/{concert.ticket_type}"
    assert (await api.patch(path, {"maxPerUser": limit})).code == "INVALID"
    removed = await api.patch(path, {"maxPerUser": None})
    assert (removed.status, removed.body["maxPerUser"]) == (200, None)
