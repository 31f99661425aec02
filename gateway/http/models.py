"""The bases of every HTTP request model and the types of their fields.

Must stay true: a body is strict ("1", 1.0 and true are no integers) and refuses unknown members; a query ignores
unknown names and refuses bad values; errors never repeat the input. The kinds of texts are those of `contracts.models`.
"""

import re
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
)
from pydantic.alias_generators import to_camel

from contracts.models import Line

LIMIT_MAX = 100
LIMIT_DEFAULT = 20
_DIGITS = re.compile(r"[0-9]{1,19}")


class Body(BaseModel):
    """Base of request bodies."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        alias_generator=to_camel,
        hide_input_in_errors=True,
        regex_engine="rust-regex",
    )


class Query(BaseModel):
    """Base of query models; values arrive as text."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, hide_input_in_errors=True
    )


class NoBody(Body):
    """A call that takes nothing: an empty body or `{}`."""


class NoQuery(Query):
    """A call whose query says nothing."""


def whole_number(value: Any) -> Any:
    """A query's digits as a number; what is none is an error, what is no text stays."""
    if isinstance(value, str):
        if not _DIGITS.fullmatch(value):
            raise ValueError("is not a whole number")
        return int(value)
    return value


def _boolean(value: Any) -> Any:
    if isinstance(value, str):
        if value not in ("true", "false"):
            raise ValueError("is neither true nor false")
        return value == "true"
    return value


QueryBool = Annotated[bool, BeforeValidator(_boolean)]
# Bounds stand before the BeforeValidator, or OpenAPI does not show them.
Limit = Annotated[int, Field(ge=1, le=LIMIT_MAX), BeforeValidator(whole_number)]
Cursor = Annotated[Line, Field(min_length=1, max_length=512)]


class PageQuery(Query):
    """`?limit=&cursor=` of every list."""

    limit: Limit = LIMIT_DEFAULT
    cursor: Cursor | None = None
