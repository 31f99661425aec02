"""What a client is told of a bad request: where it is wrong, in our sentences, once."""

import json
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from gateway.accounts.administration import SetRoles, UsersQuery
from gateway.accounts.sign_in import Register
from gateway.http.models import Body, PageQuery, Query
from gateway.http.validation import PATTERNS, SENTENCES, bad_body, bad_query
from gateway.resources.event_lists import EventsQuery
from gateway.resources.events import CreateEventBody
from gateway.resources.orders import PlaceOrderBody
from gateway.resources.ticket_types import CreateTicketTypeBody
from gateway.resources.webhooks import NewWebhook
from gateway.routes import TABLE

MODELS = sorted({m for r in TABLE for m in (r.body, r.query)}, key=lambda model: model.__name__)
NONE: frozenset[str] = frozenset()
ERRORS_OF_A_KIND: dict[str, frozenset[str]] = {
    "model": frozenset({"model_type", "missing", "extra_forbidden"}),
    "str": frozenset(
        {
            "string_type",
            "string_unicode",
            "string_too_short",
            "string_too_long",
            "string_pattern_mismatch",
        }
    ),
    "int": frozenset(
        {
            "int_type",
            "int_parsing",
            "int_parsing_size",
            "int_from_float",
            "greater_than_equal",
            "less_than_equal",
        }
    ),
    "bool": frozenset({"bool_type", "bool_parsing"}),
    "list": frozenset({"list_type", "too_short", "too_long"}),
    "tuple": frozenset({"tuple_type", "too_short", "too_long", "missing"}),
    "literal": frozenset({"literal_error"}),
    "function-after": frozenset({"value_error"}),
    "function-before": frozenset({"value_error"}),
    "default": NONE,
    "nullable": NONE,
    "model-fields": NONE,
    "model-field": NONE,
    "no-info": NONE,
    "definitions": NONE,
    "definition-ref": NONE,
}
"""What pydantic may say of each kind of schema that request models are made of (pydantic documentation, "Validation
Errors"). A union is not among them: it says as many errors as it has readings."""


def parts(schema: Any) -> Iterator[dict[str, Any]]:
    """Every part of a core schema that has a type."""
    if isinstance(schema, dict):
        if isinstance(schema.get("type"), str):
            yield schema
        for key, value in schema.items():
            if key not in ("metadata", "config", "default", "cls"):
                yield from parts(value)
    elif isinstance(schema, list | tuple):
        for value in schema:
            yield from parts(value)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_each_error_that_a_request_model_can_give_has_its_sentence(model: type[BaseModel]) -> None:
    """A new kind of field, bound or pattern fails here until somebody writes what clients are told of it."""
    for part in parts(model.__pydantic_core_schema__):
        assert part["type"] in ERRORS_OF_A_KIND, f"{part['type']}: what can be wrong with it?"
        assert ERRORS_OF_A_KIND[part["type"]] <= SENTENCES.keys()
        if "pattern" in part:
            assert part["pattern"] in PATTERNS, (
                f"what is a text not that does not match {part['pattern']}?"
            )
        bounds = {"gt", "lt", "multiple_of", "strip_whitespace"} & part.keys()
        assert not bounds, f"{bounds}: what is said of what is outside?"


JUNK: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    10**30,
    1.5,
    "",
    "x" * 20_000,
    "\u0000",
    "[",
    [],
    ["?"],
    [[]],
    {},
    {"a": 1},
)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_nothing_of_pydantics_reaches_a_client(model: type[Body] | type[Query]) -> None:
    """Junk in every member: each pointer leads into what was sent, each sentence is ours, no place has two."""
    names = [field.alias or name for name, field in model.model_fields.items()]
    for name, junk in [*product(names, JUNK), ("stranger", 1)]:
        sent = {name: junk}
        if not issubclass(model, Body) and not isinstance(junk, str):
            continue  # a query holds texts
        if (error := fault(model, sent)) is None:
            continue
        theirs = {one["msg"] for one in error.errors()}
        assert {one["type"] for one in error.errors()} <= SENTENCES.keys()
        body = issubclass(model, Body)
        told = (bad_body(error, sent) if body else bad_query(error)).problem.errors
        places = [place for place, _ in told]
        assert len(places) == len(set(places)) > 0
        for place, sentence in told:
            assert sentence not in theirs
            assert not {"Input", "input", "error,", "Extra", "inputs"} & set(sentence.split())
            if body and sentence != "is missing":
                follow(sent, place)


def fault(model: type[BaseModel], sent: dict[str, Any]) -> ValidationError | None:
    """What pydantic finds."""
    try:
        model.model_validate_json(json.dumps(sent))
    except ValidationError as error:
        return error
    return None


def follow(document: Any, pointer: str) -> Any:
    """What a JSON pointer (RFC 6901) names. Raises LookupError."""
    at = document
    for part in pointer.split("/")[1:]:
        at = at[int(part)] if isinstance(at, list) else at[part]
    return at


EVENT = {"name": "Gig", "startTime": "2030-06-01T18:00:00Z", "endTime": "2030-06-01T23:00:00Z"}
TYPE = {"name": "Stalls", "price": "49.90", "quota": 10}
ITEM = {"ticketTypeId": 1, "quantity": 2}


@pytest.mark.parametrize(
    ("model", "sent", "told"),
    [
        (
            NewWebhook,
            {"url": "https://example.com", "eventTypes": ["order.lost", "order.placed"]},
            [("/eventTypes/0", "must be order.placed, ")],
        ),
        (
            NewWebhook,
            {"url": "https://example.com", "eventTypes": []},
            [("/eventTypes", "must have at least 1 entry")],
        ),
        (
            CreateEventBody,
            {**EVENT, "endTime": EVENT["startTime"]},
            [("/endTime", "is not after startTime")],
        ),
        (
            CreateEventBody,
            {**EVENT, "colour": "red"},
            [("/colour", "is no member that this call knows")],
        ),
        (
            CreateEventBody,
            {"name": "Gig"},
            [("/startTime", "is missing"), ("/endTime", "is missing")],
        ),
        (
            CreateEventBody,
            {**EVENT, "name": "a\nb"},
            [("/name", "holds a control character or a line break")],
        ),
        (CreateTicketTypeBody, {**TYPE, "price": 49.9}, [("/price", "must be a text")]),
        (
            CreateTicketTypeBody,
            {**TYPE, "price": "5,5"},
            [("/price", "is no amount of money in a text, such as 49.90")],
        ),
        (CreateTicketTypeBody, {**TYPE, "currency": "usd"}, [("/currency", "is no currency: ")]),
        (CreateTicketTypeBody, {**TYPE, "quota": "10"}, [("/quota", "must be a whole number")]),
        (
            PlaceOrderBody,
            {"items": [ITEM, {**ITEM, "quantity": 0}]},
            [("/items/1/quantity", "must be at least 1")],
        ),
        (PlaceOrderBody, {"items": [{"quantity": 1}]}, [("/items/0/ticketTypeId", "is missing")]),
        (PlaceOrderBody, {"items": [ITEM, ITEM]}, [("/items", "names a ticket type twice")]),
        (PlaceOrderBody, {"items": [1]}, [("/items/0", "must be an object")]),
        (PlaceOrderBody, [1], [("", "must be an object")]),
        (
            Register,
            {"email": "a@b.example", "password": "short"},
            [("/password", "must have at least 10 characters")],
        ),
        (
            SetRoles,
            {"roles": ["BOSS"]},
            [("/roles/0", "must be ADMIN, ORGANIZER, USER or PROVIDER")],
        ),
    ],
)
def test_bodies(model: type[Body], sent: Any, told: list[tuple[str, str]]) -> None:
    """Where and what, and nothing beside it."""
    with pytest.raises(ValidationError) as failed:
        model.model_validate_json(json.dumps(sent))
    errors = bad_body(failed.value, sent).problem.errors
    assert [place for place, _ in errors] == [place for place, _ in told]
    assert all(got.startswith(said) for (_, got), (_, said) in zip(errors, told, strict=True))


@pytest.mark.parametrize(
    ("model", "sent", "told"),
    [
        (PageQuery, {"limit": "101"}, ("?limit", "must be at most 100")),
        (PageQuery, {"limit": "x"}, ("?limit", "is not a whole number")),
        (EventsQuery, {"mine": "yes"}, ("?mine", "is neither true nor false")),
        (UsersQuery, {"status": "GONE"}, ("?status", "must be ACTIVE or DISABLED")),
    ],
)
def test_queries(model: type[Query], sent: dict[str, str], told: tuple[str, str]) -> None:
    """Named as they stand in the address."""
    with pytest.raises(ValidationError) as failed:
        model.model_validate(sent)
    assert bad_query(failed.value).problem.errors == (told,)
