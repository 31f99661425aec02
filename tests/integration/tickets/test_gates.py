"""Gates: callers of their own kind, narrow and revocable at once."""

import pytest

from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.system import Api, System
from tests.harness.waiting import eventually
from tests.integration.tickets.door import Concert, Gate, scan


async def test_a_gate_reaches_its_door_and_nothing_else(
    hub: System, north: Gate, show: Concert, buyer: Person
) -> None:
    """Accounts' calls are 403 for it, open calls ignore it, gates' calls are 403 for accounts."""
    for path in (
        "/api/auth/me",
        "/api/orders",
        "/api/tickets",
        f"/api/tickets/{show.tickets[0]['id']}",
        f"/api/events/{show.sale.event_id}/attendees",
        f"/api/events/{show.sale.event_id}/gates",
        "/api/webhooks",
        "/api/admin/users",
    ):
        answer = await north.api.get(path)
        assert (answer.status, answer.code) == (403, "FORBIDDEN"), path
    assert (await north.api.get(f"/api/events/{show.sale.event_id}")).status == 200
    assert (await north.api.get("/api/events?mine=true")).status == 401
    for who in (buyer, show.sale.organizer):
        assert (await hub.api(who).get("/api/gate/bundle")).status == 403
        posted = await hub.api(who).post("/api/gate/scans", {"scans": [scan(show.codes[0])]})
        assert posted.status == 403


async def test_a_gates_commands_are_its_own(
    hub: System, north: Gate, south: Gate, show: Concert, buyer: Person
) -> None:
    """Polled by the gate that asked; another gate, and the account of the same number, see nothing."""
    accepted = await north.call(scan(show.codes[0]), wait=None)
    assert accepted.status == 202
    where = accepted.headers["Location"]

    async def decided() -> bool:
        answer = await north.api.get(where)
        return bool(answer.body["status"] == "SUCCEEDED")

    await eventually(decided)
    result = (await north.api.get(where)).body["result"]["results"][0]
    assert result["ruling"] == "ADMITTED"
    assert (await south.api.get(where)).status == 404
    assert (await hub.api(buyer).get(where)).status == 404


async def test_a_gates_key_is_its_own(north: Gate, south: Gate, show: Concert) -> None:
    """The same Idempotency-Key of two gates: two calls; of one gate: one."""
    one, two = scan(show.codes[0]), scan(show.codes[1])
    assert (await north.call(one, key="same")).body["results"][0]["ruling"] == "ADMITTED"
    again = await north.call(one, key="same")
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (await south.call(two, key="same")).body["results"][0]["ruling"] == "ADMITTED"
    assert (await north.call(two, key="same")).status == 422


async def test_a_revoked_gate_is_out_within_two_seconds(
    hub: System, organizer: Person, north: Gate, south: Gate, show: Concert
) -> None:
    """Its token is 401; a command of before is refused by the worker too; others go on."""
    path = f"/api/events/{show.sale.event_id}/gates/{north.id}"
    await north.bundle()
    assert (await hub.api(organizer).delete(path)).status == 204

    async def out() -> bool:
        return bool((await north.api.get("/api/gate/bundle")).status == 401)

    await eventually(out, within=2.0)
    assert (await north.call(scan(show.codes[0]))).status == 401
    assert await south.rulings(scan(show.codes[0])) == ["ADMITTED"]
    listed = (await hub.api(organizer).get(f"/api/events/{show.sale.event_id}/gates")).body["data"]
    assert [one["revokedAt"] is not None for one in listed] == [True, False]
    assert "token" not in listed[0]


@pytest.mark.parametrize("forged", ["ehg_", "ehg_AAAA", "ehg_" + "A" * 54, "ehg_" + "é" * 10])
async def test_a_forged_token_is_nobodys(hub: System, forged: str) -> None:
    """Whatever it looks like."""
    answer = await Api(hub.session, hub.url, None).get(
        "/api/gate/bundle", headers={"Authorization": f"Bearer {forged}"}
    )
    assert answer.status == 401


async def test_only_the_events_organizer_makes_gates(
    hub: System, database: Database, show: Concert
) -> None:
    """Others' events are 404, other roles 403."""
    path = f"/api/events/{show.sale.event_id}/gates"
    rival = await person(database, "ORGANIZER")
    assert (await hub.api(rival).post(path, {"name": "Mine"})).status == 404
    assert (await hub.api(show.buyer).post(path, {"name": "Mine"})).status == 403
    admin = await person(database, "ADMIN")
    assert (await hub.api(admin).post(path, {"name": "CommandClient"})).status == 201
