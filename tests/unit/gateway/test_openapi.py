"""The OpenAPI document: valid, complete, and its examples true."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from contracts.problems import STATUS
from gateway.documents.openapi_parts import TAGS
from gateway.documents.pages import page, render_document
from gateway.http.routing import ANYONE, Route
from gateway.routes import TABLE

DOCUMENT: dict[str, Any] = json.loads(render_document(TABLE))
OPERATIONS = pytest.mark.parametrize("route", TABLE, ids=lambda route: route.operation_id)


def resolve(thing: dict[str, Any]) -> dict[str, Any]:
    """What a `$ref` of the document points at."""
    while "$ref" in thing:
        at: Any = DOCUMENT
        for key in thing["$ref"].removeprefix("#/").split("/"):
            at = at[key]
        thing = at
    return thing


def operation(route: Route) -> dict[str, Any]:
    """The operation of a route."""
    found: dict[str, Any] = DOCUMENT["paths"][route.path][route.method.lower()]
    return found


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """For a schema that refers into the document."""
    registry: Registry[Any] = Registry().with_resource(
        "urn:doc", Resource.from_contents(DOCUMENT, default_specification=DRAFT202012)
    )
    text = json.dumps(schema).replace('"#/', '"urn:doc#/')
    return Draft202012Validator(json.loads(text), registry=registry)


def test_the_document_is_valid_openapi() -> None:
    """By the specification's own schema and rules."""
    validate(DOCUMENT)
    assert DOCUMENT["openapi"].startswith("3.1")


@OPERATIONS
def test_every_status_and_code_of_a_call_stands_in_it(route: Route) -> None:
    """Successes, 202 of a command, each problem code under its status, with an example of it."""
    responses = operation(route)["responses"]
    wanted = {str(status) for status in route.answers} | {str(STATUS[code]) for code in route.codes}
    if route.is_command:
        wanted.add("202")
    assert set(responses) == wanted
    for code in route.codes:
        media = resolve(responses[str(STATUS[code])])["content"]["application/problem+json"]
        assert media["examples"][code]["value"]["code"] == code


@OPERATIONS
def test_headers_are_described(route: Route) -> None:
    """Request id everywhere, limits where they count, Retry-After, Prefer and Idempotency-Key of commands."""
    described = operation(route)
    for status, reference in described["responses"].items():
        headers = resolve(reference).get("headers", {})
        assert "X-Request-Id" in headers
        assert "RateLimit" in headers
        assert "Retry-After" in headers or status not in ("429", "503")
        assert "Retry-After" in headers or not (route.is_command and status == "202")
        assert ("WWW-Authenticate" in headers) == (status == "401")
    names = {resolve(one)["name"] for one in described["parameters"]}
    assert ({"Prefer", "Idempotency-Key"} <= names) == route.is_command
    assert set(route.placeholders) <= names


@OPERATIONS
def test_every_example_fits_its_schema(route: Route) -> None:
    """What a client copies from the page is accepted, what it reads there is what it gets."""
    described = operation(route)
    contents = [resolve(one).get("content", {}) for one in described["responses"].values()]
    contents.append(described.get("requestBody", {}).get("content", {}))
    for content in contents:
        for media in content.values():
            examples = [one["value"] for one in media.get("examples", {}).values()]
            examples += [media["example"]] if "example" in media else []
            for example in examples:
                validator(media["schema"]).validate(example)


@OPERATIONS
def test_request_examples_pass_the_model_that_validates(route: Route) -> None:
    """The example body is not only fit for the schema: the gateway's own model takes it."""
    body = operation(route).get("requestBody")
    if body is not None:
        example = body["content"]["application/json"]["example"]
        route.body.model_validate_json(json.dumps(example))


@OPERATIONS
def test_a_call_has_a_tag_with_words(route: Route) -> None:
    """No call hides under a heading that nobody explains."""
    assert route.tag in TAGS


@OPERATIONS
def test_calls_that_need_a_token_say_so(route: Route) -> None:
    """`security` mirrors the table's access."""
    assert bool(operation(route)["security"]) == (route.access is not ANYONE)


def test_the_page_calls_nobody() -> None:
    """No address outside, and a policy that would stop it."""
    html, policy = page("docs.html")
    assert "http://" not in html
    assert "https://" not in html
    assert "connect-src 'self'" in policy
    assert "unsafe" not in policy
