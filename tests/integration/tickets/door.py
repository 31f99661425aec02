"""Short ways to the door: paid tickets, gates, scans, all through the API."""

import secrets
import uuid
from dataclasses import dataclass
from typing import Any

from tests.harness.accounts import Person
from tests.harness.sales import Sale, order, sale
from tests.harness.system import Answer, Api, System

NOW = "2026-11-01T20:00:00.000000Z"


async def buy(system: System, buyer: Person, ticket_type: int, quantity: int = 1) -> int:
    """A paid order."""
    api = system.api(buyer)
    order_id = await order(api, ticket_type, quantity)
    await pay(api, order_id)
    return order_id


async def pay(api: Api, order_id: int) -> None:
    """Quote and confirm."""
    quote = await api.post(
        "/api/public/payment/create-quote", {"orderId": order_id, "asset": "BTC"}
    )
    assert quote.status == 201, quote.body
    paid = await api.post(
        f"/api/public/payment/confirm-payment/{quote.body['id']}",
        {"txHash": "0x" + secrets.token_hex(32)},
    )
    assert paid.status == 200, paid.body


async def tickets(system: System, who: Person, order_id: int) -> list[dict[str, Any]]:
    """An order's tickets as somebody sees them."""
    answer = await system.api(who).get(f"/api/orders/{order_id}/tickets?limit=100")
    assert answer.status == 200, answer.body
    found: list[dict[str, Any]] = answer.body["data"]
    return found


def scan(
    code: str, *, id_: str | None = None, offline: bool = False, at: str = NOW
) -> dict[str, Any]:
    """One scan of a call."""
    return {"id": id_ or str(uuid.uuid4()), "code": code, "scannedAt": at, "offline": offline}


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate with its token."""

    id: int
    name: str
    token: str
    api: Api

    async def call(self, *scans: dict[str, Any], **options: Any) -> Answer:
        """POST /api/gate/scans."""
        return await self.api.post("/api/gate/scans", {"scans": list(scans)}, **options)

    async def results(self, *scans: dict[str, Any]) -> list[dict[str, Any]]:
        """What these scans ended in."""
        answer = await self.call(*scans)
        assert answer.status == 200, answer.body
        found: list[dict[str, Any]] = answer.body["results"]
        return found

    async def rulings(self, *scans: dict[str, Any]) -> list[str]:
        """Their rulings alone."""
        return [one["ruling"] for one in await self.results(*scans)]

    async def bundle(self, since: str | None = None) -> dict[str, Any]:
        """GET /api/gate/bundle."""
        answer = await self.api.get("/api/gate/bundle" + (f"?since={since}" if since else ""))
        assert answer.status == 200, answer.body
        found: dict[str, Any] = answer.body
        return found


async def gate(system: System, organizer: Person, event_id: int, name: str = "North") -> Gate:
    """A new gate."""
    made = await system.api(organizer).post(f"/api/events/{event_id}/gates", {"name": name})
    assert made.status == 201, made.body
    token = made.body["token"]
    return Gate(made.body["id"], name, token, Api(system.session, system.url, token))


@dataclass(frozen=True, slots=True)
class Concert:
    """An event with paid tickets of one buyer."""

    sale: Sale
    buyer: Person
    order_id: int
    tickets: list[dict[str, Any]]

    @property
    def codes(self) -> list[str]:
        """Their codes."""
        return [one["code"] for one in self.tickets]


async def concert(system: System, organizer: Person, buyer: Person, places: int = 1) -> Concert:
    """A new event of the organizer's with so many tickets of the buyer's."""
    sold = await sale(system, organizer, 100, maxPerOrder=100)
    order_id = await buy(system, buyer, sold.ticket_type, places)
    return Concert(sold, buyer, order_id, await tickets(system, buyer, order_id))
