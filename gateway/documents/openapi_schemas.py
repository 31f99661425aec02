"""The models of the route table as schemas that clients can be generated from.

In: pydantic's JSON Schemas of the models. Out: the components of the OpenAPI document.
Must stay true: an answer is open to members and values that come later, a request body is closed; every integer says
how large it may become; nothing that may be left out is required or has null as its default.

Why each rule is there is a generator that stumbled: docs/decisions.md, "A description that clients are generated from".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel, create_model
from pydantic.json_schema import models_json_schema

from gateway.documents.openapi_examples import example_of
from gateway.http.models import NoBody
from gateway.http.problems import ProblemDocument
from gateway.http.routing import Route
from gateway.resources.commands import CommandResource

Schema = dict[str, Any]
_REF = "#/components/schemas/{model}"
_INT32_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Models:
    """Every model of the table as a component, and where each one is."""

    schemas: dict[str, Schema]
    _references: Mapping[type[BaseModel], Schema]

    @classmethod
    def of(cls, table: Sequence[Route], more: Iterable[type[BaseModel]] = ()) -> "Models":
        """The components of this table, and of further answers."""
        answers: set[type[BaseModel]] = {ProblemDocument, *more}
        bodies: set[type[BaseModel]] = set()
        for route in table:
            answers.update(answer.model for answer in route.answers.values() if answer.model)
            if route.is_command:
                answers.add(command_of(route))
            if route.takes_body and route.body is not NoBody:
                bodies.add(route.body)
        shown, references = _described(answers)
        taken, more_references = _described(bodies)
        for schema in shown.values():
            open_up(schema)
        return cls(shown | taken, references | more_references)

    def reference(self, model: type[BaseModel]) -> Schema:
        """`{"$ref": …}` of a model."""
        return self._references[model]

    def media(self, model: type[BaseModel]) -> Schema:
        """A media type object: the model's schema and an example."""
        reference = self.reference(model)
        return {"schema": reference, "example": example_of(reference, self.schemas)}


def open_up(schema: Any) -> None:
    """Let a schema of an answer take members and values that come later, in place."""
    if isinstance(schema, list):
        for one in schema:
            open_up(one)
    if not isinstance(schema, dict):
        return
    if schema.get("additionalProperties") is False:
        del schema["additionalProperties"]
    values = schema.get("enum")
    if isinstance(values, list) and len(values) > 1:
        # A closed enumeration makes generated clients fail at the first value that is new to them.
        schema["x-extensible-enum"] = schema.pop("enum")
        schema.setdefault("examples", values[:1])
        said = f"One of {', '.join(values)}; others may come."
        schema["description"] = f"{schema.get('description', '')} {said}".strip()
    for value in schema.values():
        open_up(value)


def _described(models: set[type[BaseModel]]) -> tuple[dict[str, Schema], dict[Any, Schema]]:
    found, document = models_json_schema(
        [(model, "validation") for model in sorted(models, key=lambda m: m.__name__)],
        ref_template=_REF,
    )
    for schema in document.get("$defs", {}).values():
        tidy(schema)
    return document.get("$defs", {}), {model: schema for (model, _), schema in found.items()}


def command_of(route: Route) -> type[BaseModel]:
    """The command resource of a ⚡ call: its result is what the call answers with."""
    results = [one.model for status, one in sorted(route.answers.items()) if one.model]
    return _command_with(results[0]) if results else CommandResource


@cache
def _command_with(result: type[BaseModel]) -> type[BaseModel]:
    name = result.__name__.removesuffix("Resource")
    optional: Any = result | None
    described: type[BaseModel] = create_model(
        f"{name}Command",
        __base__=CommandResource,
        __doc__=f"The command resource of a call whose result is the {name}.",
        result=(optional, ...),
    )
    return described


def tidy(schema: Any) -> Any:
    """Write a schema as generators understand it, in place; returns it."""
    if isinstance(schema, list):
        for one in schema:
            tidy(one)
    if not isinstance(schema, dict):
        return schema
    if isinstance(schema.get("title"), str):
        # Generated from the member's name; generators would name types after it.
        del schema["title"]
    if "default" in schema and not isinstance(schema["default"], dict):
        _without_default(schema)
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    if schema.get("type") == "integer" and "format" not in schema:
        schema["format"] = "int32" if schema.get("maximum", 2**63) <= _INT32_MAX else "int64"
    for value in schema.values():
        tidy(value)
    return schema


def _without_default(schema: Schema) -> None:
    """A default says to some generators that the member is always there: it is told in words."""
    default = schema.pop("default")
    if default is not None:
        said = schema.get("description", "").rstrip()
        shown = str(default).lower() if isinstance(default, bool) else default
        schema["description"] = f"{said} Without it: {shown}.".strip()
