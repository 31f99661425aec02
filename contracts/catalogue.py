"""What may be said of an event and of a ticket type: members and limits, for the gateway's requests and the commands.

In: JSON members, as a client sent them or as a command carries them. Out: frozen models.
Must stay true: no member that is the server's to set (id, owner, status, version, available) exists here; a patch holds
only what was sent (RFC 7396), so `model_fields_set` is its meaning, and null stands for the default of a new one.
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic.alias_generators import to_camel

from contracts.models import Amount, Currency, Line, MemberError, MomentText, Prose
from contracts.runtime.times import from_wire
from contracts.standards.text import composed, readable
from contracts.standards.time_zones import zone_names

NAME_MAX: Final = 200
DESCRIPTION_MAX: Final = 10_000
PRICE_WHOLE_DIGITS_MAX: Final = 9
QUOTA_MAX: Final = 10_000_000
PER_ORDER_MAX: Final = 1_000_000
PER_ORDER_DEFAULT: Final = 10
TYPES_MAX: Final = 200
"""Ticket types of one event: EventChanged and EventCancelled carry them all and must fit a message (512 KiB)."""


def _readable_or_empty(value: str) -> str:
    return readable(value) if value else value


def _known_zone(value: str) -> str:
    if value not in zone_names():
        raise ValueError("is no IANA time zone, such as Europe/Berlin")
    return value


def _price(value: str) -> str:
    if len(value.partition(".")[0]) > PRICE_WHOLE_DIGITS_MAX:
        raise ValueError("is over 999999999.99")
    return value


def _in_order(first: str | None, second: str | None, names: tuple[str, str]) -> None:
    if first is not None and second is not None and from_wire(first) >= from_wire(second):
        raise MemberError(names[1], f"is not after {names[0]}")


# Bounds stand before the BeforeValidator: they count what it gives, and OpenAPI shows them.
Name = Annotated[
    Line,
    Field(min_length=1, max_length=NAME_MAX, examples=["Summer Night"]),
    BeforeValidator(composed),
    AfterValidator(readable),
]
Description = Annotated[Prose, Field(max_length=DESCRIPTION_MAX)]
Venue = Annotated[
    Line,
    Field(max_length=NAME_MAX, examples=["Town Hall"]),
    BeforeValidator(composed),
    AfterValidator(_readable_or_empty),
]
TimeZone = Annotated[
    str, Field(max_length=64, examples=["Europe/Berlin"]), AfterValidator(_known_zone)
]
OpenStatus = Literal["PUBLISHED", "DRAFT"]
"""What an organizer can say of an event that is not over for good."""
Pause = Annotated[bool, Field(strict=True)]
Starts = Annotated[MomentText, Field(examples=["2030-06-01T18:00:00Z"])]
Ends = Annotated[MomentText, Field(examples=["2030-06-01T23:00:00Z"])]
SaleStarts = Annotated[MomentText, Field(examples=["2029-11-01T09:00:00Z"])]
SaleEnds = Annotated[MomentText, Field(examples=["2029-12-31T23:00:00Z"])]
RefundUntil = Annotated[MomentText, Field(examples=["2029-12-25T23:00:00Z"])]
Price = Annotated[Amount, AfterValidator(_price), Field(examples=["49.90"])]
CurrencyCode = Annotated[Currency, Field(examples=["USD"])]
NewQuota = Annotated[int, Field(strict=True, ge=1, le=QUOTA_MAX, examples=[100])]
Quota = Annotated[int, Field(strict=True, ge=0, le=QUOTA_MAX, examples=[100])]
PerOrder = Annotated[int, Field(strict=True, ge=1, le=PER_ORDER_MAX, examples=[10])]


class Members(BaseModel):
    """Base of what is said of a new event or ticket type."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel)


class EventMembers(Members):
    """A new event. A DRAFT is seen by its organizer and admins alone; refundUntil null: buyers cannot refund."""

    name: Name
    description: Description | None = None
    venue: Venue | None = None
    start_time: Starts
    end_time: Ends
    timezone: TimeZone = "UTC"
    status: OpenStatus = "PUBLISHED"
    refund_until: RefundUntil | None = None

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> Self:
        _in_order(self.start_time, self.end_time, ("startTime", "endTime"))
        return self


class TicketTypeMembers(Members):
    """A new kind of ticket. salesStart null: at once; salesEnd null: until the event ends."""

    name: Name
    price: Price
    currency: CurrencyCode = "USD"
    quota: NewQuota
    max_per_order: PerOrder = PER_ORDER_DEFAULT
    max_per_user: PerOrder | None = None
    sales_start: SaleStarts | None = None
    sales_end: SaleEnds | None = None

    @model_validator(mode="after")
    def _window_opens_before_it_closes(self) -> Self:
        _in_order(self.sales_start, self.sales_end, ("salesStart", "salesEnd"))
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
    """A merge patch: only what is sent changes; null removes a description, a venue or refundUntil, and makes the time
    zone UTC."""

    name: Name = ""
    description: Description | None = None
    venue: Venue | None = None
    start_time: Starts = ""
    end_time: Ends = ""
    timezone: TimeZone | None = None
    status: OpenStatus = "PUBLISHED"
    sales_paused: Pause = False
    refund_until: RefundUntil | None = None


class TicketTypePatch(Patch):
    """A merge patch: only what is sent changes; null removes maxPerUser or a border of the sales window, and
    gives currency and maxPerOrder their defaults back."""

    name: Name = ""
    price: Price = ""
    currency: CurrencyCode | None = None
    quota: Quota = 0
    max_per_order: PerOrder | None = None
    max_per_user: PerOrder | None = None
    sales_start: SaleStarts | None = None
    sales_end: SaleEnds | None = None
