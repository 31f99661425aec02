"""How a resource that is described once becomes SQL columns, JSON and a schema.

In: a row class: a frozen dataclass whose fields are the columns of one table, annotated with what their JSON is.
Out: its column names, a function that makes its JSON, the pydantic model that documents and checks that JSON.
Must stay true: a member's JSON name is its column's name in camelCase; a row is turned into JSON without pydantic, for
that happens several times in every order; the model describes exactly what that function writes.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from operator import attrgetter
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, create_model
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

Convert = Callable[[Any], Any]
R = TypeVar("R")
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class AsJson:
    """In an `Annotated` column: what its JSON is (`type`), when the column's own type is not that already.

    `write` makes the JSON of a value and `read` the value of JSON that fits `type`; None: both are the same.
    """

    type: Any
    write: Convert | None = None
    read: Convert | None = None


INTERNAL = "internal"
"""In an `Annotated` column: it is no member of the JSON."""


class Answer(BaseModel):
    """Base of the models that describe what clients are shown. They describe and check; they do not serialise."""

    model_config = ConfigDict(
        extra="forbid", strict=True, alias_generator=to_camel, populate_by_name=True
    )


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a row class."""

    name: str
    json_name: str
    json_type: Any
    write: Convert | None
    read: Convert | None
    default: Any


def columns_of(row: type[Any]) -> list[Column]:
    """The columns of a row class that its JSON shows, in their order."""
    hints = get_type_hints(row, include_extras=True)
    return [
        _column(one.name, hints[one.name], ... if one.default is MISSING else one.default)
        for one in fields(row)
        if INTERNAL not in getattr(hints[one.name], "__metadata__", ())
    ]


def column_names(row: type[Any]) -> tuple[str, ...]:
    """The names of the columns of a row class, in their order."""
    return tuple(one.name for one in fields(row))


def _column(name: str, hint: Any, default: Any) -> Column:
    optional = get_origin(hint) in (Union, UnionType) and type(None) in get_args(hint)
    if optional:
        [hint] = [one for one in get_args(hint) if one is not type(None)]
    said = next((one for one in getattr(hint, "__metadata__", ()) if isinstance(one, AsJson)), None)
    json_type = said.type if said else hint
    return Column(
        name=name,
        json_name=to_camel(name),
        json_type=json_type | None if optional else json_type,
        write=said.write if said else None,
        read=said.read if said else None,
        default=default,
    )


def json_writer(row: type[R]) -> Callable[[R], dict[str, Any]]:
    """A function that turns a row into its JSON members. A third of a microsecond a column is all it may cost."""
    columns = columns_of(row)
    names = tuple(one.json_name for one in columns)
    values = attrgetter(*(one.name for one in columns))
    special = [(one.json_name, one.write) for one in columns if one.write is not None]

    def write(one: R) -> dict[str, Any]:
        shown = dict(zip(names, values(one), strict=True))
        for name, convert in special:
            value = shown[name]
            if value is not None:
                shown[name] = convert(value)
        return shown

    return write


def from_json(row: type[Any], members: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a row's fields, by field name, from JSON values that fit the columns' JSON types."""
    read = {one.name: one.read for one in columns_of(row)}
    return {
        name: convert(value) if value is not None and (convert := read[name]) else value
        for name, value in members.items()
    }


def shows(row: type[Any]) -> Callable[[type[M]], type[M]]:
    """Decorate the model of a resource: it gets a member for each column of the row, in front of its own.

    What its own class body names is what a resource shows beside the columns of its row.
    """

    def complete(model: type[M]) -> type[M]:
        members: dict[str, Any] = {
            one.name: (one.json_type, one.default) for one in columns_of(row)
        }
        members |= {name: (field.annotation, field) for name, field in model.model_fields.items()}
        return create_model(
            model.__name__,
            __base__=model.__mro__[1],
            __doc__=model.__doc__,
            __module__=model.__module__,
            **members,
        )

    return complete


@dataclass(frozen=True, slots=True)
class JsonOf:
    """In an `Annotated[dict[str, Any], …]`: JSON members that fit `model`, checked and kept as a plain dict.

    Members that the model does not name are kept (a newer release sends more); members that have a default may be
    missing (an older one sends less).
    """

    model: type[BaseModel]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return _members(self.model, handler)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(self.model.__pydantic_core_schema__)


def _members(model: type[BaseModel], handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
    members = {
        field.alias or name: _member(field, handler) for name, field in model.model_fields.items()
    }
    config = core_schema.CoreConfig(strict=True, extra_fields_behavior="allow")
    return core_schema.typed_dict_schema(members, config=config)


def _member(field: FieldInfo, handler: GetCoreSchemaHandler) -> core_schema.TypedDictField:
    schema = _nested(field.annotation, handler)
    if schema is None:
        annotation: Any = field.annotation
        if field.metadata:
            annotation = Annotated[(annotation, *field.metadata)]
        schema = handler.generate_schema(annotation)
    if field.is_required():
        return core_schema.typed_dict_field(schema)
    defaulted = core_schema.with_default_schema(schema, default=field.default)
    return core_schema.typed_dict_field(defaulted, required=False)


def _nested(annotation: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema | None:
    """A model in a model stays a plain dict too: alone, in a list, or where null may stand; None for anything else."""
    if isinstance(annotation, type) and issubclass(annotation, Answer):
        return _members(annotation, handler)
    arguments = get_args(annotation)
    inner = next((one for one in (_nested(a, handler) for a in arguments) if one), None)
    if inner is None:
        return None
    if get_origin(annotation) is list:
        return core_schema.list_schema(inner)
    if NoneType in arguments and len(arguments) == 2:
        return core_schema.nullable_schema(inner)
    raise TypeError(f"{annotation} is no model, list of models, or model or null")
