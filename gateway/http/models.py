"""The bases of every HTTP request model and the types of their fields.

Must stay true: a body is strict ("1", 1.0 and true are no integers) and refuses unknown members; a query ignores
unknown names and refuses bad values; no text holds NUL or other control characters; errors never repeat the input.
"""

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)
from pydantic.alias_generators import to_camel

from contracts.runtime.times import from_wire

LIMIT_MAX = 100
LIMIT_DEFAULT = 20
ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
SEVERAL_LINES = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"
_DIGITS = re.compile(r"[0-9]{1,19}")
_RFC3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)


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


class MemberError(ValueError):
    """Raised by a validator of a whole model: which member is wrong, and how."""

    def __init__(self, member: str, detail: str) -> None:
        super().__init__(detail)
        self.member = member


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


def _moment(value: str) -> str:
    if not _RFC3339.fullmatch(value):
        raise ValueError("is no RFC 3339 time with an offset, such as 2026-01-31T12:00:00Z")
    try:
        moment: datetime = from_wire(value.upper())
    except (ValueError, OverflowError):
        raise ValueError("is no moment of the calendar") from None
    if not 1970 <= moment.year <= 9998:
        raise ValueError("lies outside the years 1970 to 9998")
    return value.upper()


Line = Annotated[str, StringConstraints(pattern=ONE_LINE)]
"""One line of text without control characters; give it its length with `Field`."""
Prose = Annotated[str, StringConstraints(pattern=SEVERAL_LINES)]
"""Text that may have line breaks and tabs."""
QueryBool = Annotated[bool, BeforeValidator(_boolean)]
MomentText = Annotated[
    str,
    Field(max_length=40, json_schema_extra={"format": "date-time"}),
    AfterValidator(_moment),
]
"""An RFC 3339 time with any offset; `contracts.runtime.times.from_wire` reads it."""
# Bounds stand before the BeforeValidator, or OpenAPI does not show them.
Limit = Annotated[int, Field(ge=1, le=LIMIT_MAX), BeforeValidator(whole_number)]
Cursor = Annotated[Line, Field(min_length=1, max_length=512)]


class PageQuery(Query):
    """`?limit=&cursor=` of every list."""

    limit: Limit = LIMIT_DEFAULT
    cursor: Cursor | None = None
