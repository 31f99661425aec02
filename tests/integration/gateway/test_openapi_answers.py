"""Real answers beside the document: status, headers and body of each call are what it says."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from db.mysql.database import Database
from gateway.http.routing import GATE, Route
from gateway.routes import TABLE
from tests.harness.people import Person, person
from tests.harness.system import Answer, Api, System
from tests.integration.gateway.things import Things, make_things


@pytest.fixture(scope="module")
async def document(hub: System) -> dict[str, Any]:
    """As a client gets it."""
    answer = await hub.api().get("/openapi.json")
    validate(answer.body)
    found: dict[str, Any] = answer.body
    return found


@pytest.fixture(scope="module")
async def everybody(records: Database) -> Person:
    """Somebody with every role: gets through everywhere, to the own things."""
    return await person(records, "ADMIN", "ORGANIZER", "USER", "PROVIDER")


def resolved(document: dict[str, Any], thing: dict[str, Any]) -> dict[str, Any]:
    """Behind the reference."""
    while "$ref" in thing:
        at: Any = document
        for key in thing["$ref"].removeprefix("#/").split("/"):
            at = at[key]
        thing = at
    return thing


def check(document: dict[str, Any], route: Route, answer: Answer) -> None:
    """The answer is one that the document describes."""
    responses = document["paths"][route.path][route.method.lower()]["responses"]
    assert str(answer.status) in responses, f"{answer.status} is not described: {answer.body}"
    described = resolved(document, responses[str(answer.status)])
    for name in (
        "X-Request-Id",
        "Location",
        "ETag",
        "X-Command-Id",
        "WWW-Authenticate",
        "Retry-After",
    ):
        if name in answer.headers:
            assert name in described["headers"], f"{name} is not described for {answer.status}"
    content = described.get("content")
    if not content:
        assert not answer.body
        return
    media_type = answer.headers["Content-Type"].partition(";")[0]
    media = next(value for name, value in content.items() if name.partition(";")[0] == media_type)
    if "json" in media_type and media["schema"].keys() != {"type"}:
        registry: Registry[Any] = Registry().with_resource(
            "urn:doc", Resource.from_contents(document, default_specification=DRAFT202012)
        )
        schema = json.loads(json.dumps(media["schema"]).replace('"#/', '"urn:doc#/'))
        Draft202012Validator(schema, registry=registry).validate(answer.body)


async def ask(
    hub: System,
    route: Route,
    things: Things,
    who: Person | None,
    document: dict[str, Any],
    wait: int | None,
) -> Answer:
    """The call with the document's own example, or what the things say."""
    path = route.path
    for name in route.placeholders:
        path = path.replace("{" + name + "}", str(things.by_name[name]))
    body = things.bodies.get(route.operation_id)
    operation = document["paths"][route.path][route.method.lower()]
    if body is None and "requestBody" in operation:
        body = operation["requestBody"]["content"]["application/json"]["example"]
    return await _api(hub, route, things, who).call(route.method, path, body, wait=wait)


def _api(hub: System, route: Route, things: Things, who: Person | None) -> Api:
    """Calls as this person, or as their gate where gates are asked for."""
    if route.access is GATE and who is not None:
        return Api(hub.session, hub.url, things.by_name.get("gateToken"))
    return hub.api(who)


@pytest.mark.parametrize("route", TABLE, ids=lambda route: route.operation_id)
async def test_answers_are_as_described(
    hub: System,
    records: Database,
    everybody: Person,
    document: dict[str, Any],
    route: Route,
) -> None:
    """A success (waited for and not), a call without a token, with a broken body, of an unknown id."""
    things = await make_things(hub, records, everybody, route)
    answers = [await ask(hub, route, things, everybody, document, wait) for wait in (10, None)]
    assert answers[0].status in {*route.answers, 401, 409}, answers[0].body
    answers.append(await ask(hub, route, things, None, document, None))
    unknown = Things(
        dict.fromkeys(things.by_name, 999999999)
        | {"asset": "NONE", "commandId": "x"}
        | _token(things)
    )
    answers.append(await ask(hub, route, unknown, everybody, document, 10))
    wrong = dict.fromkeys(things.by_name, "0") | {"asset": "?", "commandId": "!"} | _token(things)
    answers.append(await ask(hub, route, Things(wrong), everybody, document, 10))
    if route.takes_body:
        answers.append(
            await _api(hub, route, things, everybody).call(
                route.method, "/".join(_filled(route, things)), [1]
            )
        )
    for answer in answers:
        check(document, route, answer)


def _filled(route: Route, things: Things) -> list[str]:
    parts = route.path.split("/")
    return [str(things.by_name[p[1:-1]]) if p.startswith("{") else p for p in parts]


def _token(things: Things) -> dict[str, str]:
    """Who asks stays the same."""
    return {name: things.by_name[name] for name in ("gateToken",) if name in things.by_name}
