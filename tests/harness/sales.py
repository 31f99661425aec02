"""Short ways to a sale: an event with its ticket types, orders, all through the API."""

from dataclasses import dataclass

from tests.harness.accounts import Person
from tests.harness.system import Api, System


@dataclass(frozen=True, slots=True)
class Sale:
    """An event on sale."""

    event_id: int
    ticket_types: tuple[int, ...]
    organizer: Person

    @property
    def ticket_type(self) -> int:
        return self.ticket_types[0]


async def sale(system: System, organizer: Person, *quotas: int, **fields: object) -> Sale:
    """A new event with one ticket type per quota (10 tickets each at 49.90 unless told otherwise)."""
    api = system.api(organizer)
    created = await api.post(
        "/api/events",
        {"name": "Concert", "startTime": "2030-01-01T18:00:00Z", "endTime": "2030-01-01T23:00:00Z"},
    )
    assert created.status == 201, created.body
    event_id = created.body["id"]
    types = []
    for number, quota in enumerate(quotas or (10,)):
        body = {"name": f"Type {number}", "price": "49.90", "quota": quota} | fields
        answer = await api.post(f"/api/events/{event_id}/ticket-types", body)
        assert answer.status == 201, answer.body
        types.append(answer.body["id"])
    return Sale(event_id, tuple(types), organizer)


def items(*pairs: tuple[int, int]) -> dict[str, object]:
    """The body of an order: (ticket type, quantity)."""
    return {"items": [{"ticketTypeId": one, "quantity": quantity} for one, quantity in pairs]}


async def order(api: Api, ticket_type: int, quantity: int = 1) -> int:
    """The id of a new order that must succeed."""
    answer = await api.post("/api/orders", items((ticket_type, quantity)))
    assert answer.status == 201, answer.body
    created: int = answer.body["id"]
    return created
