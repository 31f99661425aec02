"""What an account bought: told by its names of then, and its own whatever roles it has today."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.sales import items, order, sale
from tests.harness.scratch import Scratch
from tests.harness.system import System, running
from tests.integration.payments.payment_client import fresh_hash, set_rate


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


@pytest.mark.parametrize(
    "name", ["Gala", 'O\'Brien "& Söhne" \\ 50 % {x}', "音樂會 🎺", "\\u0041 \\\\", "</script>"]
)
async def test_an_order_is_told_by_the_names_of_its_time(
    system: System, organizer: Person, buyer: Person, name: str
) -> None:
    """Whatever the event and the type are called later; whatever characters a name has."""
    show = await sale(system, organizer, 9, name=name)
    event = f"/api/events/{show.event_id}"
    kind = f"/api/ticket-types/{show.ticket_type}"
    assert (await system.api(organizer).patch(event, {"name": name})).status == 200
    api = system.api(buyer)
    placed = (await api.post("/api/orders", items((show.ticket_type, 1)))).body
    assert placed["eventName"] == name
    assert [one["ticketTypeName"] for one in placed["details"]] == [name]
    for path in (event, kind):
        assert (await system.api(organizer).patch(path, {"name": "Later"})).status == 200
    path = f"/api/orders/{placed['id']}"
    assert (await api.get(path)).body == placed
    assert (await api.get("/api/orders")).body["data"][0] == placed
    more = items((show.ticket_type, 2)) | {"orderId": placed["id"]}
    added = (await api.post("/api/orders", more)).body
    assert added["eventName"] == name
    [line] = added["details"]
    assert (line["ticketTypeName"], line["quantity"]) == (name, 3), "one line per type and price"
    assert (await api.get(path)).body == added
    ended = (await api.post(f"{path}/cancel")).body
    assert (ended["eventName"], ended["details"]) == (name, added["details"])
    listed = await system.api(organizer).get(f"{event}/orders")
    assert listed.body["data"][0]["eventName"] == name


async def test_what_was_bought_needs_no_role(
    system: System, database: Database, organizer: Person, buyer: Person
) -> None:
    """Without USER: read, listed, quoted, paid, cancelled; only new orders and additions are refused."""
    show = await sale(system, organizer, 9)
    paid, other = [await order(system.api(buyer), show.ticket_type) for _ in range(2)]
    await set_rate(database, "BTC", "50000")
    api = system.api(replace(buyer, roles=("PROVIDER",)))
    assert {one["id"] for one in (await api.get("/api/orders")).body["data"]} == {paid, other}
    assert (await api.get(f"/api/orders/{paid}")).status == 200
    quote = await api.post("/api/public/payment/create-quote", {"orderId": paid, "asset": "BTC"})
    assert quote.status == 201
    payment = quote.body["id"]
    assert (await api.get(f"/api/payments/{payment}")).status == 200
    confirm = f"/api/public/payment/confirm-payment/{payment}"
    assert (await api.post(confirm, {"txHash": fresh_hash()})).status == 200
    wanted = items((show.ticket_type, 1))
    assert (await api.post("/api/orders", wanted)).code == "FORBIDDEN"
    assert (await api.post("/api/orders", wanted | {"orderId": other})).code == "FORBIDDEN"
    assert (await api.post(f"/api/orders/{other}/cancel")).body["status"] == "CANCELLED"


async def test_an_organizer_cancels_an_unpaid_order_of_their_event(
    system: System, database: Database, organizer: Person, buyer: Person
) -> None:
    """The history says who did it; other organizers, and one without the role, find no order."""
    show = await sale(system, organizer, 9)
    admin, other = await person(database, "ADMIN"), await person(database, "ORGANIZER")
    reasons = {}
    for who in (buyer, organizer, admin):
        path = f"/api/orders/{await order(system.api(buyer), show.ticket_type)}/cancel"
        for stranger in (other, replace(organizer, roles=("USER",)), await person(database)):
            assert (await system.api(stranger).post(path)).code == "NOT_FOUND"
        ended = await system.api(who).post(path)
        assert (ended.status, ended.body["status"]) == (200, "CANCELLED")
        rows = await database.read(
            "SELECT reason FROM order_history WHERE order_id = %s AND status = 'CANCELLED'",
            ended.body["id"],
        )
        reasons[who.id] = rows[0][0]
    assert reasons == {buyer.id: "buyer", organizer.id: "organizer", admin.id: "admin"}
