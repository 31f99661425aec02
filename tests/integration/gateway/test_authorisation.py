"""Every route, every method, everybody: who gets through is exactly what the table says.

The expectation is computed from the table's data (access, ownership), the requests are real, and each
thing that a path names exists: a 404 is somebody's secret kept, never a thing that was not there.
"""

import dataclasses
import json
from typing import Any

import pytest

from contracts.models import RoleName
from contracts.problems import Code
from db.mysql.database import Database
from gateway.accounts.tokens import Tokens, parse_keys
from gateway.documents.pages import render_document
from gateway.http.routing import ANYONE, CALLER, GATE, SEALED_URL, Ownership, Route
from gateway.routes import TABLE
from tests.harness.accounts import SINCE, Person, person
from tests.harness.sales import items, sale
from tests.harness.scratch import JWT_KEYS
from tests.harness.system import Answer, System
from tests.integration.gateway.resources import Resources, make_resources
from tests.integration.tickets.door import gate

ROLES: tuple[RoleName, ...] = ("ADMIN", "ORGANIZER", "USER", "PROVIDER")
GATES = ("gate", "revoked gate")
PRINCIPALS = ("nobody", "garbage", "expired", "disabled", *ROLES, "foreign owner", "owner", *GATES)
DOCUMENT: dict[str, Any] = json.loads(render_document(TABLE).body)
BY_ROLE = {
    Ownership.OWNER: frozenset[str](),
    Ownership.OWNER_OR_ADMIN: frozenset({"ADMIN"}),
    Ownership.OWNER_ORGANIZER_OR_ADMIN: frozenset({"ADMIN"}),
    Ownership.EVENT_ORGANIZER_OR_ADMIN: frozenset({"ADMIN"}),
    Ownership.HOLDER: frozenset(),
    Ownership.HOLDER_OWNER_ORGANIZER_OR_ADMIN: frozenset({"ADMIN"}),
}
"""Roles that get through to things of others; who is not here and not the owner gets 404."""


def expected(route: Route, principal: str, roles: tuple[str, ...]) -> set[int]:
    """The statuses that are right: 401, 403, 404, or whatever the call says to those it lets in."""
    through = {*route.answers, 409} | ({202} if route.is_command else set())
    if route.access is ANYONE:
        return through | ({401} if Code.UNAUTHENTICATED in route.codes else set())
    if principal in ("nobody", "garbage", "expired", "disabled", "revoked gate"):
        return {401}
    if principal == "gate":
        # A command that is somebody else's looks like none, to gates as well.
        if route.access is GATE:
            return through
        return {404} if route.access in (CALLER, SEALED_URL) else {403}
    if route.access is GATE:
        return {403}
    if isinstance(route.access, frozenset) and route.access.isdisjoint(roles):
        return {403}
    if route.ownership in (Ownership.NONE, Ownership.SELF) or principal == "owner":
        return through
    return through if BY_ROLE[route.ownership].intersection(roles) else {404}


@pytest.fixture(scope="module")
async def cast_of(system: System, own_database: Database) -> dict[str, Person]:
    """One account per principal that has one."""
    cast: dict[str, Person] = {role: await person(own_database, role) for role in ROLES}
    cast["owner"] = await person(own_database, "USER", "ORGANIZER")
    cast["foreign owner"] = await person(own_database, "USER", "ORGANIZER")
    cast["gate keeper"] = await person(own_database, "ORGANIZER", "USER")
    cast["disabled"] = await person(own_database, *ROLES)
    cast["expired"] = await person(own_database, *ROLES)
    disabled = await system.api(cast["ADMIN"]).patch(
        f"/api/admin/users/{cast['disabled'].id}", {"status": "DISABLED"}
    )
    assert disabled.status == 200
    return cast


@pytest.fixture(scope="module")
async def gate_tokens(system: System, cast_of: dict[str, Person]) -> dict[str, str]:
    """A gate of somebody's event, and one that was revoked."""
    keeper = cast_of["gate keeper"]
    sold = await sale(system, keeper, 5)
    made = {name: await gate(system, keeper, sold.event_id, name) for name in GATES}
    path = f"/api/events/{sold.event_id}/gates/{made['revoked gate'].id}"
    assert (await system.api(keeper).delete(path)).status == 204
    return {name: one.token for name, one in made.items()}


def token_of(cast: dict[str, Person], principal: str, gates: dict[str, str]) -> str | None:
    """What stands in Authorization."""
    if principal in gates:
        return gates[principal]
    if principal == "nobody":
        return None
    if principal == "garbage":
        return "eyJhbGciOiJub25lIn0.e30."
    if principal == "expired":
        somebody = cast["expired"]
        return Tokens(parse_keys(JWT_KEYS), -1).issue(somebody.id, somebody.roles, SINCE)
    return cast[principal].token


async def ask(
    system: System, method: str, route: Route, resources: Resources, token: str | None
) -> Answer:
    """The call, with a body that is right."""
    path = route.path
    for name in route.placeholders:
        path = path.replace("{" + name + "}", str(resources.by_name[name]))
    described = DOCUMENT["paths"][route.path][route.method.lower()]
    body = resources.bodies.get(route.operation_id)
    if body is None and "requestBody" in described:
        body = described["requestBody"]["content"]["application/json"]["example"]
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return await system.api().call(method, path, body, wait=None, headers=headers)


@pytest.mark.parametrize("route", TABLE, ids=lambda route: route.operation_id)
async def test_who_gets_through(
    system: System,
    own_database: Database,
    cast_of: dict[str, Person],
    gate_tokens: dict[str, str],
    route: Route,
) -> None:
    """Nobody, a forged and an expired token, a disabled account, each role alone, the owner, somebody
    like the owner: the status the table promises, a problem document with it, never a 5xx."""
    resources = await make_resources(system, own_database, cast_of["owner"], route)
    methods = [route.method, "HEAD"] if route.method == "GET" else [route.method]
    for principal in PRINCIPALS:
        roles = cast_of[principal].roles if principal in cast_of else ()
        for method in methods:
            wanted = expected(route, principal, roles)
            if not wanted & {401, 403, 404} and method != "HEAD":
                # Those who get through may delete it: each finds it fresh.
                resources = await make_resources(system, own_database, cast_of["owner"], route)
            answer = await ask(
                system, method, route, resources, token_of(cast_of, principal, gate_tokens)
            )
            assert answer.status in wanted, f"{principal}: {answer.status} {answer.body}"
            if answer.status in (401, 403, 404) and method != "HEAD":
                assert answer.headers["Content-Type"] == "application/problem+json"
                assert set(answer.body) >= {"type", "title", "status", "code", "detail", "instance"}
            if answer.status == 401:
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE")
PATHS = sorted({route.path for route in TABLE})


@pytest.mark.parametrize("path", PATHS)
async def test_a_method_that_no_route_has_is_405_for_everybody(
    system: System, cast_of: dict[str, Person], path: str
) -> None:
    """Before any other question, with the methods that are there."""
    offered: set[str] = {route.method for route in TABLE if route.path == path}
    offered |= {"HEAD"} if "GET" in offered else set()
    where = path.replace("{", "").replace("}", "")
    for method in METHODS:
        if method in offered:
            continue
        for who in (None, cast_of["ADMIN"]):
            answer = await system.api(who).call(method, where, wait=None)
            assert answer.status == 405, method
            assert set(answer.headers["Allow"].split(", ")) == offered | {"OPTIONS"}


async def test_the_role_is_checked_before_the_thing(
    system: System, cast_of: dict[str, Person]
) -> None:
    """Who may not ask learns nothing of what exists: 403 for an unknown id too, 401 before both."""
    for route in TABLE:
        if not isinstance(route.access, frozenset) or not route.ids:
            continue
        path = route.path
        for name in route.placeholders:
            path = path.replace("{" + name + "}", "999999999")
        outsider = next(role for role in ROLES if role not in route.access)
        answer = await system.api(cast_of[outsider]).call(route.method, path, {}, wait=None)
        assert (answer.status, answer.code) == (403, "FORBIDDEN"), route.operation_id
        nobody = await system.api().call(route.method, path, {}, wait=None)
        assert nobody.status == 401, route.operation_id


async def test_a_foreign_event_is_404_for_organizers_and_403_for_others(
    system: System, own_database: Database, cast_of: dict[str, Person]
) -> None:
    """api.md, events: the two words for "not yours"."""
    route = next(one for one in TABLE if one.operation_id == "updateEvent")
    resources = await make_resources(system, own_database, cast_of["owner"], route)
    path = f"/api/events/{resources.by_name['eventId']}"
    assert (await system.api(cast_of["ORGANIZER"]).patch(path, {"name": "Mine"})).status == 404
    assert (await system.api(cast_of["USER"]).patch(path, {"name": "Mine"})).status == 403


async def test_a_token_on_an_open_call_is_used_or_ignored(
    system: System, cast_of: dict[str, Person]
) -> None:
    """A bad one never closes what is open to all; a good one lets organizers see their own."""
    for principal in ("garbage", "expired", "disabled"):
        headers = {"Authorization": f"Bearer {token_of(cast_of, principal, {})}"}
        assert (await system.api().get("/api/events", headers=headers)).status == 200
        assert (await system.api().get("/api/events?mine=true", headers=headers)).status == 401
    assert (await system.api(cast_of["ORGANIZER"]).get("/api/events?mine=true")).status == 200
    assert (await system.api(cast_of["PROVIDER"]).get("/api/events?mine=true")).status == 403


async def test_an_expectation_that_cannot_fail_is_none(
    system: System, own_database: Database, cast_of: dict[str, Person]
) -> None:
    """Control: with one word of the table changed, the walk sees a wrong status."""
    route = next(one for one in TABLE if one.operation_id == "listUsers")
    resources = await make_resources(system, own_database, cast_of["owner"], route)
    opened = dataclasses.replace(route, access=frozenset({"ADMIN", "USER"}))
    answer = await ask(system, "GET", route, resources, cast_of["USER"].token)
    assert answer.status in expected(route, "USER", ("USER",))
    assert answer.status not in expected(opened, "USER", ("USER",))


async def test_an_order_is_not_for_others_to_fill(system: System, own_database: Database) -> None:
    """An order id in a body is no key: adding to somebody else's order is 404 and changes nothing."""
    owner, thief = await person(own_database, "USER", "ORGANIZER"), await person(own_database)
    resources = await make_resources(system, own_database, owner, TABLE[0], order=True)
    where = f"/api/orders/{resources.by_name['orderId']}"
    before = (await system.api(owner).get(where)).body
    wanted = items((resources.by_name["ticketTypeId"], 1)) | {
        "orderId": resources.by_name["orderId"]
    }
    assert (await system.api(thief).post("/api/orders", wanted)).status == 404
    assert (await system.api(owner).get(where)).body == before
