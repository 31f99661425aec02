"""What is wrong with a request, in sentences of ours: every error that pydantic may find in a request's model.

In: a ValidationError, and the body as it was sent. Out: `Refusal` (400) with one error for each wrong place.
Must stay true: a pointer names what is in the body, or the member that is missing there (RFC 6901), a `?name` what is
in the query; no sentence repeats what was sent, and none is pydantic's or a regular expression; each kind of error
that a request model can give has its sentence here (a test walks all models).
"""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from contracts.models import ONE_LINE, SEVERAL_LINES, MemberError
from gateway.http.problems import Refusal, invalid

ERRORS_MAX = 20
_ELSE = "is not what this call takes"

PATTERNS: dict[str, str] = {
    ONE_LINE: "holds a control character or a line break",
    SEVERAL_LINES: "holds a control character",
    r"^(0|[1-9][0-9]{0,15})(\.[0-9]{1,2})?$": "is no amount of money in a text, such as 49.90",
    r"^-?[0-9]{1,30}(\.[0-9]{1,30})?$": "is no decimal number in a text, such as 64000.50",
    r"^[A-Z]{3}$": "is no currency: three capital letters, such as USD",
    r"^[A-Z0-9]{2,16}$": "is no asset: 2 to 16 capital letters or digits, such as BTC",
    r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$": "is no UUID",
    r"^0[xX][0-9a-fA-F]{64}$": "is no transaction hash: 0x and 64 hexadecimal digits",
}
"""What a text is not, by the pattern that it does not match."""


def _entries(context: Mapping[str, Any], bound: str) -> str:
    number = context[bound]
    return f"{number} entr{'y' if number == 1 else 'ies'}"


def _characters(context: Mapping[str, Any], bound: str) -> str:
    number = context[bound]
    return f"{number} character{'s' * (number != 1)}"


SENTENCES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda _: "is missing",
    "extra_forbidden": lambda _: "is no member that this call knows",
    "model_type": lambda _: "must be an object",
    "dict_type": lambda _: "must be an object",
    "list_type": lambda _: "must be a list",
    "tuple_type": lambda _: "must be a list",
    "string_type": lambda _: "must be a text",
    "string_unicode": lambda _: "is no well-formed text",
    "int_type": lambda _: "must be a whole number",
    "int_parsing": lambda _: "must be a whole number",
    "int_parsing_size": lambda _: "is too large a number",
    "int_from_float": lambda _: "must be a whole number",
    "bool_type": lambda _: "must be true or false",
    "bool_parsing": lambda _: "must be true or false",
    "greater_than_equal": lambda context: f"must be at least {context['ge']}",
    "less_than_equal": lambda context: f"must be at most {context['le']}",
    "too_short": lambda context: f"must have at least {_entries(context, 'min_length')}",
    "too_long": lambda context: f"must have at most {_entries(context, 'max_length')}",
    "string_too_short": lambda context: f"must have at least {_characters(context, 'min_length')}",
    "string_too_long": lambda context: f"must have at most {_characters(context, 'max_length')}",
    "string_pattern_mismatch": lambda context: PATTERNS.get(context["pattern"], _ELSE),
    "literal_error": lambda context: "must be " + context["expected"].replace("'", ""),
    "value_error": lambda context: str(context["error"]),
    "json_invalid": lambda _: "is nested too deeply",
}
"""The sentence for each type of pydantic's errors, from the error's context."""


def bad_body(error: ValidationError, sent: Any) -> Refusal:
    """400 for a body; `sent` is its JSON value."""
    return _refusal("body", error, lambda item: _pointer(item, sent))


def bad_query(error: ValidationError) -> Refusal:
    """400 for a query."""
    return _refusal("query", error, lambda item: "?" + "".join(map(str, item["loc"][:1])))


def _refusal(where: str, error: ValidationError, place: Callable[[Any], str]) -> Refusal:
    """Of a place only the first error is told, and none of what holds it: a list that pydantic finds too short
    because it does not count its bad items, a reading that was not meant."""
    told: dict[str, str] = {}
    for item in error.errors(include_url=False, include_input=False):
        told.setdefault(place(item), _sentence(item["type"], item.get("ctx", {})))
    holders = {pointer[:at] for pointer in told for at, mark in enumerate(pointer) if mark == "/"}
    found = {pointer: said for pointer, said in told.items() if pointer not in holders}
    return invalid(f"The {where} does not fit this call.", *list(found.items())[:ERRORS_MAX])


def _sentence(type_: str, context: Mapping[str, Any]) -> str:
    say = SENTENCES.get(type_)
    return say(context) if say else _ELSE


def _pointer(item: Any, sent: Any) -> str:
    """Where it is in what was sent: pydantic's own path also names readings (of a union, a function)."""
    cause = item.get("ctx", {}).get("error")
    path = [*item["loc"], *((cause.member,) if isinstance(cause, MemberError) else ())]
    parts, at = [], sent
    for part in path:
        if (isinstance(at, dict) and part in at) or (
            isinstance(at, list) and isinstance(part, int) and part < len(at)
        ):
            at = at[part]
        elif item["type"] != "missing" or part is not path[-1]:
            continue
        parts.append(str(part)[:64])
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)
