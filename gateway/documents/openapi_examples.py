"""An example for any schema of ours: what the model's author gave, what the examples' story says, else the
plainest value that fits.

In: a JSON Schema and the components it refers to. Out: a plain value.
Must stay true: the value validates against the schema (a test checks each one in the document).
"""

from collections.abc import Mapping
from typing import Any

from gateway.documents.openapi_story import BY_MEMBER, STORY

Schema = Mapping[str, Any]

_BY_FORMAT = {
    "date-time": "2030-01-01T18:00:00.000000Z",
    "email": "ada@example.com",
    "uri": "https://example.com/hooks",
    "uri-reference": "/api/orders/17",
}
_BY_PATTERN = {
    r"^\d{1,16}\.\d{2}$": "49.90",
    r"^(0|[1-9][0-9]{0,15})(\.[0-9]{1,2})?$": "49.90",
    r"^[A-Z]{3}$": "USD",
    r"^[A-Z0-9]{2,16}$": "BTC",
    r"^0[xX][0-9a-fA-F]{64}$": "0x" + "ab" * 32,
}


def example_of(schema: Schema, components: Mapping[str, Schema]) -> Any:
    """A value that fits `schema`."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        example = example_of(components[name], components)
        return _told(example, STORY.get(name, {}), components)
    for given in ("example", "const", "default"):
        if schema.get(given) is not None:
            return schema[given]
    for several in ("examples", "enum"):
        if schema.get(several):
            return schema[several][0]
    for combined in ("anyOf", "oneOf", "allOf"):
        if combined in schema:
            return example_of(schema[combined][0], components)
    return _by_type(schema, components)


def _told(example: Any, story: Mapping[str, Any], components: Mapping[str, Schema]) -> Any:
    """The example with what the story says of the members that it has."""
    if not isinstance(example, dict):
        return example
    told = {name: value for name, value in {**BY_MEMBER, **story}.items() if name in example}
    for name, value in told.items():
        if isinstance(value, dict) and "$ref" in value:
            told[name] = example_of(value, components)
    return example | told


def _by_type(schema: Schema, components: Mapping[str, Schema]) -> Any:
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        required = schema.get("required", ())
        return {
            name: example_of(one, components)
            for name, one in schema.get("properties", {}).items()
            if name in required or _is_told(one)
        }
    if kind == "array":
        return [example_of(schema["items"], components)] if schema.get("items") else []
    if kind == "string":
        return _text(schema)
    if kind in ("integer", "number"):
        return max(1, schema.get("minimum", 1)) if schema.get("maximum", 1) >= 1 else 0
    return {"boolean": True, "null": None}.get(kind or "")


def _is_told(schema: Schema) -> bool:
    """Whether somebody gave an example: what may be left out is left out otherwise."""
    if schema.get("default") is not None or schema.get("examples"):
        return True
    return any(_is_told(one) for one in schema.get("anyOf", ()))


def _text(schema: Schema) -> str:
    if (found := _BY_FORMAT.get(schema.get("format", ""))) is not None:
        return found
    if (found := _BY_PATTERN.get(schema.get("pattern", ""))) is not None:
        return found
    text = "text"
    return text.ljust(int(schema.get("minLength", 0)), "x")[: schema.get("maxLength", 64)]
