"""The life of an order and of a payment as tables of legal moves.

Must stay true: every change of a status anywhere goes along one of these arrows; what has no arrow out is final.
"""

from enum import StrEnum


class OrderStatus(StrEnum):
    """What an order can be. Only PENDING_PAYMENT holds tickets that may come back."""

    PENDING_PAYMENT = "PENDING_PAYMENT"
    CONFIRMED = "CONFIRMED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


class PaymentStatus(StrEnum):
    """What a quote can become. LATE: money was shown that can no longer buy; it is owed back."""

    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    EXPIRED = "EXPIRED"
    LATE = "LATE"


ORDER_MOVES: dict[OrderStatus, frozenset[OrderStatus]] = {
    OrderStatus.PENDING_PAYMENT: frozenset(
        {OrderStatus.CONFIRMED, OrderStatus.CANCELLED, OrderStatus.EXPIRED}
    ),
    OrderStatus.CONFIRMED: frozenset(),
    OrderStatus.CANCELLED: frozenset(),
    OrderStatus.EXPIRED: frozenset(),
}

GIVING_BACK = frozenset({OrderStatus.CANCELLED, OrderStatus.EXPIRED})
"""Ends after which an order's tickets go back on sale."""

PAYMENT_MOVES: dict[PaymentStatus, frozenset[PaymentStatus]] = {
    PaymentStatus.PENDING: frozenset(
        {PaymentStatus.CONFIRMED, PaymentStatus.EXPIRED, PaymentStatus.LATE}
    ),
    PaymentStatus.EXPIRED: frozenset({PaymentStatus.LATE}),
    PaymentStatus.CONFIRMED: frozenset(),
    PaymentStatus.LATE: frozenset(),
}


def may_move(current: OrderStatus, to: OrderStatus) -> bool:
    """Whether an order may go from `current` to `to`."""
    return to in ORDER_MOVES[current]


def payment_may_move(current: PaymentStatus, to: PaymentStatus) -> bool:
    """Whether a payment may go from `current` to `to`."""
    return to in PAYMENT_MOVES[current]
