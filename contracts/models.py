"""What every model on a wire shares: frozen, strict, camelCase outside and snake_case inside; and the kinds of values.

Must stay true: no text holds NUL or other control characters; a time has an offset and lies in a sane year.
`Wire` models travel on queues and ignore fields they do not know, so that an old worker survives a new
gateway; HTTP request models (`gateway`) refuse them.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic.alias_generators import to_camel

from contracts.runtime.times import from_wire

Id = Annotated[int, Field(strict=True, ge=1, le=2**63 - 1)]
Quantity = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
Amount = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,15})(\.[0-9]{1,2})?$")]
"""Money on a wire: a decimal text with at most two decimals, never a JSON number."""
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Asset = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{2,16}$")]
TxHash = Annotated[str, StringConstraints(pattern=r"^0[xX][0-9a-fA-F]{64}$")]
RoleName = Literal["ADMIN", "ORGANIZER", "USER", "PROVIDER"]

ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
SEVERAL_LINES = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"
_RFC3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)


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
MomentText = Annotated[
    str,
    Field(max_length=40),
    AfterValidator(_moment),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""An RFC 3339 time with any offset; `contracts.runtime.times.from_wire` reads it."""


class MemberError(ValueError):
    """Raised by a validator of a whole model: which member is wrong, and how."""

    def __init__(self, member: str, detail: str) -> None:
        super().__init__(detail)
        self.member = member


class Wire(BaseModel):
    """Base of the models that travel on queues."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True
    )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values under camelCase names."""
        return self.model_dump(mode="json", by_alias=True)


class Principal(Wire):
    """Who asks: checked by the gateway, checked again by the worker."""

    user_id: Id
    roles: tuple[RoleName, ...] = ()

    def has(self, roles: Iterable[str]) -> bool:
        """Whether any of `roles` is held (roles add up, none implies another)."""
        return not set(roles).isdisjoint(self.roles)

    @property
    def caller(self) -> int:
        """Who asks, over all kinds of callers: whose commands, keys and limits these are."""
        return self.user_id


NOBODY = 2**63 - 1
"""No account has this id: whatever asks for an owner says no."""


class GatePrincipal(Principal):
    """A device at the door of an event: no account, no roles, and a number of its own among callers."""

    user_id: Id = NOBODY
    gate_id: Id
    event_id: Id

    @property
    def caller(self) -> int:
        """Negative, so that a gate is never an account of the same number."""
        return -self.gate_id
