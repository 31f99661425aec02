"""Sold out by the availability cache: without a command, on sale again at once, never before a worker would say so."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from pamqp.common import FieldTable
from redis.asyncio import Redis

from contracts.messaging.topology import BROADCAST_EXCHANGE
from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.sales import items, sale
from tests.harness.scratch import Scratch
from tests.harness.system import Answer, Api, System, running
from tests.harness.waiting import eventually
from tests.integration.commands.conftest import WORKERS


@pytest.fixture(scope="module")
async def system(own_scratch: Scratch) -> AsyncIterator[System]:
    async with running(own_scratch, workers=WORKERS) as started:
        yield started


async def _shut(api: Api, ticket_type: int, code: str = "SOLD_OUT") -> Answer:
    """The first refusal that was said by the availability cache: it has no command."""

    async def refused() -> Answer | None:
        answer = await api.post("/api/orders", items((ticket_type, 1)))
        assert answer.code == code
        return answer if "X-Command-Id" not in answer.headers else None

    answer = await eventually(refused)
    assert answer is not None
    return answer


async def test_it_says_what_a_worker_would_say(
    system: System, buyer: Person, organizer: Person
) -> None:
    """available, held and nextReleaseAt of the one order that holds everything."""
    show = await sale(system, organizer, 2)
    api = system.api(buyer)
    held = await api.post("/api/orders", items((show.ticket_type, 2)))
    refused = await _shut(api, show.ticket_type)
    assert refused.status == 409
    assert refused.body["available"] == 0
    assert refused.body["held"] == 2
    assert refused.body["nextReleaseAt"] == held.body["expiresAt"]
    assert refused.body["instance"] == refused.headers["X-Request-Id"]


async def test_the_limit_is_checked_before_the_stock(
    system: System, buyer: Person, organizer: Person
) -> None:
    """LIMIT_EXCEEDED comes before SOLD_OUT, whoever says it."""
    show = await sale(system, organizer, 1, maxPerOrder=1)
    api = system.api(buyer)
    await api.post("/api/orders", items((show.ticket_type, 1)))
    await _shut(api, show.ticket_type)
    answer = await api.post("/api/orders", items((show.ticket_type, 2)))
    assert answer.code == "LIMIT_EXCEEDED"


async def test_additions_are_let_through(system: System, buyer: Person, organizer: Person) -> None:
    """Their limit counts the whole order, which the cache does not know: a worker decides."""
    show = await sale(system, organizer, 1)
    api = system.api(buyer)
    held = await api.post("/api/orders", items((show.ticket_type, 1)))
    await _shut(api, show.ticket_type)
    more = items((show.ticket_type, 1)) | {"orderId": held.body["id"]}
    added = await api.post("/api/orders", more)
    assert added.code == "SOLD_OUT"
    assert "X-Command-Id" in added.headers


async def test_it_opens_when_tickets_come_back(
    own_scratch: Scratch, system: System, buyer: Person, organizer: Person
) -> None:
    """After a cancel, at a gateway that has just refused, and with Redis flushed: the next buyer gets them."""
    show = await sale(system, organizer, 1)
    api = system.api(buyer)
    for flush in (False, True):
        held = await api.post("/api/orders", items((show.ticket_type, 1)))
        assert held.status == 201
        await _shut(api, show.ticket_type)
        if flush:
            async with Redis.from_url(own_scratch.redis_url) as redis:
                await redis.flushdb()
        assert (await api.post(f"/api/orders/{held.body['id']}/cancel")).status == 200

        async def placed() -> Answer | None:
            answer = await api.post("/api/orders", items((show.ticket_type, 1)))
            return answer if answer.status == 201 else None

        order = await eventually(placed)
        assert order is not None
        await api.post(f"/api/orders/{order.body['id']}/cancel")

        async def back() -> bool:
            shown = await api.get(f"/api/ticket-types/{show.ticket_type}")
            return bool(shown.body["available"] == 1)

        await eventually(back)


async def test_it_opens_when_the_quota_grows(
    system: System, buyer: Person, organizer: Person
) -> None:
    """The version is the epoch: more tickets are a higher one."""
    show = await sale(system, organizer, 1)
    api = system.api(buyer)
    await api.post("/api/orders", items((show.ticket_type, 1)))
    await _shut(api, show.ticket_type)
    more = await system.api(organizer).patch(f"/api/ticket-types/{show.ticket_type}", {"quota": 2})
    assert more.body["available"] == 1

    async def placed() -> bool:
        return (await api.post("/api/orders", items((show.ticket_type, 1)))).status == 201

    await eventually(placed)


async def test_without_broadcasts_the_answers_are_right_all_the_same(
    own_scratch: Scratch, organizer: Person, buyer: Person
) -> None:
    """No relay, so no StockChanged: what is known grows old within a second, and is read again."""
    async with running(own_scratch, workers=("inventory", "order")) as quiet:
        show = await sale(quiet, organizer, 1)
        api = quiet.api(buyer)
        await api.post("/api/orders", items((show.ticket_type, 1)))
        await _shut(api, show.ticket_type)
        await quiet.api(organizer).patch(f"/api/ticket-types/{show.ticket_type}", {"quota": 2})

        async def placed() -> bool:
            return (await api.post("/api/orders", items((show.ticket_type, 1)))).status == 201

        await eventually(placed)


async def _refuses(channel: AbstractChannel, queue: str) -> bool:
    """Whether a queue is full by now: one message more."""
    try:
        await channel.default_exchange.publish(aio_pika.Message(b"full"), queue)
    except aio_pika.exceptions.DeliveryError:
        return True
    return False


async def test_a_broadcast_that_nobody_can_take_holds_up_no_event(
    system: System, own_scratch: Scratch, own_database: Database, buyer: Person, organizer: Person
) -> None:
    """A gateway's queue whose broker node cannot serve it (here it refuses): orders' events go on all the same."""
    connection = await aio_pika.connect(own_scratch.amqp_url)
    async with connection:
        channel = await connection.channel()
        full: FieldTable = {
            "x-queue-type": "quorum",
            "x-max-length": 1,
            "x-overflow": "reject-publish",
        }
        queue = await channel.declare_queue("news.broken", durable=True, arguments=full)
        try:
            await eventually(lambda: _refuses(channel, queue.name))
            await queue.bind(BROADCAST_EXCHANGE)
            healthy = await channel.declare_queue(exclusive=True)
            await healthy.bind(BROADCAST_EXCHANGE)
            show = await sale(system, organizer, 6)
            api = system.api(buyer)
            for _ in range(6):
                await api.post("/api/orders", items((show.ticket_type, 1)))
            await _shut(api, show.ticket_type)

            async def relayed() -> bool:
                rows = await own_database.read("SELECT COUNT(*) FROM outbox")
                return bool(rows[0][0] == 0)

            await eventually(relayed)
            await eventually(lambda: healthy.get(fail=False))
        finally:
            await queue.delete(if_unused=False, if_empty=False)


async def test_orders_for_a_cancelled_event_are_refused_by_the_cache(
    system: System, buyer: Person, organizer: Person
) -> None:
    """SALES_CLOSED for good, before SOLD_OUT."""
    show = await sale(system, organizer, 1)
    assert (await system.api(organizer).delete(f"/api/events/{show.event_id}")).status == 200
    await _shut(system.api(buyer), show.ticket_type, "SALES_CLOSED")


async def test_sold_out_does_not_outlive_a_cancelled_event(
    system: System, buyer: Person, organizer: Person
) -> None:
    """SOLD_OUT until the cancel is answered, SALES_CLOSED in the very next call."""
    for _ in range(3):
        show = await sale(system, organizer, 1)
        await system.api(buyer).post("/api/orders", items((show.ticket_type, 1)))
        await _shut(system.api(buyer), show.ticket_type)
        assert (await system.api(organizer).delete(f"/api/events/{show.event_id}")).status == 200
        answer = await system.api(buyer).post("/api/orders", items((show.ticket_type, 1)))
        assert answer.code == "SALES_CLOSED"


async def test_a_lower_limit_reaches_a_cache_that_says_sold_out(
    system: System, buyer: Person, organizer: Person
) -> None:
    """LIMIT_EXCEEDED comes before SOLD_OUT as soon as the limit is under what is wanted."""
    show = await sale(system, organizer, 1)
    api = system.api(buyer)
    await api.post("/api/orders", items((show.ticket_type, 1)))
    await _shut(api, show.ticket_type)
    lower = {"maxPerOrder": 1}
    changed = await system.api(organizer).patch(f"/api/ticket-types/{show.ticket_type}", lower)
    assert changed.status == 200
    answer = await api.post("/api/orders", items((show.ticket_type, 2)))
    assert answer.code == "LIMIT_EXCEEDED"


async def test_everybody_at_once_gets_an_answer(
    system: System, own_database: Database, organizer: Person
) -> None:
    """5 tickets, 60 buyers: 5 orders, 55 SOLD_OUT, wherever that is said."""
    show = await sale(system, organizer, 5)
    buyers = [await person(own_database) for _ in range(20)]
    answers = await asyncio.gather(
        *(system.api(one).post("/api/orders", items((show.ticket_type, 1))) for one in buyers * 3)
    )
    assert Counter(answer.code for answer in answers) == {None: 5, "SOLD_OUT": 55}
