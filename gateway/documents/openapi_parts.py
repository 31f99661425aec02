"""The fixed parts of the OpenAPI document: what the service is, its headers, its tags, its problem codes in words.

Must stay true: a header's name stands here once, with its schema and an example; `Answer.headers` and
`Route.request_headers` name these.
"""

from typing import Any

from contracts.problems import Code
from gateway.documents.openapi_story import COMMAND_ID

ID_MAX = 2**63 - 1

INFO: dict[str, Any] = {
    "title": "EventHub",
    "version": "1.0.0",
    "contact": {"name": "Whoever runs this gateway"},
    # Whoever owns EventHub chooses a licence; until then the law's own rule holds, and the field names no other.
    "license": {"name": "All rights reserved", "identifier": "LicenseRef-None-Granted"},
    "summary": "Tickets for events: never more sold than there are.",
    "description": (
        "Money is a decimal text, time is RFC 3339 in UTC, ids are integers. Every error is "
        "`application/problem+json` (RFC 9457) with a stable `code`; `instance` is the request's id "
        "and also its `X-Request-Id`.\n\n"
        "Calls that take `Prefer` publish a command: they answer 202 with a place to ask, or, with "
        "`Prefer: wait=N`, the decision itself when it comes within N seconds. With an "
        "`Idempotency-Key` the same call can be sent again without being done again."
    ),
}

SERVERS = [{"url": "/", "description": "The gateway that this document comes from."}]

TAGS = {
    "Accounts": "Make an account, sign in and out.",
    "Administration": "Accounts and roles, for admins.",
    "Events": "Events and their ticket types.",
    "Orders": "Tickets held, cancelled, bought.",
    "Payment": "Quotes in a crypto asset and their (simulated) confirmation.",
    "Tickets": "What lets people in: their codes, names and holders.",
    "Door": "Gates, what they scan, who is in.",
    "Rates": "What an asset costs.",
    "Commands": "What became of a call that was accepted.",
    "Webhooks": "Be told, signed, when something happens.",
    "Notifications": "What webhooks are told, signed.",
    "Operations": "Probes, metrics and these pages.",
}

HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-Id": {
        "description": "The id of this request in every log line.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{8,64}$"},
        "example": "9f1c2a7be0d94c5c8f4e",
    },
    "RateLimit": {
        "description": "Calls left in the window and seconds until the next is given back.",
        "schema": {"type": "string"},
        "example": '"user";r=99;t=1',
    },
    "RateLimit-Policy": {
        "description": "Calls per window, and the window in seconds.",
        "schema": {"type": "string"},
        "example": '"user";q=100;w=1',
    },
    "Retry-After": {
        "description": "Seconds after which the call makes sense again.",
        "schema": {"type": "integer", "format": "int32", "minimum": 1},
        "example": 1,
    },
    "Location": {
        "description": "Where the thing is.",
        "schema": {"type": "string", "format": "uri-reference"},
        "example": "/api/orders/17",
    },
    "ETag": {
        "description": "The version that this is; for If-None-Match and If-Match.",
        "schema": {"type": "string"},
        "example": '"v3.41"',
    },
    "Age": {
        "description": "Seconds since the answer was made, for caches: they count from there.",
        "schema": {"type": "integer", "format": "int32", "minimum": 0},
        "example": 12,
    },
    "X-Command-Id": {
        "description": "The command's id, for GET /api/commands/{commandId}.",
        "schema": {"type": "string"},
        "example": COMMAND_ID,
    },
    "Preference-Applied": {
        "description": "What was granted of Prefer.",
        "schema": {"type": "string"},
        "example": "wait=10",
    },
    "Idempotent-Replayed": {
        "description": "`true`: this key had been used for this call; nothing was done again.",
        "schema": {"type": "string", "enum": ["true"]},
        "example": "true",
    },
    "WWW-Authenticate": {
        "description": "The challenge.",
        "schema": {"type": "string"},
        "example": 'Bearer realm="eventhub"',
    },
    "Allow": {
        "description": "The methods of this address.",
        "schema": {"type": "string"},
        "example": "GET, HEAD, OPTIONS",
    },
}

REQUEST_HEADERS: dict[str, dict[str, Any]] = {
    "Prefer": {
        "description": "`wait=N`: answer with the decision if it comes within N seconds (at most 30), else with 202. "
        "`wait=N, handling=strict`: else with 503 UNDECIDED, never with 202.",
        "schema": {"type": "string"},
        "example": "wait=10",
    },
    "Idempotency-Key": {
        "description": "Printable text of the caller's choice; the same call with the same key is done once.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
        "example": "4b1f7d1e-order-1",
    },
    "If-Match": {
        "description": "Only if the thing still has this version, else 409 VERSION_CONFLICT.",
        "schema": {"type": "string"},
        "example": '"v3"',
    },
    "If-None-Match": {
        "description": "304 if the thing still is what this ETag names.",
        "schema": {"type": "string"},
        "example": '"v3.41"',
    },
    "Last-Event-ID": {
        "description": "Sent by an event stream's client that connects again: the last message it had.",
        "schema": {"type": "string"},
        "example": "decided-201",
    },
}

DETAILS: dict[Code, str] = {
    Code.INVALID: "The body does not fit this call.",
    Code.UNAUTHENTICATED: "This call needs a valid access token.",
    Code.FORBIDDEN: "None of your roles may do this.",
    Code.NOT_FOUND: "There is nothing here, or it is not yours.",
    Code.RATE_LIMITED: "More than 100 calls in 1 s; wait a little.",
    Code.INTERNAL: "Something failed on our side; it has been logged under this id.",
    Code.UNAVAILABLE: "The database is away for a moment; nothing was done.",
}
"""Example details; a code without one shows its title."""

EXTRAS: dict[Code, dict[str, Any]] = {
    Code.INVALID: {
        "errors": [{"pointer": "/items/0/quantity", "detail": "must be a whole number"}]
    },
    Code.SOLD_OUT: {"available": 1, "held": 12, "nextReleaseAt": "2030-01-01T18:15:00.000000Z"},
    Code.QUOTE_EXPIRED: {"paymentStatus": "LATE"},
    Code.RATE_QUARANTINED: {"reason": "OUT_OF_BAND", "quarantineId": 9},
    Code.UNDECIDED: {"commandId": COMMAND_ID},
}
"""Members beside the standard ones, as examples."""
