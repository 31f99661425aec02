"""kill -9 of the gateway around its publish: with a key it is one order, without one nothing untrue was told."""

from collections.abc import AsyncIterator, Mapping

import aiohttp
import pytest

from db.mysql.database import Database
from tests.faults.proof import END_SECONDS, proven
from tests.harness.accounts import Person, person
from tests.harness.command_client import CommandClient
from tests.harness.processes import Process, Processes
from tests.harness.waiting import eventually
from tests.harness.workers import running_workers

POINTS = ("gateway.before_publish", "gateway.after_confirm")


@pytest.fixture(scope="module")
async def ticket_type(client: CommandClient, database: Database) -> AsyncIterator[int]:
    """A ticket type on sale, and the workers that sell it."""
    organizer = await person(database, "ORGANIZER")
    async with running_workers(client.settings, "inventory", "relay", "notify", "payment"):
        _, (type_id,) = await client.sale(organizer, 50)
        yield type_id


async def order(
    gateway: Process, buyer: Person, type_id: int, key: str | None
) -> tuple[int, Mapping[str, object]]:
    """(status, body) of an order for one ticket. Raises aiohttp.ClientError when the gateway dies of it."""
    headers = {"Authorization": f"Bearer {buyer.token}", "Prefer": "wait=20"}
    if key:
        headers["Idempotency-Key"] = key
    body = {"items": [{"ticketTypeId": type_id, "quantity": 1}]}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{gateway.url}/api/orders", json=body, headers=headers) as answer,
    ):
        return answer.status, await answer.json(content_type=None)


async def orders_of(database: Database, buyer: Person) -> list[int]:
    """The buyer's orders."""
    rows = await database.read("SELECT id FROM orders WHERE user_id = %s", buyer.id)
    return [row[0] for row in rows]


@pytest.mark.parametrize("point", POINTS)
async def test_with_a_key_the_order_comes_once(
    processes: Processes, database: Database, ticket_type: int, point: str
) -> None:
    """The gateway dies; the same key at its next life, and once more, gives the one order."""
    buyer = await person(database)
    dying = await processes.start("gateway-1", failpoints=f"{point}=kill")
    with pytest.raises(aiohttp.ClientError):
        await order(dying, buyer, ticket_type, "my order")
    await dying.died_at(point)
    living = await processes.start("gateway-1")
    first = await order(living, buyer, ticket_type, "my order")
    again = await order(living, buyer, ticket_type, "my order")
    assert first[0] == 201, first
    assert again == first
    assert await orders_of(database, buyer) == [first[1]["id"]]
    await proven(database)


@pytest.mark.full
@pytest.mark.parametrize(("point", "count"), list(zip(POINTS, (0, 1), strict=True)))
async def test_without_a_key_it_happened_once_or_not_at_all(
    processes: Processes, database: Database, ticket_type: int, point: str, count: int
) -> None:
    """Dead before the publish: no order. Dead after the confirm: the broker held it, and it is decided."""
    buyer = await person(database)
    dying = await processes.start("gateway-1", failpoints=f"{point}=kill")
    with pytest.raises(aiohttp.ClientError):
        await order(dying, buyer, ticket_type, None)
    await dying.died_at(point)

    async def decided() -> bool:
        return len(await orders_of(database, buyer)) == count

    assert await eventually(decided, within=END_SECONDS)
    await proven(database)
    assert len(await orders_of(database, buyer)) == count
