"""A tap on every exchange while EventHub lives a day: each message is one that the AsyncAPI document describes."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from contracts.commands import COMMANDS
from contracts.events import EVENTS
from contracts.messaging.link import Link
from contracts.messaging.publisher import Properties, Publisher
from contracts.messaging.topology import EVENTS_EXCHANGE, topology
from contracts.runtime.times import to_wire
from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.rates import priced
from tests.harness.recorded_messages import Judge, tapping
from tests.harness.sales import Sale, items, order, sale
from tests.harness.scratch import scratch_servers
from tests.harness.system import Api, System, running
from tests.harness.waiting import eventually
from tests.integration.notify.conftest import EventPublisher, envelope_of, hook, placed
from tests.integration.notify.receiver import Receiver
from tests.integration.tickets.door import gate, scan

TX_HASH = "0x" + "{:064x}"


@pytest.fixture(scope="module")
async def day() -> AsyncIterator[System]:
    """A whole EventHub on scratch servers of its own: nothing but what it says itself is on its broker."""
    short: dict[str, Any] = {"order_ttl": 2, "quote_ttl": 2, "max_hold": 4}
    async with (
        scratch_servers() as scratch,
        running(scratch, webhook_allow_private=True, **short) as system,
    ):
        yield system


async def quoted(api: Api, order_id: int) -> int:
    """The payment of a new quote."""

    async def ask() -> int | None:
        body = {"orderId": order_id, "asset": "BTC"}
        answer = await api.post("/api/public/payment/create-quote", body)
        return answer.body["id"] if answer.status in (200, 201) else None

    found = await eventually(ask)
    assert found is not None
    return found


async def buy(api: Api, ticket_type: int, number: int) -> int:
    """An order that is quoted and paid; its payment."""
    payment = await quoted(api, await order(api, ticket_type))
    path = f"/api/public/payment/confirm-payment/{payment}"
    answer = await api.post(path, {"txHash": TX_HASH.format(number)})
    assert answer.status == 200, answer.body
    return payment


async def at_the_door(system: System, organizer: Person, buyer: Person, event_id: int) -> None:
    """A paid ticket changes hands, lets one in, and another in where two gates were alone."""
    [mine] = (await system.api(buyer).get("/api/tickets")).body["data"]
    path = f"/api/tickets/{mine['id']}"
    named = await system.api(buyer).patch(path, {"holderName": "Ann"})
    assert named.status == 200, named.body
    given = await system.api(buyer).post(path + "/transfer", {"email": organizer.email})
    assert given.status == 200, given.body
    code = (await system.api(organizer).get(path)).body["code"]
    door = await gate(system, organizer, event_id)
    assert await door.rulings(scan(code)) == ["ADMITTED"]
    assert await door.rulings(scan(code, offline=True)) == ["CONFLICT"]


async def live(system: System, organizer: Person, buyer: Person) -> None:
    """Every command and, through them, every event."""
    ours, theirs = system.api(organizer), system.api(buyer)
    stage: Sale = await sale(system, organizer, 50, 5)
    await ours.patch(f"/api/events/{stage.event_id}", {"venue": "Hall"})
    await ours.patch(f"/api/ticket-types/{stage.ticket_type}", {"quota": 60})
    await ours.delete(f"/api/ticket-types/{stage.ticket_types[1]}")
    await buy(theirs, stage.ticket_type, 1)
    await at_the_door(system, organizer, buyer, stage.event_id)
    late = await quoted(theirs, ended := await order(theirs, stage.ticket_type))
    more = items((stage.ticket_type, 1)) | {"orderId": ended}
    assert (await theirs.post("/api/orders", more)).status == 201
    assert (await theirs.post(f"/api/orders/{ended}/cancel")).status == 200
    path = f"/api/public/payment/confirm-payment/{late}"
    assert (await theirs.post(path, {"txHash": TX_HASH.format(2)})).status == 409
    await order(theirs, stage.ticket_type)
    lost = await sale(system, organizer, 5)
    await order(theirs, lost.ticket_type)
    assert (await ours.delete(f"/api/events/{lost.event_id}")).status == 200


async def report_rates(system: System, provider: Person, admin: Person) -> None:
    """A good rate, one out of band, and an admin who takes it after all."""
    api = system.api(provider)
    for rate in ("1000.00", "5000.00"):
        now = to_wire(datetime.now(UTC))
        body = {"asset": "ZZZ", "currency": "USD", "rate": rate, "observedAt": now}
        await api.post("/api/provider/rates", body)
    held = await system.api(admin).get("/api/admin/rates/quarantine")
    for one in held.body["data"]:
        await system.api(admin).post(f"/api/admin/rates/quarantine/{one['id']}/accept")


async def test_everything_that_travels_is_described(day: System) -> None:
    """All commands and events of the contracts pass, one by one or in batches, and each fits the document."""
    database = await Database.connect(day.scratch.mysql_url)
    operator = day.api(await person(database, "ADMIN"))
    judge = Judge((await operator.get("/api/admin/asyncapi.json")).body)
    async with tapping(day.scratch.amqp_url, topology(day.settings.shards, 1)) as tap:
        organizer, buyer = await person(database, "ORGANIZER"), await person(database)
        await live(day, organizer, buyer)
        provider, admin = await person(database, "PROVIDER"), await person(database, "ADMIN")
        await priced(database, "ZZZ", "1000")
        await report_rates(day, provider, admin)

        async def all_seen() -> bool:
            missing = {*COMMANDS, *EVENTS} - tap.types
            assert not missing, missing
            return True

        await eventually(all_seen, within=30)
        for passed in list(tap.passed):
            judge.judge(passed)
    await database.close()


async def test_what_is_put_aside_is_described_too(day: System, receiver: Receiver) -> None:
    """A forged event goes to the dead letters; one that cannot be written goes up the ladder and comes back."""
    database = await Database.connect(day.scratch.mysql_url)
    operator = day.api(await person(database, "ADMIN"))
    judge = Judge((await operator.get("/api/admin/asyncapi.json")).body)
    buyer = await person(database)
    await hook(day, buyer, receiver, "/aside")
    link = Link(day.scratch.amqp_url, "aside")
    await link.start(wait=20)
    event_publisher = EventPublisher(Publisher(link))
    event = placed(buyer)
    async with tapping(day.scratch.amqp_url, topology(day.settings.shards, 1)) as tap:
        long = replace(envelope_of(event, "order:1", 1), id="x" * 200)
        await event_publisher.publish(long, event)
        properties = Properties("application/cloudevents+json")
        for body in (orjson.dumps({"specversion": "1.0"}), b"\xff no JSON"):
            await event_publisher.publisher.publish(
                EVENTS_EXCHANGE, "order.placed", body, properties
            )

        async def come_round() -> bool:
            ways = [one.exchange for one in tap.passed]
            wanted = {"eventhub.retry.1s": 1, "eventhub.again": 1, "eventhub.dead": 2}
            return all(ways.count(name) >= count for name, count in wanted.items())

        await eventually(come_round, within=20)
        aside = [one for one in tap.passed if one.exchange != EVENTS_EXCHANGE]
        judged = {judge.judge(one) for one in aside}
    assert judged == {"Retried", "DeadLetter"}
    assert all(one.headers["x-eventhub-queue"] == "notify" for one in aside)
    await link.stop()
    await database.close()
