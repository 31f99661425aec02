"""The examples' story: one event, one order of it, its payment, so that the examples of all calls fit together.

Ada (5) orders two stalls tickets of Bob's (2) Summer Night (7), pays in BTC at the rate of the day and is told by her
webhook (3); her first ticket (31) is scanned at Bob's gate (4). Must stay true: what belongs together agrees
(2 x 49.90 = 99.80 = amountCrypto x quoteRate, rounded up); a member that a model does not have is left out; what stands
nowhere here gets the plainest value that fits.
"""

from typing import Any

COMMAND_ID = "QJx0pO3kTTSmBMmZ5Qk7rgAGQvxs0i8AkU1o0JZr6r0Rkq3sTtJ8Ug"
EVENTS_URL = f"/api/commands/{COMMAND_ID}/events?token=AAAAAAAAAAUBzY0AqMzZkKcW1r9cJ3v0h7Qx2g"
_WHEN, _EXPIRES = "2030-01-01T18:00:00.000000Z", "2030-01-01T18:15:00.000000Z"
_LATER = "2030-01-01T18:02:00.000000Z"
_PENDING = {
    "id": COMMAND_ID,
    "status": "PENDING",
    "decidedAt": None,
    "statusCode": None,
    "result": None,
    "problem": None,
    "eventsUrl": EVENTS_URL,
}
_REPORT = {
    "asset": "BTC",
    "currency": "USD",
    "rate": "91000.00",
    "observedAt": _WHEN,
    "source": "provider:acme",
    "reason": "OUT_OF_BAND",
    "detail": "more than 20 % from 64000.50000000 of coingecko",
    "status": "QUARANTINED",
    "acceptedBy": None,
}
_WEBHOOK = {
    "id": 3,
    "url": "https://example.com/hooks",
    "eventTypes": ["order.confirmed", "payment.late"],
    "status": "ACTIVE",
    "disabledReason": None,
}
_DELIVERY = {
    "id": 40,
    "eventId": "6f9ba6b8-5a3e-4c52-9a51-5c8b5e3a1f02",
    "eventType": "order.confirmed",
    "status": "DELIVERED",
    "attempts": 1,
    "lastStatusCode": 204,
    "lastError": None,
    "nextAttemptAt": None,
    "deliveredAt": _WHEN,
}

_EVENT = {
    "id": 7,
    "organizerId": 2,
    "name": "Summer Night",
    "venue": "Town Hall",
    "startTime": "2030-06-01T18:00:00.000000Z",
    "endTime": "2030-06-01T23:00:00.000000Z",
}
_TICKET = {
    "id": 31,
    "orderId": 17,
    "eventId": 7,
    "ticketTypeId": 12,
    "number": 1,
    "holderId": 5,
    "holderName": "Ada Lovelace",
    "status": "VALID",
    "version": 1,
    "usedAt": None,
}
_CODE = "eyJhbGciOiJFZERTQSIsImtpZCI6IlptOXZZbUZ5IiwidHlwIjoidGlja2V0K2p3dCJ9.eyJ0aWQiOjMxfQ.c2lnbmF0dXJl"
_GATE = {"id": 4, "eventId": 7, "name": "North entrance", "lastSeenAt": None, "revokedAt": None}
_SCAN = "0b8e0f5c-6a30-4f0f-9a55-0d2a4d3b6f10"
_CONFLICT: dict[str, Any] = {
    "ruling": "CONFLICT",
    "gate": {"id": 4, "name": "North entrance"},
    "scannedAt": "2030-06-01T17:32:00.000000Z",
    "firstGate": {"id": 6, "name": "South entrance"},
    "firstAt": "2030-06-01T17:30:00.000000Z",
}
_PAYMENT = {
    "id": 21,
    "orderId": 17,
    "asset": "BTC",
    "quoteRate": "64000.50000000",
    "amountCrypto": "0.001559362817477989",
    "txHash": None,
    "expiresAt": _EXPIRES,
    "rateSource": "coingecko",
}
_PAID, _TOO_LATE = "0x" + "ab" * 32, "0x" + "cd" * 32

STORY: dict[str, dict[str, Any]] = {
    "User": {"id": 5, "roles": ["USER"], "failedLoginCount": 0, "lockedUntil": None},
    "AuditLogEntry": {
        "id": 7,
        "actorId": 1,
        "action": "user.roles",
        "subject": "user:2",
        "before": {"roles": ["USER"]},
        "after": {"roles": ["ORGANIZER", "USER"]},
        "requestId": "9f1c2a7be0d94c5c8f4e",
        "address": "192.0.2.7",
    },
    "EventResource": {**_EVENT, "description": "Three bands under the open sky."},
    "ListedEvent": _EVENT,
    "TicketType": {
        "id": 12,
        "eventId": 7,
        "name": "Stalls",
        "quota": 100,
        "available": 98,
        "maxPerOrder": 10,
        "maxPerUser": None,
        "salesStart": None,
        "salesEnd": None,
        "version": 2,
    },
    "TypeSalesResource": {
        "id": 12,
        "quota": 100,
        "available": 95,
        "held": 3,
        "sold": 2,
        "revenue": "99.80",
    },
    "OrderItemBody": {"ticketTypeId": 12, "quantity": 2},
    "OrderDetail": {"ticketTypeId": 12, "quantity": 2, "unitPrice": "49.90", "cost": "99.80"},
    "Order": {"id": 17, "userId": 5, "eventId": 7, "totalCost": "99.80", "expiresAt": _EXPIRES},
    "CreateQuoteBody": {"orderId": 17},
    "Payment": _PAYMENT,
    "LatePayment": {
        **_PAYMENT,
        "txHash": _PAID,
        "status": "CONFIRMED",
        "receipts": [
            {"txHash": _PAID, "status": "APPLIED", "receivedAt": _WHEN, "refundId": None},
            {"txHash": _TOO_LATE, "status": "LATE", "receivedAt": _LATER, "refundId": None},
        ],
        "receipt": _TOO_LATE,
    },
    "RateResource": {
        "asset": "BTC",
        "rate": "64000.50000000",
        "source": "coingecko",
        "stale": False,
    },
    "QuarantinedRate": {"id": 9, **_REPORT},
    "QuarantinedReport": {"id": 9, **_REPORT},
    "ProviderReport": {
        "id": 31,
        **_REPORT,
        "via": "BROKER",
        "messageId": "acme-2030-01-01-18-00-00",
        "quarantineId": 9,
    },
    "PaymentReceipt": {"refundId": None},
    "Webhook": _WEBHOOK,
    "CreatedWebhook": _WEBHOOK,
    "DeliveryResource": _DELIVERY,
    "DeliveryWithAttempts": _DELIVERY,
    "AttemptResource": {"number": 1, "durationMs": 83, "statusCode": 204, "error": None},
    "TicketResource": _TICKET,
    "Ticket": {**_TICKET, "code": _CODE},
    "AttendeeResource": {**_TICKET, "holderEmail": "ada@example.com"},
    "TicketConflictResource": {**_TICKET, "status": "USED", "usedAt": _CONFLICT["firstAt"]},
    "IssuedTickets": {"ticketIds": [31, 32]},
    "GateResource": _GATE,
    "CreatedGate": _GATE,
    "GateName": _CONFLICT["gate"],
    "ConflictFacts": _CONFLICT,
    "GateAttendance": {"gateId": 4, "name": "North entrance"},
    "ConflictEntry": {"ticketId": 31, **_CONFLICT},
    "ScanResultResource": {"id": _SCAN, "ruling": "ADMITTED"},
    "BundleEvent": _EVENT,
    "BundleType": {"id": 12, "name": "Stalls"},
    "Bundle": {
        "asOf": "W1siMjAzMCJdXQ",
        "used": [31],
        "signature": "eyJhbGciOiJFZERTQSJ9..c2lnbmF0dXJl",
    },
    "Readiness": {"status": "ready", "missing": [], "degraded": []},
    "Pinged": {"webhookId": 3},
    "CommandResource": {
        **_PENDING,
        "type": "eventhub.order.place.v1",
        "status": "SUCCEEDED",
        "decidedAt": "2030-01-01T18:00:00.040000Z",
        "statusCode": 201,
        "result": {"$ref": "#/components/schemas/Order"},
    },
    "EventCommand": {**_PENDING, "type": "eventhub.event.create.v1"},
    "TicketTypeCommand": {**_PENDING, "type": "eventhub.ticket_type.create.v1"},
    "OrderCommand": {**_PENDING, "type": "eventhub.order.place.v1"},
    "PaymentCommand": {**_PENDING, "type": "eventhub.payment.quote.v1"},
    "TicketCommand": {**_PENDING, "type": "eventhub.ticket.transfer.v1"},
    "ScanResultsCommand": {**_PENDING, "type": "eventhub.scan.record.v1"},
    "RateCommand": {**_PENDING, "type": "eventhub.rate.publish.v1"},
}
"""Members by the name of their schema. A `$ref` stands for the example of what it names."""

BY_MEMBER: dict[str, Any] = {
    "currency": "USD",
    "nextCursor": None,
    "hasMore": False,
    "userId": 5,
    "eventId": 7,
    "organizerId": 2,
    "orderId": 17,
    "ticketTypeId": 12,
    "paymentId": 21,
    "webhookId": 3,
}
"""Members that say the same in every schema."""
