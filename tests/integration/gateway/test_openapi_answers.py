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
from tests.harness.accounts import Person, person
from tests.harness.system import Answer, Api, System
from tests.integration.gateway.resources import Resources, make_resources


@pytest.fixture(scope="module")
async def document(system: System) -> dict[str, Any]:
    """As a client gets it."""
    answer = await system.api().get("/openapi.json")
    validate(answer.body)
    found: dict[str, Any] = answer.body
    for name, schema in found["components"]["schemas"].items():
        close(schema, with_members=name != "ProblemDocument")
    return found


def close(schema: Any, with_members: bool = True) -> None:
    """Read a schema as if nothing came later: what an answer holds today is described today."""
    if isinstance(schema, list):
        for one in schema:
            close(one)
    if not isinstance(schema, dict):
        return
    if "x-extensible-enum" in schema:
        schema["enum"] = schema["x-extensible-enum"]
    if with_members and "properties" in schema and schema.get("type") == "object":
        schema["additionalProperties"] = False
    for value in schema.values():
        close(value)


@pytest.fixture(scope="module")
async def everybody(own_database: Database) -> Person:
    """Somebody with every role: gets through everywhere, to the own things."""
    return await person(own_database, "ADMIN", "ORGANIZER", "USER", "PROVIDER")


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
    system: System,
    route: Route,
    resources: Resources,
    who: Person | None,
    document: dict[str, Any],
    wait: int | None,
) -> Answer:
    """The call with the document's own example, or what the things say."""
    path = route.path
    for name in route.placeholders:
        path = path.replace("{" + name + "}", str(resources.by_name[name]))
    body = resources.bodies.get(route.operation_id)
    operation = document["paths"][route.path][route.method.lower()]
    if body is None and "requestBody" in operation:
        body = operation["requestBody"]["content"]["application/json"]["example"]
    return await _api(system, route, resources, who).call(route.method, path, body, wait=wait)


def _api(system: System, route: Route, resources: Resources, who: Person | None) -> Api:
    """Calls as this person, or as their gate where gates are asked for."""
    if route.access is GATE and who is not None:
        return Api(system.session, system.url, resources.by_name.get("gateToken"))
    return system.api(who)


@pytest.mark.parametrize("route", TABLE, ids=lambda route: route.operation_id)
async def test_answers_are_as_described(
    system: System,
    own_database: Database,
    everybody: Person,
    document: dict[str, Any],
    route: Route,
) -> None:
    """A success (waited for and not), a call without a token, with a broken body, of an unknown id."""
    resources = await make_resources(system, own_database, everybody, route)
    answers = [
        await ask(system, route, resources, everybody, document, wait) for wait in (10, None)
    ]
    assert answers[0].status in {*route.answers, 401, 409}, answers[0].body
    answers.append(await ask(system, route, resources, None, document, None))
    unknown = Resources(
        dict.fromkeys(resources.by_name, 999999999)
        | {"asset": "NONE", "commandId": "x"}
        | _token(resources)
    )
    answers.append(await ask(system, route, unknown, everybody, document, 10))
    wrong = (
        dict.fromkeys(resources.by_name, "0") | {"asset": "?", "commandId": "!"} | _token(resources)
    )
    answers.append(await ask(system, route, Resources(wrong), everybody, document, 10))
    if route.takes_body:
        answers.append(
            await _api(system, route, resources, everybody).call(
                route.method, "/".join(_filled(route, resources)), [1]
            )
        )
    for answer in answers:
        check(document, route, answer)


def _filled(route: Route, resources: Resources) -> list[str]:
    parts = route.path.split("/")
    return [str(resources.by_name[p[1:-1]]) if p.startswith("{") else p for p in parts]


def _token(resources: Resources) -> dict[str, str]:
    """Who asks stays the same."""
    return {name: resources.by_name[name] for name in ("gateToken",) if name in resources.by_name}
