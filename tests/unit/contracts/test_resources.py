"""The JSON of events, ticket types, orders and payments is that of the contract, to the letter."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from contracts.resources import (
    EventRow,
    OrderDetailRow,
    OrderRow,
    PaymentRow,
    ReceiptRow,
    TicketTypeRow,
    event_etag,
    event_resource,
    order_resource,
    payment_resource,
    ticket_type_etag,
    ticket_type_resource,
)

AT = datetime(2026, 5, 1, 12, 0, 0, 5, tzinfo=UTC)
WIRE = "2026-05-01T12:00:00.000005Z"
EVENT = EventRow(3, 7, "Gig", None, "Hall", AT, AT, "PUBLISHED", 2, AT, AT)
ORDER = OrderRow(9, 5, 3, "PENDING_PAYMENT", Decimal("30.50"), "USD", AT, 1, AT, AT)


def ticket_type(type_id: int, version: int) -> TicketTypeRow:
    price = Decimal("49.9")
    return TicketTypeRow(type_id, 3, "Floor", price, "USD", 100, 40, 10, None, AT, version, AT, AT)


def test_a_ticket_type_shows_its_price_as_text_and_an_open_sales_start_as_null() -> None:
    """Every member of the contract, two decimals, null where there is no window."""
    assert ticket_type_resource(ticket_type(1, 4)) == {
        "id": 1,
        "eventId": 3,
        "name": "Floor",
        "price": "49.90",
        "currency": "USD",
        "quota": 100,
        "available": 40,
        "maxPerOrder": 10,
        "salesStart": None,
        "salesEnd": WIRE,
        "version": 4,
        "createdAt": WIRE,
        "updatedAt": WIRE,
        "maxPerUser": None,
    }
    assert ticket_type_etag(ticket_type_resource(ticket_type(1, 4))) == '"v4.4"'


def test_an_event_lists_its_ticket_types_by_id_and_its_etag_sums_their_versions() -> None:
    """`v<version>.<stock>`: any sale changes the second number only."""
    event = event_resource(EVENT, [ticket_type(2, 5), ticket_type(1, 4)])
    assert [one["id"] for one in event["ticketTypes"]] == [1, 2]
    assert {key: event[key] for key in ("organizerId", "description", "venue", "startTime")} == {
        "organizerId": 7,
        "description": None,
        "venue": "Hall",
        "startTime": WIRE,
    }
    assert event_etag(event) == '"v2.9"'
    assert event_etag(event_resource(EVENT, [])) == '"v2.0"'


def test_details_of_one_type_and_price_are_one_line_and_a_new_price_is_its_own() -> None:
    """Rows are per command; clients see (type, unit price) summed, in a stable order."""
    rows = [
        OrderDetailRow(2, 1, Decimal("10.00")),
        OrderDetailRow(1, 2, Decimal("5.00")),
        OrderDetailRow(1, 1, Decimal("5.00")),
        OrderDetailRow(1, 1, Decimal("5.50")),
    ]
    order = order_resource(ORDER, rows)
    assert order["details"] == [
        {
            "ticketTypeId": 1,
            "ticketTypeName": "",
            "quantity": 3,
            "unitPrice": "5.00",
            "cost": "15.00",
        },
        {
            "ticketTypeId": 1,
            "ticketTypeName": "",
            "quantity": 1,
            "unitPrice": "5.50",
            "cost": "5.50",
        },
        {
            "ticketTypeId": 2,
            "ticketTypeName": "",
            "quantity": 1,
            "unitPrice": "10.00",
            "cost": "10.00",
        },
    ]
    assert order["totalCost"] == "30.50"
    assert order == order_resource(ORDER, reversed(rows))


def test_an_order_tells_names_and_an_older_one_wins_within_a_line() -> None:
    """A type that was renamed between two commands of one order is one line, called as it was first."""
    rows = [
        OrderDetailRow(1, 2, Decimal("5.00"), ticket_type_name="Early"),
        OrderDetailRow(1, 1, Decimal("5.00"), 2, ticket_type_name="Floor"),
        OrderDetailRow(1, 1, Decimal("5.50"), 3, ticket_type_name="Floor"),
    ]
    order = order_resource(replace(ORDER, event_name="Gig"), rows)
    assert order["eventName"] == "Gig"
    assert [(one["ticketTypeName"], one["quantity"]) for one in order["details"]] == [
        ("Early", 3),
        ("Floor", 1),
    ]


def test_crypto_amounts_keep_all_their_digits() -> None:
    """DECIMAL(38,18) has more digits than Python's decimal context; none may be lost."""
    amount = Decimal("12345678901234567890.123456789012345678")
    row = PaymentRow(1, 9, "BTC", Decimal("0.1"), amount, None, "PENDING", AT, "fake", AT, AT, AT)
    payment = payment_resource(row, ())
    assert payment["amountCrypto"] == "12345678901234567890.123456789012345678"
    assert payment["quoteRate"] == "0.10000000"
    assert (payment["txHash"], payment["receipts"]) == (None, [])
    tiny = PaymentRow(
        1, 9, "BTC", Decimal("1E+9"), Decimal("1E-18"), None, "PENDING", AT, "f", AT, AT, AT
    )
    assert payment_resource(tiny, ())["amountCrypto"] == "0.000000000000000001"
    assert payment_resource(tiny, ())["quoteRate"] == "1000000000.00000000"


def test_a_payment_lists_every_hash_that_was_shown_the_first_one_first() -> None:
    """The applied one and the late ones, each with its time; no refund of any of them yet."""
    shown = [ReceiptRow("0xb", "LATE", AT.replace(second=1)), ReceiptRow("0xa", "APPLIED", AT)]
    rate = Decimal("0.1")
    row = PaymentRow(1, 9, "BTC", rate, rate, "0xa", "CONFIRMED", AT, "fake", AT, AT, AT)
    assert payment_resource(row, shown)["receipts"] == [
        {"txHash": "0xa", "status": "APPLIED", "receivedAt": WIRE, "refundId": None},
        {
            "txHash": "0xb",
            "status": "LATE",
            "receivedAt": "2026-05-01T12:00:01.000005Z",
            "refundId": None,
        },
    ]
