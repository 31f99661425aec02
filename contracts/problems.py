"""The stable words of everything that can be refused, and the problem document that carries one.

In: a code, a detail for people, extra members. Out: RFC 9457 `application/problem+json` as plain JSON values.
Must stay true: one code has one status and one title, here and nowhere else.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

CONTENT_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:eventhub:problem:"
"""RFC 9457 section 3.1.1 asks for a URI; ours names the code and needs no server to stand behind it."""


class Code(StrEnum):
    """Every `code` of a problem document."""

    INVALID = "INVALID"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    SOLD_OUT = "SOLD_OUT"
    SALES_CLOSED = "SALES_CLOSED"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    ORDER_NOT_PENDING = "ORDER_NOT_PENDING"
    QUOTE_EXPIRED = "QUOTE_EXPIRED"
    TX_HASH_USED = "TX_HASH_USED"
    RATE_UNAVAILABLE = "RATE_UNAVAILABLE"
    RATE_QUARANTINED = "RATE_QUARANTINED"
    VERSION_CONFLICT = "VERSION_CONFLICT"
    EMAIL_TAKEN = "EMAIL_TAKEN"
    EVENT_HAS_SALES = "EVENT_HAS_SALES"
    LAST_ADMIN = "LAST_ADMIN"
    TICKET_USED = "TICKET_USED"
    TICKET_VOID = "TICKET_VOID"
    TOO_LARGE = "TOO_LARGE"
    NOT_JSON = "NOT_JSON"
    IDEMPOTENCY_MISMATCH = "IDEMPOTENCY_MISMATCH"
    SEAT_LOCKED = "SEAT_LOCKED"
    BUSY = "BUSY"
    RATE_LIMITED = "RATE_LIMITED"
    INTERNAL = "INTERNAL"
    UNAVAILABLE = "UNAVAILABLE"
    UNDECIDED = "UNDECIDED"


STATUS: dict[Code, int] = {
    Code.INVALID: 400,
    Code.UNAUTHENTICATED: 401,
    Code.FORBIDDEN: 403,
    Code.NOT_FOUND: 404,
    Code.METHOD_NOT_ALLOWED: 405,
    Code.SOLD_OUT: 409,
    Code.SALES_CLOSED: 409,
    Code.LIMIT_EXCEEDED: 409,
    Code.ORDER_NOT_PENDING: 409,
    Code.QUOTE_EXPIRED: 409,
    Code.TX_HASH_USED: 409,
    Code.RATE_UNAVAILABLE: 409,
    Code.RATE_QUARANTINED: 409,
    Code.VERSION_CONFLICT: 409,
    Code.EMAIL_TAKEN: 409,
    Code.EVENT_HAS_SALES: 409,
    Code.LAST_ADMIN: 409,
    Code.TICKET_USED: 409,
    Code.TICKET_VOID: 409,
    Code.TOO_LARGE: 413,
    Code.NOT_JSON: 415,
    Code.IDEMPOTENCY_MISMATCH: 422,
    Code.SEAT_LOCKED: 429,
    Code.BUSY: 429,
    Code.RATE_LIMITED: 429,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.UNDECIDED: 503,
}

TITLE: dict[Code, str] = {
    Code.INVALID: "The request is not valid",
    Code.UNAUTHENTICATED: "Sign in first",
    Code.FORBIDDEN: "Your role does not allow this",
    Code.NOT_FOUND: "There is no such thing here",
    Code.METHOD_NOT_ALLOWED: "This method is not offered here",
    Code.SOLD_OUT: "Not enough tickets left",
    Code.SALES_CLOSED: "Tickets are not on sale",
    Code.LIMIT_EXCEEDED: "More than one order or one account may hold",
    Code.ORDER_NOT_PENDING: "The order is not waiting for payment",
    Code.QUOTE_EXPIRED: "The quote has expired",
    Code.TX_HASH_USED: "This transaction has been used",
    Code.RATE_UNAVAILABLE: "There is no rate fresh enough",
    Code.RATE_QUARANTINED: "The rate was put aside",
    Code.VERSION_CONFLICT: "Somebody changed it first",
    Code.EMAIL_TAKEN: "This address has an account",
    Code.EVENT_HAS_SALES: "Tickets stand against this change",
    Code.LAST_ADMIN: "The last active admin stays",
    Code.TICKET_USED: "The ticket has been used",
    Code.TICKET_VOID: "The ticket is void",
    Code.TOO_LARGE: "The request is too large",
    Code.NOT_JSON: "The body is not JSON",
    Code.IDEMPOTENCY_MISMATCH: "The key stands for another request",
    Code.SEAT_LOCKED: "These seats are being dealt with",
    Code.BUSY: "More requests than can be taken",
    Code.RATE_LIMITED: "Too many requests",
    Code.INTERNAL: "Something failed on our side",
    Code.UNAVAILABLE: "A part of the service is away",
    Code.UNDECIDED: "Not decided yet",
}

NOT_BINDING = frozenset(
    {
        Code.SOLD_OUT,
        Code.SALES_CLOSED,
        Code.LIMIT_EXCEEDED,
        Code.RATE_UNAVAILABLE,
        Code.SEAT_LOCKED,
        Code.BUSY,
        Code.RATE_LIMITED,
    }
    | {Code.INTERNAL, Code.UNAVAILABLE}
)
"""Refusals that do not bind an Idempotency-Key: the same key is decided afresh (api.md, Commands)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal. `extra` are members beside the standard ones (camelCase), e.g. `available`."""

    code: Code
    detail: str
    extra: dict[str, Any] = field(default_factory=dict)
    errors: tuple[tuple[str, str], ...] = ()
    """(JSON pointer, what is wrong there)."""
    retry_after: int | None = None
    """Whole seconds, at least 1; also the Retry-After header."""

    @property
    def status(self) -> int:
        """The HTTP status of the code."""
        return STATUS[self.code]

    def to_json(self, instance: str | None) -> dict[str, Any]:
        """The document; `instance` is the id of the request that is answered."""
        document: dict[str, Any] = {
            "type": TYPE_PREFIX + self.code.lower().replace("_", "-"),
            "title": TITLE[self.code],
            "status": self.status,
            "code": str(self.code),
            "detail": self.detail,
            "instance": instance,
        }
        if self.errors:
            document["errors"] = [{"pointer": p, "detail": d} for p, d in self.errors]
        if self.retry_after is not None:
            document["retryAfter"] = self.retry_after
        return document | self.extra
