"""Administration: lists, status, roles; changes reach tokens that are out; the last admin stays."""

import asyncio
from typing import Any
from urllib.parse import quote

from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.scratch import Scratch, scratch_servers
from tests.harness.system import System, running
from tests.harness.waiting import eventually


async def test_the_list_pages_through_everybody_once(
    system: System, own_database: Database, admin: Person
) -> None:
    """Page by page, stable while accounts are added."""
    accounts = [await person(own_database) for _ in range(7)]
    api, seen, cursor = system.api(admin), [], ""
    while True:
        answer = await api.get(f"/api/admin/users?limit=3{cursor}")
        assert answer.status == 200
        seen += [one["id"] for one in answer.body["data"]]
        await person(own_database)
        if not answer.body["hasMore"] or len(seen) > 500:
            break
        cursor = f"&cursor={answer.body['nextCursor']}"
    assert len(seen) == len(set(seen))
    assert seen == sorted(seen)
    assert {one.id for one in accounts} <= set(seen)


async def test_filters(system: System, own_database: Database, admin: Person) -> None:
    """By address in any case, by status; what nobody has is an empty page."""
    somebody = await person(own_database)
    api = system.api(admin)
    found = await api.get(f"/api/admin/users?email={somebody.email.upper()}")
    assert [one["id"] for one in found.body["data"]] == [somebody.id]
    await api.patch(f"/api/admin/users/{somebody.id}", {"status": "DISABLED"})
    disabled = await api.get("/api/admin/users?status=DISABLED&limit=100")
    assert somebody.id in [one["id"] for one in disabled.body["data"]]
    nobody = await api.get("/api/admin/users?email=nobody%40nowhere.example")
    assert nobody.body == {"data": [], "nextCursor": None, "hasMore": False}


async def test_an_address_is_found_however_it_is_spelt(system: System, admin: Person) -> None:
    """Composed or not, wide or not, with accents or without, the domain in either form; twins stand side by side."""
    api, ids = system.api(admin), []
    for email in ("jos\u00e9.k@b\u00fccher.example", "jose.k@b\u00fccher.example"):
        made = await api.post("/api/auth/register", {"email": email, "password": "correct horse"})
        assert made.status == 201, made.body
        ids.append(made.body["id"])
    for spelt in (
        "jos\u00e9.k@b\u00fccher.example",
        "jose\u0301.k@bu\u0308cher.example",
        "JOSE.K@B\u00dcCHER.example",
        "jose.k@xn--bcher-kva.example",
        "\uff4a\uff4f\uff53\uff45.k\uff20b\u00fccher.example",
        " jose.k@b\u00fccher.example ",
    ):
        found = await api.get(f"/api/admin/users?email={quote(spelt)}")
        assert [one["id"] for one in found.body["data"]] == ids, spelt
    taken = await api.post(
        "/api/auth/register",
        {"email": "jose\u0301.k@xn--bcher-kva.example", "password": "correct horse"},
    )
    assert taken.code == "EMAIL_TAKEN"


async def test_unknown_accounts_are_404(system: System, admin: Person) -> None:
    """Shown, changed, given roles."""
    api, nobody = system.api(admin), "/api/admin/users/999999999"
    assert (await api.get(nobody)).code == "NOT_FOUND"
    assert (await api.patch(nobody, {"status": "ACTIVE"})).code == "NOT_FOUND"
    assert (await api.call("PUT", f"{nobody}/roles", {"roles": []})).code == "NOT_FOUND"


async def test_bad_changes_are_400(system: System, own_database: Database, admin: Person) -> None:
    """Unknown words, twins, other members; the account stays as it was."""
    somebody, api = await person(own_database), system.api(admin)
    where = f"/api/admin/users/{somebody.id}"
    before = (await api.get(where)).body
    bodies: tuple[dict[str, Any], ...] = (
        {"status": "active"},
        {},
        {"status": "ACTIVE", "email": "x@example.com"},
        {"status": None},
    )
    for body in bodies:
        assert (await api.patch(where, body)).code == "INVALID"
    bodies = ({"roles": ["ROOT"]}, {"roles": ["USER", "USER"]}, {"roles": "ADMIN"}, {})
    for body in bodies:
        assert (await api.call("PUT", f"{where}/roles", body)).code == "INVALID"
    assert (await api.get(where)).body == before


async def test_a_disabled_account_is_out_everywhere_within_seconds(
    own_scratch: Scratch, system: System, own_database: Database, admin: Person
) -> None:
    """This gateway at once, another one by its poll."""
    somebody = await person(own_database)
    where = f"/api/admin/users/{somebody.id}"
    async with running(own_scratch, workers=()) as other:
        assert (await other.api(somebody).get("/api/auth/me")).status == 200
        changed = await system.api(admin).patch(where, {"status": "DISABLED"})
        assert changed.body["status"] == "DISABLED"
        assert (await system.api(somebody).get("/api/auth/me")).code == "UNAUTHENTICATED"

        async def out() -> bool:
            return (await other.api(somebody).get("/api/auth/me")).status == 401

        await eventually(out)


async def test_new_roles_reach_tokens_that_are_out(
    own_scratch: Scratch, system: System, own_database: Database, admin: Person
) -> None:
    """Given and taken, on another gateway too."""
    somebody = await person(own_database)
    where = f"/api/admin/users/{somebody.id}/roles"
    async with running(own_scratch, workers=()) as other:
        assert (await other.api(somebody).get("/api/admin/users")).status == 403
        given = await system.api(admin).call("PUT", where, {"roles": ["ADMIN", "USER"]})
        assert sorted(given.body["roles"]) == ["ADMIN", "USER"]

        async def may() -> bool:
            return (await other.api(somebody).get("/api/admin/users")).status == 200

        await eventually(may)
        taken = await system.api(admin).call("PUT", where, {"roles": []})
        assert taken.body["roles"] == []

        async def may_not() -> bool:
            return (await other.api(somebody).get("/api/admin/users")).status == 403

        await eventually(may_not)


async def test_no_request_reads_the_account(own_scratch: Scratch, own_database: Database) -> None:
    """Roles come from the token and the poll: a row changed behind the poll's back has no effect."""
    somebody = await person(own_database)
    async with running(own_scratch, workers=()) as system:
        await own_database.write("UPDATE users SET status = 'DISABLED' WHERE id = %s", somebody.id)
        assert (await system.api(somebody).get("/api/orders")).status == 200


async def test_the_last_admin_stays() -> None:
    """Neither disabled nor demoted, by nobody, not even when two demote each other at the same moment."""
    async with scratch_servers() as place, running(place, workers=()) as system:
        own_database = await Database.connect(place.mysql_url)
        try:
            one, two = (
                await person(own_database, "ADMIN"),
                await person(own_database, "ADMIN", "USER"),
            )
            await asyncio.gather(
                system.api(one).call(
                    "PUT", f"/api/admin/users/{two.id}/roles", {"roles": ["USER"]}
                ),
                system.api(two).patch(f"/api/admin/users/{one.id}", {"status": "DISABLED"}),
            )
            rows = await own_database.read(
                "SELECT u.id FROM users u JOIN user_roles ur ON ur.user_id = u.id "
                "WHERE ur.role_id = 1 AND u.status = 'ACTIVE'"
            )
            assert len(rows) == 1
            last = one if rows[0][0] == one.id else two
            where = f"/api/admin/users/{last.id}"
            assert (
                await system.api(last).patch(where, {"status": "DISABLED"})
            ).code == "LAST_ADMIN"
            demoted = await system.api(last).call("PUT", f"{where}/roles", {"roles": ["USER"]})
            assert demoted.code == "LAST_ADMIN"
            same = await system.api(last).patch(where, {"status": "ACTIVE"})
            assert same.status == 200
        finally:
            await own_database.close()


async def test_disabling_revokes_refresh_tokens(
    system: System, own_database: Database, admin: Person
) -> None:
    """And enabling does not give them back: who was thrown out signs in again."""
    api, email = system.api(), "thrown.out@example.com"
    made = await api.post("/api/auth/register", {"email": email, "password": "correct horse"})
    pair = await api.post("/api/auth/login", {"email": email, "password": "correct horse"})
    where = f"/api/admin/users/{made.body['id']}"
    await system.api(admin).patch(where, {"status": "DISABLED"})
    await system.api(admin).patch(where, {"status": "ACTIVE"})
    refused = await api.post("/api/auth/refresh", {"refreshToken": pair.body["refreshToken"]})
    assert refused.code == "UNAUTHENTICATED"
    again = await api.post("/api/auth/login", {"email": email, "password": "correct horse"})
    assert again.status == 200
