"""What may be asked of the workers: one frozen model per command, its wire type and its queue's owner.

In: built by the gateway from a validated request. Out: the `data` of an envelope on `eventhub.commands`.
Must stay true: a type string never changes its meaning (a new meaning is a new version); each command carries its
caller and the fingerprint of the request that made it.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from contracts.catalogue import EventMembers, EventPatch, TicketTypeMembers, TicketTypePatch
from contracts.models import (
    Asset,
    GatePrincipal,
    Id,
    MomentText,
    Principal,
    Quantity,
    TxHash,
    Wire,
)
from contracts.sales import ITEMS_MAX
from contracts.tickets.codes import CODE_LENGTH_MAX
from contracts.tickets.names import HolderName
from contracts.tickets.scans import SCANS_MAX, DeviceId

Owner = Literal["inventory", "catalogue", "order", "payment", "quote", "admission"]
"""Whose queue. What is said of events and ticket types has one of its own, which inventory takes first: a pause or a
cancellation does not stand in line behind the orders that it is about."""


class Command(Wire):
    """Base of all commands. `fingerprint`: 32 hex digits over method, path and validated body."""

    TYPE: ClassVar[str]
    OWNER: ClassVar[Owner]

    principal: Principal
    fingerprint: str


class OrderItem(Wire):
    """So many tickets of one type."""

    ticket_type_id: Id
    quantity: Quantity


OrderItems = Annotated[tuple[OrderItem, ...], Field(min_length=1, max_length=ITEMS_MAX)]


class PlaceOrder(Command):
    """A new order: all items of one event, or none."""

    TYPE = "eventhub.order.place.v1"
    OWNER = "inventory"
    event_id: Id
    items: OrderItems


class AddItems(Command):
    """More items for an unpaid order of the same event."""

    TYPE = "eventhub.order.add_items.v1"
    OWNER = "inventory"
    event_id: Id
    order_id: Id
    items: OrderItems


class CancelOrder(Command):
    """End an unpaid order at the wish of its owner, its event's organizer or an admin."""

    TYPE = "eventhub.order.cancel.v1"
    OWNER = "order"
    order_id: Id


class CreateEvent(EventMembers, Command):
    """A new event of the caller's. Times are RFC 3339 texts."""

    TYPE = "eventhub.event.create.v1"
    OWNER = "catalogue"


class UpdateEvent(Command):
    """Merge patch (RFC 7396) of an event: `patch` holds only the members the client sent."""

    TYPE = "eventhub.event.update.v1"
    OWNER = "catalogue"
    event_id: Id
    patch: EventPatch
    if_match: str | None = None
    """The If-Match header as sent; only its version part counts."""

    def to_json(self) -> dict[str, Any]:
        """As of any command; what the client did not send stays away."""
        return {**super().to_json(), "patch": self.patch.sent()}


class CancelEvent(Command):
    """End an event that nobody has paid for; its unpaid orders are cancelled."""

    TYPE = "eventhub.event.cancel.v1"
    OWNER = "catalogue"
    event_id: Id


class CreateTicketType(TicketTypeMembers, Command):
    """A new kind of ticket for an event."""

    TYPE = "eventhub.ticket_type.create.v1"
    OWNER = "catalogue"
    event_id: Id


class UpdateTicketType(Command):
    """Merge patch (RFC 7396) of a ticket type."""

    TYPE = "eventhub.ticket_type.update.v1"
    OWNER = "catalogue"
    event_id: Id
    ticket_type_id: Id
    patch: TicketTypePatch
    if_match: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As of any command; what the client did not send stays away."""
        return {**super().to_json(), "patch": self.patch.sent()}


class DeleteTicketType(Command):
    """Remove a ticket type that no live order names."""

    TYPE = "eventhub.ticket_type.delete.v1"
    OWNER = "catalogue"
    event_id: Id
    ticket_type_id: Id
    if_match: str | None = None


class CreateQuote(Command):
    """Price an unpaid order in an asset, or give the quote that still stands."""

    TYPE = "eventhub.payment.quote.v1"
    OWNER = "payment"
    order_id: Id
    asset: Asset


class ConfirmPayment(Command):
    """The buyer shows the transaction that paid a quote."""

    TYPE = "eventhub.payment.confirm.v1"
    OWNER = "payment"
    payment_id: Id
    tx_hash: TxHash


class PublishRate(Command):
    """A provider reports what one unit of an asset costs. `rate`: decimal text."""

    TYPE = "eventhub.rate.publish.v1"
    OWNER = "quote"
    asset: str
    currency: str
    rate: str
    observed_at: str


class AcceptRate(Command):
    """An admin takes a quarantined rate after all."""

    TYPE = "eventhub.rate.accept.v1"
    OWNER = "quote"
    quarantine_id: Id


class TransferTicket(Command):
    """A ticket's holder gives it to another account; codes of before are void."""

    TYPE = "eventhub.ticket.transfer.v1"
    OWNER = "order"
    ticket_id: Id
    to_user_id: Id


class RenameHolder(Command):
    """A ticket's holder writes another name on it, or none."""

    TYPE = "eventhub.ticket.rename.v1"
    OWNER = "order"
    ticket_id: Id
    holder_name: HolderName | None


class Scan(Wire):
    """One code that a gate has seen. `offline`: it has been let in already."""

    id: DeviceId
    code: Annotated[str, Field(max_length=CODE_LENGTH_MAX)]
    scanned_at: MomentText
    offline: bool = False


class RecordScans(Command):
    """What a gate has scanned: to be ruled on, and kept."""

    TYPE = "eventhub.scan.record.v1"
    OWNER = "admission"
    principal: GatePrincipal
    scans: Annotated[tuple[Scan, ...], Field(min_length=1, max_length=SCANS_MAX)]


COMMANDS: dict[str, type[Command]] = {
    model.TYPE: model
    for model in (
        PlaceOrder,
        AddItems,
        CancelOrder,
        CreateEvent,
        UpdateEvent,
        CancelEvent,
        CreateTicketType,
        UpdateTicketType,
        DeleteTicketType,
        CreateQuote,
        ConfirmPayment,
        PublishRate,
        AcceptRate,
        TransferTicket,
        RenameHolder,
        RecordScans,
    )
}

KINDS: dict[str, int] = {type_: number for number, type_ in enumerate(COMMANDS, start=1)}
"""Wire type -> its number in command ids. COMMANDS only grows at its end: ids outlive a release."""


def type_of_kind(kind: int) -> str:
    """The wire type of a command id's kind; `unknown` for a number that a newer release gave."""
    return next((type_ for type_, number in KINDS.items() if number == kind), "unknown")
