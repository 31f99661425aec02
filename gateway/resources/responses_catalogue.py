"""Models of events and ticket types as the gateway shows them, for OpenAPI and its tests."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.http.responses import (
    IdNumber,
    Moment,
    Money,
    ResponseModel,
)

Count = Annotated[int, Field(ge=0)]


class TicketType(ResponseModel):
    """A kind of ticket. `version` moves with every sale, too."""

    id: IdNumber
    event_id: IdNumber
    name: str
    price: Money
    currency: str
    quota: Count
    available: Count
    max_per_order: Annotated[int, Field(ge=1)]
    sales_start: Moment | None
    sales_end: Moment | None
    version: IdNumber
    created_at: Moment
    updated_at: Moment


class EventResource(ResponseModel):
    """An event with its ticket types."""

    id: IdNumber
    organizer_id: IdNumber
    name: str
    description: str | None
    venue: str | None
    start_time: Moment
    end_time: Moment
    status: Literal["PUBLISHED", "CANCELLED"]
    version: IdNumber
    created_at: Moment
    updated_at: Moment
    ticket_types: list[TicketType]


class EventPage(ResponseModel):
    """A page of events."""

    data: list[EventResource]
    next_cursor: str | None
    has_more: bool


class TypeSalesResource(ResponseModel):
    """What became of a ticket type's tickets; the rest of the quota is on its way back."""

    id: IdNumber
    quota: Count
    available: Count
    held: Count
    sold: Count
    revenue: Money


class Sales(ResponseModel):
    """An event's sales."""

    ticket_types: list[TypeSalesResource]
