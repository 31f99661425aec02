"""What may be said of an event and of a ticket type: members and limits, for the gateway's requests and the commands.

In: JSON members, as a client sent them or as a command carries them. Out: frozen models.
Must stay true: no member that is the server's to set (id, owner, status, version, available) exists here; a patch holds
only what was sent (RFC 7396), so `model_fields_set` is its meaning, and null stands for the default of a new one.
"""

from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from contracts.models import Amount, Currency, Line, MomentText, Prose
from contracts.runtime.times import from_wire

NAME_MAX: Final = 200
DESCRIPTION_MAX: Final = 10_000
PRICE_WHOLE_DIGITS_MAX: Final = 9
QUOTA_MAX: Final = 10_000_000
PER_ORDER_MAX: Final = 1_000_000
PER_ORDER_DEFAULT: Final = 10
TYPES_MAX: Final = 200
"""Ticket types of one event: EventChanged and EventCancelled carry them all and must fit a message (512 KiB)."""


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


def _in_order(first: str | None, second: str | None, what: str) -> None:
    if first is not None and second is not None and from_wire(first) >= from_wire(second):
        raise ValueError(what)


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
NewQuota = Annotated[int, Field(strict=True, ge=1, le=QUOTA_MAX, examples=[100])]
Quota = Annotated[int, Field(strict=True, ge=0, le=QUOTA_MAX, examples=[100])]
PerOrder = Annotated[int, Field(strict=True, ge=1, le=PER_ORDER_MAX, examples=[10])]


class Members(BaseModel):
    """Base of what is said of a new event or ticket type."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel)


class EventMembers(Members):
    """A new event."""

    name: Name
    description: Description | None = None
    venue: Venue | None = None
    start_time: Starts
    end_time: Ends

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> Self:
        _in_order(self.start_time, self.end_time, "endTime is not after startTime")
        return self


class TicketTypeMembers(Members):
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
        _in_order(self.sales_start, self.sales_end, "salesEnd is not after salesStart")
        return self


def _all_may_be_missing(schema: dict[str, Any]) -> None:
    schema.pop("required", None)
    for member in schema["properties"].values():
        member.pop("default", None)


class Patch(BaseModel):
    """Base of merge patches: what is not sent stays, so that a default is none of a member's value.

    Unknown members are refused on queues as well: who leaves one out would say that the change was made.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        json_schema_extra=_all_may_be_missing,
    )

    def sent(self) -> dict[str, Any]:
        """The members that were sent, as JSON."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def values(self, new: type[Members]) -> dict[str, Any]:
        """The members that were sent, by field name; for null the default that `new` gives them."""
        values = {name: getattr(self, name) for name in self.model_fields_set}
        return {
            name: new.model_fields[name].default if value is None else value
            for name, value in values.items()
        }


class EventPatch(Patch):
    """A merge patch: only what is sent changes; null removes a description or a venue."""

    name: Name = ""
    description: Description | None = None
    venue: Venue | None = None
    start_time: Starts = ""
    end_time: Ends = ""


class TicketTypePatch(Patch):
    """A merge patch: only what is sent changes; null removes a border of the sales window, and
    gives currency and maxPerOrder their defaults back."""

    name: Name = ""
    price: Price = ""
    currency: CurrencyCode | None = None
    quota: Quota = 0
    max_per_order: PerOrder | None = None
    sales_start: Starts | None = None
    sales_end: Ends | None = None
