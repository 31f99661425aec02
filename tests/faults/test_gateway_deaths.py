"""kill -9 of the gateway around its publish: with a key it is one order, without one nothing untrue was told."""

from collections.abc import AsyncIterator, Mapping

import aiohttp
import pytest

from db.mysql.database import Database
from tests.faults.proof import END_SECONDS, proven
from tests.harness.accounts import Person, person
from tests.harness.command_client import Desk
from tests.harness.processes import Process, Processes
from tests.harness.waiting import eventually
from tests.harness.workers import staff

POINTS = ("gateway.before_publish", "gateway.after_confirm")


@pytest.fixture(scope="module")
async def stall(counter: Desk, books: Database) -> AsyncIterator[int]:
    """A ticket type on sale, and the workers that sell it."""
    organizer = await person(books, "ORGANIZER")
    async with staff(counter.settings, "inventory", "relay", "notify", "payment"):
        _, (type_id,) = await counter.sale(organizer, 50)
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


async def orders_of(books: Database, buyer: Person) -> list[int]:
    """The buyer's orders."""
    rows = await books.read("SELECT id FROM orders WHERE user_id = %s", buyer.id)
    return [row[0] for row in rows]


@pytest.mark.parametrize("point", POINTS)
async def test_with_a_key_the_order_comes_once(
    city: Processes, books: Database, stall: int, point: str
) -> None:
    """The gateway dies; the same key at its next life, and once more, gives the one order."""
    buyer = await person(books)
    dying = await city.start("gateway-1", failpoints=f"{point}=kill")
    with pytest.raises(aiohttp.ClientError):
        await order(dying, buyer, stall, "my order")
    await dying.died_at(point)
    living = await city.start("gateway-1")
    first = await order(living, buyer, stall, "my order")
    again = await order(living, buyer, stall, "my order")
    assert first[0] == 201, first
    assert again == first
    assert await orders_of(books, buyer) == [first[1]["id"]]
    await proven(books)


@pytest.mark.full
@pytest.mark.parametrize(("point", "count"), list(zip(POINTS, (0, 1), strict=True)))
async def test_without_a_key_it_happened_once_or_not_at_all(
    city: Processes, books: Database, stall: int, point: str, count: int
) -> None:
    """Dead before the publish: no order. Dead after the confirm: the broker held it, and it is decided."""
    buyer = await person(books)
    dying = await city.start("gateway-1", failpoints=f"{point}=kill")
    with pytest.raises(aiohttp.ClientError):
        await order(dying, buyer, stall, None)
    await dying.died_at(point)

    async def decided() -> bool:
        return len(await orders_of(books, buyer)) == count

    assert await eventually(decided, within=END_SECONDS)
    await proven(books)
    assert len(await orders_of(books, buyer)) == count
