"""The OpenAPI document: valid, complete, and its examples true."""

import json
from collections.abc import Iterator
from decimal import ROUND_UP, Decimal, localcontext
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from contracts.problems import STATUS, Code
from contracts.webhooks.messages import PING, WEBHOOK_TYPES
from gateway.documents.openapi_parts import TAGS
from gateway.documents.pages import page, render_document
from gateway.http.routing import ANYONE, SEALED_URL, Route
from gateway.routes import TABLE

DOCUMENT: dict[str, Any] = json.loads(render_document(TABLE).body)
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
    """`security` mirrors the table's access; where a token is only taken, the way without one stands first."""
    security = operation(route)["security"]
    if route.access in (ANYONE, SEALED_URL):
        assert security == [{}, {"bearer": []}] * (Code.UNAUTHENTICATED in route.codes)
    else:
        assert security == [{"bearer": []}]


def test_the_page_calls_nobody() -> None:
    """No address outside, and a policy that would stop it."""
    html, policy = page("docs.html").html, page("docs.html").policy
    assert "http://" not in html
    assert "https://" not in html
    assert "connect-src 'self'" in policy
    assert "unsafe" not in policy


def schemas(value: Any, inside: str = "") -> Iterator[dict[str, Any]]:
    """Every schema of the document: what stands under `schema`, `schemas`, and within."""
    if isinstance(value, list):
        for one in value:
            yield from schemas(one, inside)
    if not isinstance(value, dict):
        return
    if inside == "schema":
        yield value
    for key, one in value.items():
        if key in ("example", "examples", "default", "required"):
            continue
        if key == "properties" and inside == "schema":
            for member in one.values():
                yield from schemas(member, "schema")
        elif key == "schemas":
            for named in one.values():
                yield from schemas(named, "schema")
        else:
            yield from schemas(one, "schema" if inside == "schema" or key == "schema" else "")


def test_clients_can_be_generated_from_it() -> None:
    """No pattern on a moment, no null default, no const, a size on every integer; each broke a generator."""
    seen = list(schemas(DOCUMENT))
    assert len(seen) > 300
    for schema in seen:
        assert "default" not in schema, schema
        assert "const" not in schema, schema
        assert schema != {}, "of no type"
        if schema.get("format") == "date-time":
            assert not {"pattern", "maxLength"} & schema.keys()
        if schema.get("type") == "integer":
            assert schema["format"] in ("int32", "int64")


def test_answers_are_open_and_bodies_closed() -> None:
    """A client generated today reads the members and values of tomorrow; what it sends is checked."""
    bodies = {route.body.__name__ for route in TABLE} | {"OrderItemBody", "ScanBody"}
    for name, component in DOCUMENT["components"]["schemas"].items():
        closed = [
            one for one in schemas(component, "schema") if one.get("additionalProperties") is False
        ]
        assert bool(closed) == (name in bodies), name
        if name not in bodies:
            assert not [one for one in schemas(component, "schema") if len(one.get("enum", "")) > 1]


def test_every_error_is_the_problem_document() -> None:
    """One reference, so that a generated client has one type for whatever went wrong."""
    for response in DOCUMENT["components"]["responses"].values():
        media = response["content"]["application/problem+json"]
        assert media["schema"] == {"$ref": "#/components/schemas/ProblemDocument"}


def test_the_result_of_a_command_has_a_type() -> None:
    """A call's 202 has its own; a polled command is any of them."""
    for route in TABLE:
        if route.is_command:
            accepted = operation(route)["responses"]["202"]["content"]["application/json"]["schema"]
            results = resolve(accepted)["properties"]["result"]["anyOf"]
            success = operation(route)["responses"][str(min(route.answers))]
            assert results == [success["content"]["application/json"]["schema"], {"type": "null"}]
    anything = DOCUMENT["components"]["schemas"]["CommandResource"]["properties"]["result"]["anyOf"]
    names = {one["$ref"].rpartition("/")[2] for one in anything if "$ref" in one}
    assert names == {
        "EventResource",
        "TicketType",
        "Order",
        "Payment",
        "RateResource",
        "TicketResource",
        "ScanResults",
    }


def test_links_lead_to_calls_that_take_them() -> None:
    """Each names an operation and a parameter of its path."""
    calls = {route.operation_id: route for route in TABLE}
    found = 0
    for response in [
        *DOCUMENT["components"]["responses"].values(),
        *(
            r
            for p in DOCUMENT["paths"].values()
            for o in p.values()
            for r in o["responses"].values()
        ),
    ]:
        for link in response.get("links", {}).values():
            found += 1
            assert set(link["parameters"]) <= set(calls[link["operationId"]].placeholders)
    assert found > 30


def test_each_webhook_type_is_described_with_a_true_example() -> None:
    """Also the ping; under a tag of its own, because generators make a file for each tag."""
    assert set(DOCUMENT["webhooks"]) == {*WEBHOOK_TYPES.values(), PING}
    for name, item in DOCUMENT["webhooks"].items():
        media = item["post"]["requestBody"]["content"]["application/json"]
        assert media["example"]["type"] == name
        validator(media["schema"]).validate(media["example"])
        assert item["post"]["tags"] == ["Notifications"]


def test_examples_tell_a_story_that_adds_up() -> None:
    """No placeholder; two tickets at 49.90 are 99.80, and the payment is that at its rate, rounded up."""
    assert '"text"' not in json.dumps(_examples(DOCUMENT))
    shown = resolve(DOCUMENT["paths"]["/api/commands/{commandId}"]["get"]["responses"]["200"])
    order = shown["content"]["application/json"]["example"]["result"]
    [line] = order["details"]
    assert Decimal(line["unitPrice"]) * line["quantity"] == Decimal(order["totalCost"])
    quote = DOCUMENT["paths"]["/api/payments/{paymentId}"]["get"]["responses"]["200"]
    payment = quote["content"]["application/json"]["example"]
    assert payment["orderId"] == order["id"]
    with localcontext() as context:
        context.prec = 60
        exact = Decimal(order["totalCost"]) / Decimal(payment["quoteRate"])
        step = Decimal(1).scaleb(-18)
        assert Decimal(payment["amountCrypto"]) == exact.quantize(step, rounding=ROUND_UP)


def _examples(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [one for inner in value for one in _examples(inner)]
    if not isinstance(value, dict):
        return []
    return [value[name] for name in ("example",) if name in value] + [
        one for inner in value.values() for one in _examples(inner)
    ]
