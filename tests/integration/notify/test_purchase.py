"""A whole purchase, heard: from the HTTP call through broker, workers, outbox and relay to the receivers."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from db.mysql.database import Database
from tests.harness.accounts import person
from tests.harness.sales import items, order, sale
from tests.harness.scratch import scratch_servers
from tests.harness.system import System, running
from tests.harness.waiting import eventually
from tests.integration.notify.conftest import hook
from tests.integration.notify.receiver import Receiver


@pytest.fixture(scope="module")
async def system() -> AsyncIterator[System]:
    """A whole EventHub on scratch servers of its own."""
    async with (
        scratch_servers() as scratch,
        running(scratch, webhook_allow_private=True) as system,
    ):
        yield system


async def test_webhooks_of_buyer_and_organizer_get_a_purchase_in_order(
    system: System, receiver: Receiver
) -> None:
    """Placed, added to, quoted, paid: each step's resource arrives as the API shows it, signed, in its order."""
    database = await Database.connect(system.scratch.mysql_url)
    organizer, buyer = await person(database, "ORGANIZER"), await person(database)
    heard = {
        "/organizer": await hook(system, organizer, receiver, "/organizer"),
        "/buyer": await hook(system, buyer, receiver, "/buyer"),
    }
    stage = await sale(system, organizer, 10)
    api = system.api(buyer)
    order_id = await order(api, stage.ticket_type)
    more = await api.post("/api/orders", items((stage.ticket_type, 1)) | {"orderId": order_id})
    assert more.status == 201, more.body

    async def quote() -> int | None:
        asked = {"orderId": order_id, "asset": "BTC"}
        answer = await api.post("/api/public/payment/create-quote", asked)
        return answer.body["id"] if answer.status == 201 else None

    payment_id = await eventually(quote)
    path = f"/api/public/payment/confirm-payment/{payment_id}"
    paid = await api.post(path, {"txHash": "0x" + "ab" * 32})
    assert paid.status == 200, paid.body
    for path, made in heard.items():
        told = await _sales_news(receiver, path)
        orders = [body for body in told if body["type"].startswith("order.")]
        assert [body["type"] for body in orders] == [
            "order.placed",
            "order.items_added",
            "order.confirmed",
        ]
        sequences = [body["sequence"] for body in orders]
        assert sequences == [body["data"]["version"] for body in orders] == sorted(set(sequences))
        assert orders[-1]["data"] == (await api.get(f"/api/orders/{order_id}")).body
        (payment,) = [body for body in told if body["type"] == "payment.confirmed"]
        assert payment["data"] == paid.body
        for call in receiver.calls[path]:
            call.verified_by(made.secret)
    changes = [c.body for c in receiver.calls["/organizer"] if c.body["type"] == "event.changed"]
    assert {body["data"]["id"] for body in changes} == {stage.event_id}
    assert not [c for c in receiver.calls["/buyer"] if c.body["type"] == "event.changed"]
    await database.close()


async def _sales_news(receiver: Receiver, path: str) -> list[dict[str, Any]]:
    """What a path heard of orders and payments, once all four messages are there."""

    async def look() -> list[dict[str, Any]] | None:
        bodies = [call.body for call in receiver.calls[path]]
        news = [body for body in bodies if not body["type"].startswith("event.")]
        return news if len(news) >= 4 else None

    found = await eventually(look)
    assert found is not None
    return found
