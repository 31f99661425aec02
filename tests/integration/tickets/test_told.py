"""What receivers of webhooks hear of tickets: the right people, ids only at the issue, and never a code."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from db.mysql.database import Database
from tests.harness.accounts import person
from tests.harness.scratch import scratch_servers
from tests.harness.system import System, running
from tests.harness.waiting import eventually
from tests.integration.notify.conftest import hook
from tests.integration.notify.receiver import Receiver, receiving
from tests.integration.tickets.door import NOW, concert, gate, scan

TYPES = ("ticket.issued", "ticket.transferred", "ticket.admitted", "ticket.conflict")


@pytest.fixture(scope="module")
async def open_hub() -> AsyncIterator[System]:
    """A whole EventHub that calls private addresses, on servers of its own."""
    async with scratch_servers() as scratch, running(scratch, webhook_allow_private=True) as system:
        database = await Database.connect(scratch.mysql_url)

        async def polled() -> bool:
            return await database.read("SELECT 1 FROM rates WHERE asset = 'BTC' LIMIT 1") != []

        await eventually(polled)
        await database.close()
        yield system


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Where webhooks arrive."""
    async with receiving() as opened:
        yield opened


async def heard(receiver: Receiver, path: str, count: int) -> list[tuple[str, dict[str, Any]]]:
    """(type, data) of a path's calls, once there are so many, by type in the order things happen."""
    calls = [(one.body["type"], one.body["data"]) for one in await receiver.heard(path, count)]
    return sorted(calls, key=lambda call: TYPES.index(call[0]))


async def test_who_hears_what(open_hub: System, receiver: Receiver) -> None:
    """Buyer and holders of their tickets, the organizer of all, a conflict the organizer alone; no code."""
    database = await Database.connect(open_hub.scratch.mysql_url)
    organizer = await person(database, "ORGANIZER")
    buyer, friend, stranger = [await person(database) for _ in range(3)]
    await database.close()
    for name, who in (("o", organizer), ("b", buyer), ("f", friend), ("s", stranger)):
        await hook(open_hub, who, receiver, f"/{name}", *TYPES)
    show = await concert(open_hub, organizer, buyer, 2)
    first = show.tickets[0]
    given = await open_hub.api(buyer).post(
        f"/api/tickets/{first['id']}/transfer", {"email": friend.email}
    )
    assert given.status == 200, given.body
    code = (await open_hub.api(friend).get(f"/api/tickets/{first['id']}")).body["code"]
    door = await gate(open_hub, organizer, show.sale.event_id)
    assert await door.rulings(scan(code)) == ["ADMITTED"]
    assert await door.rulings(scan(code, offline=True)) == ["CONFLICT"]

    told = await heard(receiver, "/o", 4)
    assert [kind for kind, _ in told] == list(TYPES)
    issued, transferred, admitted, conflict = (data for _, data in told)
    assert issued == {
        "orderId": show.order_id,
        "eventId": show.sale.event_id,
        "userId": buyer.id,
        "ticketIds": sorted(one["id"] for one in show.tickets),
    }
    assert (transferred["holderId"], transferred["status"]) == (friend.id, "VALID")
    assert (admitted["status"], admitted["usedAt"]) == ("USED", NOW)
    assert conflict["id"] == first["id"]
    assert conflict["conflict"]["ruling"] == "CONFLICT"
    assert conflict["conflict"]["firstGate"] == {"id": door.id, "name": door.name}
    assert [kind for kind, _ in await heard(receiver, "/b", 3)] == list(TYPES[:3])
    assert [kind for kind, _ in await heard(receiver, "/f", 2)] == list(TYPES[1:3])
    assert len(receiver.calls["/b"]) == 3
    assert receiver.calls["/s"] == []
    everything = orjson.dumps([c.body for calls in receiver.calls.values() for c in calls])
    assert b'"code"' not in everything
    assert code.encode() not in everything
