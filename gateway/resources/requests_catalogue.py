"""Bodies and queries of events and ticket types.

Must stay true: no member that is the server's to set (id, owner, status, version, available) exists
here; a patch holds only what the client sent (RFC 7396), so `exclude_unset` is its meaning.
"""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from contracts.models import Amount, Currency
from contracts.runtime.times import from_wire
from gateway.http.models import (
    Body,
    Line,
    MemberError,
    MomentText,
    PageQuery,
    Prose,
    QueryBool,
)

NAME_MAX = 200
DESCRIPTION_MAX = 10_000
WORDS_MAX = 100
PRICE_WHOLE_DIGITS_MAX = 9
QUOTA_MAX = 10_000_000
PER_ORDER_MAX = 1_000_000
PER_ORDER_DEFAULT = 10


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("is blank")
    return value


def _price(value: str) -> str:
    whole, _, cents = value.partition(".")
    if len(whole) > PRICE_WHOLE_DIGITS_MAX:
        raise ValueError("is over 999999999.99")
    if not (whole + cents).strip("0"):
        raise ValueError("is under 0.01")
    return value


Name = Annotated[
    Line,
    Field(min_length=1, max_length=NAME_MAX, examples=["Summer Night"]),
    AfterValidator(_not_blank),
]
Description = Annotated[Prose, Field(max_length=DESCRIPTION_MAX)]
Venue = Annotated[Line, Field(max_length=NAME_MAX, examples=["Town Hall"])]
Starts = Annotated[MomentText, Field(examples=["2030-06-01T18:00:00Z"])]
Ends = Annotated[MomentText, Field(examples=["2030-06-01T23:00:00Z"])]
Price = Annotated[Amount, AfterValidator(_price), Field(examples=["49.90"])]
CurrencyCode = Annotated[Currency, Field(examples=["USD"])]
NewQuota = Annotated[int, Field(ge=1, le=QUOTA_MAX, examples=[100])]
Quota = Annotated[int, Field(ge=0, le=QUOTA_MAX, examples=[100])]
PerOrder = Annotated[int, Field(ge=1, le=PER_ORDER_MAX, examples=[10])]


def _in_order(first: str | None, second: str | None, names: tuple[str, str]) -> None:
    if first is not None and second is not None and from_wire(first) >= from_wire(second):
        raise MemberError(names[1], f"is not after {names[0]}")


class CreateEventBody(Body):
    """A new event."""

    name: Name
    description: Description | None = None
    venue: Venue | None = None
    start_time: Starts
    end_time: Ends

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> Self:
        _in_order(self.start_time, self.end_time, ("startTime", "endTime"))
        return self


def _no_defaults(schema: dict[str, Any]) -> None:
    for member in schema["properties"].values():
        member.pop("default", None)


class Patch(Body):
    """Base of merge patches: what is not sent stays, so that a default is none of a member's value."""

    model_config = ConfigDict(json_schema_extra=_no_defaults)


class UpdateEventBody(Patch):
    """A merge patch: only what is sent changes; null removes a description or a venue."""

    name: Name = ""
    description: Description | None = None
    venue: Venue | None = None
    start_time: Starts = ""
    end_time: Ends = ""


class CreateTicketTypeBody(Body):
    """A new kind of ticket. salesStart null: at once; salesEnd null: until the event ends."""

    name: Name
    price: Price
    currency: CurrencyCode = "USD"
    quota: NewQuota
    max_per_order: PerOrder = PER_ORDER_DEFAULT
    sales_start: Starts | None = None
    sales_end: Ends | None = None

    @model_validator(mode="after")
    def _window_opens_before_it_closes(self) -> Self:
        _in_order(self.sales_start, self.sales_end, ("salesStart", "salesEnd"))
        return self


class UpdateTicketTypeBody(Patch):
    """A merge patch: only what is sent changes; null removes a border of the sales window, and
    gives currency and maxPerOrder their defaults back."""

    name: Name = ""
    price: Price = ""
    currency: CurrencyCode | None = None
    quota: Quota = 0
    max_per_order: PerOrder | None = None
    sales_start: Starts | None = None
    sales_end: Ends | None = None


class EventsQuery(PageQuery):
    """`?q=&from=&to=&mine=&limit=&cursor=`; from and to are about startTime, both included."""

    q: Annotated[Line | None, Field(max_length=WORDS_MAX)] = None
    from_: Annotated[MomentText | None, Field(alias="from")] = None
    to: MomentText | None = None
    mine: QueryBool = False
