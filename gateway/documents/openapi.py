"""The OpenAPI 3.1 document, generated from the route table and the models that validate the requests.

In: the table. Out: the document as plain JSON values.
Must stay true: nothing is described by hand that the gateway decides from the table; every status, problem code
and header a call can answer stands in it, with an example.

Source: OpenAPI Specification 3.1.1; its schemas are JSON Schema 2020-12, which pydantic writes.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from contracts.problems import CONTENT_TYPE, STATUS, TITLE, Code, Problem
from gateway.documents.openapi_links import BODIES, TAG, command_links, links_of, webhooks
from gateway.documents.openapi_parts import (
    DETAILS,
    EXTRAS,
    HEADERS,
    ID_MAX,
    INFO,
    REQUEST_HEADERS,
    SERVERS,
    TAGS,
)
from gateway.documents.openapi_schemas import Models, command_of, tidy
from gateway.http.models import NoBody
from gateway.http.problems import ProblemDocument
from gateway.http.routing import (
    ANYONE,
    SEALED_URL,
    Route,
    RouteAnswer,
)

Schema = dict[str, Any]
_RETRY = frozenset({429, 503})
_OF_A_COMMAND = ("X-Command-Id", "Preference-Applied", "Idempotent-Replayed")
_BEFORE_A_COMMAND = frozenset({401, 413, 415})
_EXAMPLE_ID = "9f1c2a7be0d94c5c8f4e"


def build(table: Sequence[Route]) -> Schema:
    """The whole document."""
    models = Models.of(table, [model for _, model in BODIES.values()])
    responses: dict[str, Schema] = {}
    paths: dict[str, Schema] = defaultdict(dict)
    for route in table:
        paths[route.path][route.method.lower()] = _operation(route, models, responses)
    used = {route.tag for route in table} | {TAG}
    document = {
        "openapi": "3.1.1",
        "info": INFO,
        "servers": SERVERS,
        "tags": [{"name": n, "description": d} for n, d in TAGS.items() if n in used],
        "paths": dict(paths),
        "webhooks": webhooks(models),
        "components": {
            "schemas": models.schemas,
            "responses": responses,
            "headers": HEADERS,
            "parameters": {
                name: {"name": name, "in": "header", "required": False, **parts}
                for name, parts in REQUEST_HEADERS.items()
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }
    _drop_unused(document)
    return document


def _drop_unused(document: Schema) -> None:
    """What no call refers to is no part of the description."""
    text = orjson.dumps(document).decode()
    for kind in ("headers", "parameters"):
        parts = document["components"][kind]
        for name in [one for one in parts if f'"#/components/{kind}/{one}"' not in text]:
            del parts[name]


def _operation(route: Route, models: Models, responses: dict[str, Schema]) -> Schema:
    operation: Schema = {
        "operationId": route.operation_id,
        "summary": route.summary,
        "description": _description(route),
        "tags": [route.tag],
        "parameters": [*_path_parameters(route), *_query_parameters(route), *_headers(route)],
        "responses": _answers(route, models) | _problems(route, models, responses),
        "security": _security(route),
    }
    if route.takes_body and route.body is not NoBody:
        media = models.media(route.body)
        content = {"application/json": media}
        if route.method == "PATCH":
            content["application/merge-patch+json"] = media
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _security(route: Route) -> list[Schema]:
    """A token is needed, or taken where it says more, or of no use."""
    if route.access not in (ANYONE, SEALED_URL):
        return [{"bearer": []}]
    return [{}, {"bearer": []}] if Code.UNAUTHENTICATED in route.codes else []


def _description(route: Route) -> str:
    roles = route.access if isinstance(route.access, frozenset) else ()
    who = "role " + " or ".join(sorted(roles)) if roles else str(getattr(route.access, "value", ""))
    parts = [f"For {who}; {route.ownership.value}."]
    if route.is_command:
        parts.append("Publishes a command.")
    if route.description:
        parts.append(route.description)
    return "\n\n".join(parts)


def _path_parameters(route: Route) -> Iterable[Schema]:
    for name in route.placeholders:
        pattern = route.texts.get(name)
        number = {"type": "integer", "format": "int64", "minimum": 1, "maximum": ID_MAX}
        schema: Schema = {"type": "string", "pattern": f"^{pattern}$"} if pattern else number
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(route: Route) -> Iterable[Schema]:
    document = route.query.model_json_schema()
    for name, schema in document.get("properties", {}).items():
        yield {
            "name": name,
            "in": "query",
            "required": name in document.get("required", ()),
            "schema": tidy(_without_null(schema)),
        }


def _without_null(schema: Schema) -> Schema:
    """A query parameter is there or not; it is never null."""
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    if schema.get("default") is not None:
        rest["default"] = schema["default"]
    choices: list[Schema] = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    if len(choices) == 1:
        return choices[0] | rest
    return rest | ({"anyOf": choices} if choices else {})


def _headers(route: Route) -> Iterable[Schema]:
    names = (("Prefer", "Idempotency-Key") if route.is_command else ()) + route.request_headers
    for name in dict.fromkeys(names):
        yield {"$ref": f"#/components/parameters/{name}"}


def _answers(route: Route, models: Models) -> Schema:
    answers = dict(route.answers)
    always: tuple[str, ...] = ()
    if route.is_command:
        answers[202] = RouteAnswer(
            command_of(route),
            "Accepted, not decided yet: ask again at Location.",
            ("Location", "Retry-After"),
        )
        always = _OF_A_COMMAND
    return {
        str(status): _answer(route, answer, always, models) | _links(status, answer)
        for status, answer in sorted(answers.items())
    }


def _links(status: int, answer: RouteAnswer) -> Schema:
    links = links_of(answer.model) if status == 201 else command_links() if status == 202 else {}
    return {"links": links} if links else {}


def _answer(route: Route, answer: RouteAnswer, always: tuple[str, ...], models: Models) -> Schema:
    response: Schema = {
        "description": answer.description,
        "headers": _header_references((*answer.headers, *always)),
    }
    if answer.model is not None:
        media = models.media(answer.model)
        if answer.example:
            media["example"] = media["example"] | answer.example
        response["content"] = {answer.media_type: media}
    elif answer.media_type != "application/json":
        kind = "object" if "json" in answer.media_type else "string"
        response["content"] = {answer.media_type: {"schema": {"type": kind}}}
    return response


def _header_references(names: Iterable[str]) -> Schema:
    wanted = dict.fromkeys(("X-Request-Id", "RateLimit", "RateLimit-Policy", *names))
    return {name: {"$ref": f"#/components/headers/{name}"} for name in wanted}


def _problems(route: Route, models: Models, responses: dict[str, Schema]) -> Schema:
    by_status: dict[int, list[Code]] = defaultdict(list)
    for code in sorted(route.codes):
        by_status[STATUS[code]].append(code)
    found = {}
    for status, codes in sorted(by_status.items()):
        kind = "command-" * route.is_command
        name = f"{status}-{kind}" + "-".join(codes)
        if name not in responses:
            responses[name] = _problem(route, status, codes, models)
        found[str(status)] = {"$ref": f"#/components/responses/{name}"}
    return found


def _problem(route: Route, status: int, codes: Sequence[Code], models: Models) -> Schema:
    waits = status in _RETRY or Code.LIMIT_EXCEEDED in codes
    names: tuple[str, ...] = ("Retry-After",) if waits else ()
    if status == 401:
        names = ("WWW-Authenticate",)
    elif route.is_command and status not in _BEFORE_A_COMMAND:
        names += _OF_A_COMMAND + (("Location",) if status == 503 else ())
    media = {
        "schema": models.reference(ProblemDocument),
        "examples": {str(code): {"value": _problem_example(code)} for code in codes},
    }
    return {
        "description": "; ".join(TITLE[code] for code in codes) + ".",
        "headers": _header_references(names),
        "content": {CONTENT_TYPE: media},
        **({"links": command_links()} if Code.UNDECIDED in codes else {}),
    }


def _problem_example(code: Code) -> Schema:
    retry_after = 1 if STATUS[code] in _RETRY else None
    problem = Problem(code, DETAILS.get(code, TITLE[code] + "."), retry_after=retry_after)
    return problem.to_json(_EXAMPLE_ID) | EXTRAS.get(code, {})
