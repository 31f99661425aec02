"""At the door: gates and their tokens, scans and their rulings, once and never twice."""

import asyncio
import base64
import json
import uuid
from typing import Any

import jwt
import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from db.audit import audit
from db.mysql.database import Database
from db.tickets import keys
from tests.harness.accounts import Person, person
from tests.harness.system import System
from tests.harness.waiting import eventually
from tests.integration.tickets.door import NOW, Concert, Gate, concert, gate, scan


async def test_a_ticket_lets_one_in(north: Gate, south: Gate, show: Concert) -> None:
    """ADMITTED, then ALREADY_USED with the first gate and time; the ticket is USED."""
    first = scan(show.codes[0])
    [admitted] = await north.results(first)
    assert admitted["ruling"] == "ADMITTED"
    assert admitted["ticket"]["status"] == "USED"
    assert admitted["ticket"]["usedAt"] == NOW
    assert "firstGate" not in admitted
    assert "code" not in admitted["ticket"]
    [second] = await south.results(scan(show.codes[0]))
    assert second["ruling"] == "ALREADY_USED"
    assert second["firstGate"] == {"id": north.id, "name": "North"}
    assert second["firstAt"] == NOW


async def test_two_gates_at_the_same_instant(
    north: Gate, south: Gate, show: Concert, database: Database
) -> None:
    """One of many is ADMITTED."""
    rulings = await asyncio.gather(
        *(door.rulings(scan(show.codes[0])) for _ in range(10) for door in (north, south))
    )
    flat = [one for some in rulings for one in some]
    assert sorted(flat) == ["ADMITTED"] + ["ALREADY_USED"] * 19
    (await audit(database)).require_ok()


async def test_the_same_scan_again_has_the_same_ruling(
    north: Gate, south: Gate, show: Concert
) -> None:
    """Sent again, in upper case, by another gate, twice in one call."""
    id_ = str(uuid.uuid4())
    once = scan(show.codes[0], id_=id_)
    assert await north.rulings(once, once) == ["ADMITTED", "ADMITTED"]
    assert await south.rulings(scan(show.codes[0], id_=id_.upper())) == ["ADMITTED"]
    other = scan(show.codes[0])
    assert await south.rulings(other) == ["ALREADY_USED"]
    assert await south.rulings(other) == ["ALREADY_USED"]


async def test_what_is_no_ticket_of_this_event(
    hub: System, database: Database, organizer: Person, buyer: Person, north: Gate, show: Concert
) -> None:
    """Another event's: WRONG_EVENT, and it stays valid there; nothing is said of it."""
    other = await concert(hub, organizer, buyer)
    there = await gate(hub, organizer, other.sale.event_id)
    [wrong] = await north.results(scan(other.codes[0]))
    assert wrong["ruling"] == "WRONG_EVENT"
    assert set(wrong) == {"id", "ruling"}
    assert await there.rulings(scan(other.codes[0])) == ["ADMITTED"]


def _forged(code: str, **header: str) -> str:
    """The code with another header, signed by somebody else's key."""
    payload = code.split(".")[1]
    head = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    signature = Ed25519PrivateKey.generate().sign(f"{head}.{payload}".encode())
    return f"{head}.{payload}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


async def test_hostile_codes_are_unknown(north: Gate, show: Concert) -> None:
    """Other algorithm, other key, no signature, cut, long, not ASCII, empty, JSON: a ruling each, never a 5xx."""
    code = show.codes[0]
    header, payload, signature = code.split(".")
    kid = jwt.get_unverified_header(code)["kid"]
    claims: dict[str, Any] = jwt.decode(code, options={"verify_signature": False})
    hs256 = jwt.encode(claims, kid * 8, "HS256", headers={"kid": kid, "typ": "ticket+jwt"})
    none = jwt.encode(claims, "", "none", headers={"kid": kid, "typ": "ticket+jwt"})
    raised = json.dumps(claims | {"ver": 2}, separators=(",", ":")).encode()
    hostile = [
        hs256,
        none,
        _forged(code, alg="EdDSA", kid=kid, typ="ticket+jwt"),
        _forged(code, alg="EdDSA", kid="other", typ="ticket+jwt"),
        _forged(code, alg="EdDSA", kid="../../etc/passwd", typ="ticket+jwt"),
        f"{header}.{base64.urlsafe_b64encode(raised).rstrip(b'=').decode()}.{signature}",
        f"{header}.{payload}.",
        f"{header}.{payload}",
        f"{header}..{signature}",
        code[:-1],
        code[:-4],
        code + "A",
        code + ".",
        f" {code}",
        f"{code}\n",
        code.swapcase(),
        "x" * 10_240,
        code * 50,
        "",
        "\u0000",
        "ticket",
        "\U0001f3ab" * 40,
        "{}",
        "....",
    ]
    rulings = await north.rulings(*(scan(one) for one in hostile))
    assert rulings == ["UNKNOWN"] * len(hostile)
    assert await north.rulings(scan(code)) == ["ADMITTED"], "none of them spent it"


async def test_an_offline_scan_is_a_fact(
    north: Gate, south: Gate, show: Concert, hub: System, organizer: Person
) -> None:
    """Told later: ADMITTED, or CONFLICT with both gates, whatever the order; nobody is un-admitted."""
    early = scan(show.codes[0], offline=True, at="2026-11-01T19:00:00Z")
    late = scan(show.codes[0], offline=True, at="2026-11-01T19:30:00Z")
    assert await south.rulings(late) == ["ADMITTED"]
    [conflict] = await north.results(early)
    assert conflict["ruling"] == "CONFLICT"
    assert conflict["firstGate"] == {"id": south.id, "name": "South"}
    assert conflict["firstAt"] == "2026-11-01T19:30:00.000000Z"
    assert await north.rulings(early) == ["CONFLICT"]
    assert await south.rulings(late) == ["ADMITTED"]

    async def counted() -> bool:
        seen = await hub.api(organizer).get(f"/api/events/{show.sale.event_id}/attendance")
        return bool(seen.body["conflicts"] == 1)

    await eventually(counted)
    seen = (await hub.api(organizer).get(f"/api/events/{show.sale.event_id}/attendance")).body
    assert (seen["issued"], seen["used"], seen["void"]) == (3, 1, 0)
    [told] = seen["recentConflicts"]
    assert (told["gate"]["name"], told["firstGate"]["name"]) == ("North", "South")
    assert {one["name"]: (one["admitted"], one["conflicts"]) for one in seen["byGate"]} == {
        "North": (0, 1),
        "South": (1, 0),
    }


async def test_a_gate_that_did_not_hear_its_answer(north: Gate, south: Gate, show: Concert) -> None:
    """The question was ADMITTED, the answer lost, the guest let in: the fact of that id is the same entry."""
    id_ = str(uuid.uuid4())
    assert await north.rulings(scan(show.codes[0], id_=id_)) == ["ADMITTED"]
    assert await north.rulings(scan(show.codes[0], id_=id_, offline=True)) == ["ADMITTED"]
    # Refused, but the gate did not hear it and let somebody in: that is a conflict, not a refusal.
    second = str(uuid.uuid4())
    assert await south.rulings(scan(show.codes[0], id_=second)) == ["ALREADY_USED"]
    assert await south.rulings(scan(show.codes[0], id_=second, offline=True)) == ["CONFLICT"]
    assert await south.rulings(scan(show.codes[0], id_=second)) == ["ALREADY_USED"]


async def test_an_old_code_let_in_offline(
    hub: System, database: Database, north: Gate, show: Concert
) -> None:
    """VOID_ADMITTED; the new holder is let in all the same."""
    friend = await person(database)
    path = f"/api/tickets/{show.tickets[0]['id']}"
    assert (
        await hub.api(show.buyer).post(path + "/transfer", {"email": friend.email})
    ).status == 200
    assert await north.rulings(scan(show.codes[0], offline=True)) == ["VOID_ADMITTED"]
    fresh = (await hub.api(friend).get(path)).body["code"]
    assert await north.rulings(scan(fresh)) == ["ADMITTED"]


async def test_the_bundle_is_signed_and_names_what_changed(
    hub: System, database: Database, organizer: Person, north: Gate, show: Concert
) -> None:
    """Used and void tickets, all of them and those since; a detached JWS over the canonical rest."""
    empty = await north.bundle()
    assert (empty["used"], empty["void"]) == ([], [])
    assert empty["event"]["id"] == show.sale.event_id
    assert empty["ticketTypes"] == [{"id": show.sale.ticket_type, "name": "Type 0"}]
    _verify(empty)
    friend = await person(database)
    one, two, _ = show.tickets
    await north.rulings(scan(one["code"]))
    given = await hub.api(show.buyer).post(
        f"/api/tickets/{two['id']}/transfer", {"email": friend.email}
    )
    assert given.status == 200
    for changed in (await north.bundle(), await north.bundle(empty["asOf"])):
        assert (changed["used"], changed["void"]) == ([one["id"]], [[two["id"], 1]])
        _verify(changed)
    tampered = await north.bundle()
    tampered["used"] = []
    with pytest.raises(jwt.InvalidSignatureError):
        _verify(tampered)
    for wrong in ("x", "WzEsMl0", "%00"):
        assert (await north.api.get(f"/api/gate/bundle?since={wrong}")).status == 400


def _verify(bundle: dict[str, Any]) -> None:
    """As a gate builder would: PyJWT with a detached payload."""
    rest = {name: value for name, value in bundle.items() if name != "signature"}
    keys = jwt.PyJWKSet.from_dict({"keys": bundle["keys"]})
    header = jwt.get_unverified_header(bundle["signature"])
    assert header["typ"] == "bundle+jws"
    jwt.api_jws.decode_complete(
        _attached(bundle["signature"], rfc8785.dumps(rest)), keys[header["kid"]], ["EdDSA"]
    )


def _attached(signature: str, payload: bytes) -> str:
    head, _, tail = signature.split(".")
    return f"{head}.{base64.urlsafe_b64encode(payload).rstrip(b'=').decode()}.{tail}"


@pytest.mark.parametrize(
    "body",
    [
        {"scans": []},
        {"scans": [scan("x") for _ in range(501)]},
        {"scans": [scan("x") | {"id": "1"}]},
        {"scans": [scan("x") | {"scannedAt": "yesterday"}]},
        {"scans": [scan("x") | {"offline": "no"}]},
        {"scans": [scan("x") | {"ruling": "ADMITTED"}]},
        {},
    ],
)
async def test_a_malformed_call_is_400(north: Gate, body: object) -> None:
    """Nothing of it is ruled on."""
    assert (await north.api.post("/api/gate/scans", body)).status == 400


async def test_five_hundred_scans_are_one_call(north: Gate, show: Concert) -> None:
    """Up to 256 KiB of it; more is 413."""
    many = [scan(show.codes[n % 3]) for n in range(500)]
    rulings = await north.rulings(*many)
    assert sorted(rulings) == ["ADMITTED"] * 3 + ["ALREADY_USED"] * 497
    huge = [scan("x" * 600) for _ in range(500)]
    assert (await north.call(*huge)).status == 413


async def test_attendees_as_json_and_as_a_file(
    hub: System, database: Database, organizer: Person, north: Gate, show: Concert
) -> None:
    """Names and addresses; no cell begins a formula."""
    path = f"/api/events/{show.sale.event_id}/attendees"
    for ticket, name in zip(
        show.tickets, ("=cmd|' /C calc'!A0", 'Ada, "Lady"', "@SUM(A1)"), strict=True
    ):
        renamed = await hub.api(show.buyer).patch(
            f"/api/tickets/{ticket['id']}", {"holderName": name}
        )
        assert renamed.status == 200, renamed.body
    await north.rulings(scan(show.codes[0]))
    listed = (await hub.api(organizer).get(path)).body["data"]
    assert [one["holderName"] for one in listed][1] == 'Ada, "Lady"'
    assert {one["holderEmail"] for one in listed} == {show.buyer.email}
    assert "code" not in listed[0]
    found = (await hub.api(organizer).get(path + "?q=lady")).body["data"]
    assert [one["id"] for one in found] == [show.tickets[1]["id"]]
    assert (await hub.api(organizer).get(path + "?q=%25")).body["data"] == []
    file = await hub.api(organizer).get(path, headers={"Accept": "text/csv"})
    assert file.headers["Content-Type"].startswith("text/csv")
    lines = file.body.split("\r\n")
    assert lines[0].startswith("ticketId,orderId")
    assert "'=cmd|" in lines[1]
    assert ",USED," in lines[1]
    assert '"Ada, ""Lady"""' in lines[2]
    assert "'@SUM" in lines[3]


async def test_a_code_of_before_the_rotation_still_opens(
    hub: System, database: Database, north: Gate, show: Concert
) -> None:
    """Tickets printed under an old key verify as long as their events; a new key is known before it signs."""
    sealer = keys.key_sealer(hub.settings.secret.get_secret_value())
    await database.write(
        "UPDATE ticket_keys SET signs_from = signs_from - INTERVAL 40 DAY WHERE retired_at IS NULL"
    )
    assert await keys.rotate(database, sealer, 30 * 86400)
    assert not await keys.rotate(database, sealer, 30 * 86400)
    published = await keys.read(database, sealer)
    assert len(published.to_jwks()["keys"]) >= 2
    await database.write(
        "UPDATE ticket_keys SET signs_from = UTC_TIMESTAMP(6) - INTERVAL 1 HOUR WHERE retired_at IS NULL"
    )
    assert await north.rulings(scan(show.codes[0])) == ["ADMITTED"]
