"""What an order looks like on every wire: the bytes that the floors are measured with.

In: nothing. Out: request and answer, command and event, as the processes really send them.
Must stay true: made by the same code and models as the real ones, so that a wire that grows moves its floor with it.
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import orjson

from contracts.command_ids import CommandId, CommandIds
from contracts.commands import OrderItem, PlaceOrder
from contracts.events import OrderPlaced
from contracts.messaging.envelope import Codec, Envelope, new_event_id
from contracts.models import Principal
from contracts.outcomes import Outcome
from contracts.resources import OrderDetailRow, OrderRow, order_resource

REQUEST_BODY = b'{"items":[{"ticketTypeId":12345,"quantity":1}]}'
_NOW = datetime(2030, 1, 1, 12, 0, 0, 123456, UTC)


@dataclass(frozen=True, slots=True)
class Samples:
    """One order's bytes."""

    answer_body: bytes
    answer_headers: dict[str, str]
    command: bytes
    event: bytes
    outcome: Outcome


def samples() -> Samples:
    """The bytes of one accepted order."""
    secret = secrets.token_urlsafe(32)
    codec, ids = Codec(secret), CommandIds(secret)
    row = OrderRow(
        1234567, 12345, 1234, "PENDING_PAYMENT", Decimal("49.90"), "USD",
        _NOW + timedelta(minutes=15), 1, _NOW, _NOW,
    )  # fmt: skip
    order = order_resource(row, [OrderDetailRow(12345, 1, Decimal("49.90"))])
    command_id = CommandId(ids.fresh(), _NOW)
    sealed, request_id = ids.seal(command_id, 12345), secrets.token_hex(16)
    return Samples(
        answer_body=orjson.dumps(order),
        answer_headers=_headers(sealed, request_id),
        command=codec.encode(_command(sealed, request_id)),
        event=codec.encode(_event(order, sealed, request_id)),
        outcome=Outcome(
            command_id.uuid, 12345, PlaceOrder.TYPE, "0" * 32, 201, None, "/api/orders/1234567",
            request_id, orjson.dumps(order), _NOW, _NOW,
        ),
    )  # fmt: skip


def _headers(command_id: str, request_id: str) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "Location": "/api/orders/1234567",
        "Preference-Applied": "wait=10",
        "X-Command-Id": command_id,
        "X-Request-Id": request_id,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Cache-Control": "no-store",
    }


def _command(command_id: str, request_id: str) -> Envelope:
    place = PlaceOrder(
        principal=Principal(user_id=12345, roles=("USER",)),
        fingerprint="0" * 32,
        event_id=1234,
        items=(OrderItem(ticket_type_id=12345, quantity=1),),
    )
    return Envelope(
        id=command_id,
        type=PlaceOrder.TYPE,
        source="/eventhub/gateway",
        time=_NOW,
        data=place.to_json(),
        correlationid=request_id,
        expirytime=_NOW + timedelta(seconds=60),
        partitionkey="event:1234",
        replyto="gateway-1-0123456789ab",
    )


def _event(order: dict[str, object], command_id: str, request_id: str) -> Envelope:
    return Envelope(
        id=new_event_id(),
        type=OrderPlaced.TYPE,
        source="/eventhub/inventory",
        time=_NOW,
        data=OrderPlaced(order=order, organizer_id=123).to_json(),
        subject="order:1234567",
        correlationid=request_id,
        causationid=command_id,
        sequence="1",
        partitionkey="order:1234567",
    )
