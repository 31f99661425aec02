"""A paused sale takes nothing new, within a second and before what waits; what was bought goes on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from contracts.runtime.settings import Settings
from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.command_client import command_client, place
from tests.harness.sales import items, order, sale
from tests.harness.scratch import Scratch
from tests.harness.system import Answer, System, running
from tests.harness.waiting import eventually
from tests.harness.workers import running_workers
from tests.integration.catalogue.management import update_event
from tests.integration.payments.payment_client import fresh_hash, set_rate
from workers.inventory.__main__ import make
from workers.runtime import process


@pytest.fixture(scope="module")
async def system(scratch: Scratch) -> AsyncIterator[System]:
    async with running(scratch, workers=("inventory", "order", "payment", "relay")) as started:
        yield started


@pytest.fixture
async def organizer(database: Database) -> Person:
    return await person(database, "ORGANIZER")


@pytest.fixture
async def buyer(database: Database) -> Person:
    return await person(database)


async def test_a_pause_stops_what_is_new_and_nothing_else(
    system: System, database: Database, organizer: Person, buyer: Person
) -> None:
    """No order, no addition; the order that exists is quoted, paid and cancelled as ever; then it sells again."""
    show, api = await sale(system, organizer, 9), system.api(buyer)
    event = f"/api/events/{show.event_id}"
    bought, other = [await order(api, show.ticket_type) for _ in range(2)]
    paused = await system.api(organizer).patch(event, {"salesPaused": True})
    assert (paused.status, paused.body["salesPaused"]) == (200, True)
    assert (await api.get(event)).body["salesPaused"] is True
    wanted = items((show.ticket_type, 1))
    assert (await api.post("/api/orders", wanted)).code == "SALES_CLOSED"
    assert (await api.post("/api/orders", wanted | {"orderId": other})).code == "SALES_CLOSED"
    await set_rate(database, "BTC", "50000")
    quote = {"orderId": bought, "asset": "BTC"}
    payment = (await api.post("/api/public/payment/create-quote", quote)).body["id"]
    confirm = f"/api/public/payment/confirm-payment/{payment}"
    assert (await api.post(confirm, {"txHash": fresh_hash()})).status == 200
    assert (await api.post(f"/api/orders/{other}/cancel")).status == 200
    assert (await system.api(organizer).patch(event, {"salesPaused": False})).status == 200
    assert (await api.post("/api/orders", wanted)).status == 201


async def test_who_paused_a_sale_is_in_the_audit_log(
    system: System, database: Database, organizer: Person
) -> None:
    """A line for the pause and one for its end, by whom and which request; other changes have none."""
    show, api = await sale(system, organizer, 9), system.api(organizer)
    event = f"/api/events/{show.event_id}"
    for patch in ({"salesPaused": True}, {"salesPaused": True}, {"name": "Renamed"}):
        assert (await api.patch(event, patch)).status == 200
    headers = {"X-Request-Id": "opened-again-1"}
    assert (await api.call("PATCH", event, {"salesPaused": False}, headers=headers)).status == 200
    asked = f"/api/admin/audit-log?subject=event:{show.event_id}"
    lines = (await system.api(await person(database, "ADMIN")).get(asked)).body["data"]
    assert [(one["action"], one["before"], one["after"]) for one in reversed(lines)] == [
        ("event.paused", {"salesPaused": False}, {"salesPaused": True}),
        ("event.paused", {"salesPaused": True}, {"salesPaused": False}),
    ]
    assert {one["actorId"] for one in lines} == {organizer.id}
    assert lines[0]["requestId"] == "opened-again-1"


async def test_the_gateway_says_so_itself_and_no_longer_than_it_is_true(
    system: System, organizer: Person, buyer: Person
) -> None:
    """Refused without a command while tickets are left; sold as soon as the pause is over."""
    show, api = await sale(system, organizer, 9), system.api(buyer)
    event, wanted = f"/api/events/{show.event_id}", items((show.ticket_type, 1))
    await system.api(organizer).patch(event, {"salesPaused": True})

    async def at_the_door() -> Answer | None:
        refused = await api.post("/api/orders", wanted)
        assert refused.code == "SALES_CLOSED"
        return refused if "X-Command-Id" not in refused.headers else None

    assert await eventually(at_the_door)
    await system.api(organizer).patch(event, {"salesPaused": False})
    assert (await api.post("/api/orders", wanted)).status == 201


@asynccontextmanager
async def _without_shards(settings: Settings) -> AsyncIterator[None]:
    """An inventory process that no shard is left for: it hears of events, and of no order."""
    stop = asyncio.Event()
    alone = process.run(settings, lambda services: replace(make(services), jobs=()), stop=stop)
    task = asyncio.create_task(alone)
    yield
    stop.set()
    await task


async def test_a_pause_overtakes_the_orders_that_wait(
    own_scratch: Scratch, own_database: Database
) -> None:
    """Accepted before it and decided after it: SALES_CLOSED. It does not stand in line behind them."""
    organizer, buyer = await person(own_database, "ORGANIZER"), await person(own_database)
    async with command_client(own_scratch, own_database) as client:
        async with running_workers(client.settings, "inventory"):
            event_id, (seat,) = await client.sale(organizer, 50)
        waiting = [await client.send(place(buyer, event_id, (seat, 1))) for _ in range(5)]
        async with _without_shards(client.settings.model_copy(update={"health_port": 0})):
            pause = update_event(organizer, event_id, {"salesPaused": True})
            assert (await client.ask(pause)).status_code == 200
        async with running_workers(client.settings, "inventory"):
            codes = {(await client.outcome(uuid)).code for uuid in waiting}
        assert codes == {"SALES_CLOSED"}
