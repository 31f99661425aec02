"""One thing of each kind that a path can name, made through the API by its owner.

In: who shall own them, and the route that will be asked. Out: ids by placeholder, bodies that name them.
"""

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from contracts.runtime.times import to_sql, to_wire
from db.mysql.database import Database
from gateway.http.routing import Route
from tests.harness.accounts import Person, person
from tests.harness.sales import items, order, sale
from tests.harness.system import System
from tests.integration.tickets.door import scan


@dataclass(frozen=True, slots=True)
class Resources:
    """What a call can be about. `bodies`: by operation id, where the document's example names no real thing."""

    by_name: dict[str, Any]
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)


async def make_resources(
    system: System, own_database: Database, owner: Person, route: Route, *, order: bool = False
) -> Resources:
    """Fresh ones each time: the calls that are asked with them may spend or delete them."""
    api = system.api(owner)
    names: dict[str, Any] = {"asset": "BTC", "userId": (await person(own_database)).id}
    wanted = set(route.placeholders)
    bodies: dict[str, dict[str, Any]] = {}
    if wanted & {"eventId", "ticketTypeId", "orderId", "paymentId"} or route.is_command or order:
        await _sold(system, owner, names)
        bodies["placeOrder"] = items((names["ticketTypeId"], 1))
        bodies["createQuote"] = {"orderId": names["orderId"], "asset": "BTC"}
    if wanted & {"ticketId", "gateId"} or "/gate/" in route.path:
        await _at_the_door(system, owner, names)
        bodies["recordScans"] = {"scans": [scan("no code of ours")]}
        bodies["transferTicket"] = {"email": owner.email}
        bodies["createGate"] = {"name": "South"}
    if "commandId" in wanted:
        accepted = await api.post("/api/events", _event())
        names["commandId"] = accepted.headers["X-Command-Id"]
    if wanted & {"webhookId", "deliveryId"}:
        names["webhookId"], names["deliveryId"] = await _webhook(system, owner)
    if "quarantineId" in wanted:
        names["quarantineId"] = await _quarantined(own_database)
    missing = wanted - set(names)
    assert not missing, f"things.py makes no {missing}"
    bodies["refresh"] = bodies["logout"] = {"refreshToken": "unknown"}
    bodies["register"] = {"email": f"u{names['userId']}@example.com", "password": "correct horse"}
    return Resources(names, bodies)


def _event() -> dict[str, str]:
    return {"name": "X", "startTime": "2030-01-01T18:00:00Z", "endTime": "2030-01-01T23:00:00Z"}


async def _sold(system: System, owner: Person, names: dict[str, Any]) -> None:
    sold = await sale(system, owner, 50)
    names["eventId"], names["ticketTypeId"] = sold.event_id, sold.ticket_type
    names["orderId"] = await order(system.api(owner), sold.ticket_type)
    quote = {"orderId": names["orderId"], "asset": "BTC"}
    answer = await system.api(owner).post("/api/public/payment/create-quote", quote)
    assert answer.status == 201, answer.body
    names["paymentId"] = answer.body["id"]


async def _at_the_door(system: System, owner: Person, names: dict[str, Any]) -> None:
    """A paid ticket of the owner's, and a gate of their event."""
    if "ticketTypeId" not in names:
        await _sold(system, owner, names)
    paid = await system.api(owner).post(
        f"/api/public/payment/confirm-payment/{names['paymentId']}",
        {"txHash": "0x" + secrets.token_hex(32)},
    )
    assert paid.status == 200, paid.body
    issued = await system.api(owner).get(f"/api/orders/{names['orderId']}/tickets")
    names["ticketId"] = issued.body["data"][0]["id"]
    made = await system.api(owner).post(f"/api/events/{names['eventId']}/gates", {"name": "North"})
    assert made.status == 201, made.body
    names["gateId"], names["gateToken"] = made.body["id"], made.body["token"]


async def _webhook(system: System, owner: Person) -> tuple[int, int]:
    api = system.api(owner)
    body = {"url": "http://127.0.0.1:9/hooks", "eventTypes": ["*"]}
    made = await api.post("/api/webhooks", body)
    assert made.status == 201, made.body
    pinged = await api.post(f"/api/webhooks/{made.body['id']}/ping")
    assert pinged.status == 202, pinged.body
    listed = await api.get(f"/api/webhooks/{made.body['id']}/deliveries")
    return made.body["id"], listed.body["data"][0]["id"]


async def _quarantined(own_database: Database) -> int:
    at = datetime.now(UTC)
    async with own_database.transaction() as transaction:
        return await transaction.insert(
            "rate_quarantine",
            (
                "asset",
                "currency",
                "rate",
                "source",
                "reason",
                "detail",
                "observed_at",
                "received_at",
                "updated_at",
            ),
            [
                (
                    "BTC",
                    "USD",
                    "1.00",
                    "tester",
                    "MALFORMED",
                    "too low",
                    to_wire(at),
                    to_sql(at),
                    to_sql(at),
                )
            ],
        )
