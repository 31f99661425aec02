"""How an unpaid order may end: pure rules.

In: an order's status and deadline, who asks, the database's time. Out: the move, or why not.
"""

from datetime import datetime

from contracts.models import Principal
from contracts.orders import OrderStatus
from contracts.problems import Code, Problem
from contracts.resources import OrderRow


def canceller(order: OrderRow, organizer_id: int, who: Principal) -> str | None:
    """As what `who` may cancel the order (the reason in its history): buyer, organizer of its event, admin; or None.

    Who bought it needs no role.
    """
    if order.user_id == who.user_id:
        return "buyer"
    if organizer_id == who.user_id and who.has(("ORGANIZER",)):
        return "organizer"
    return "admin" if who.has(("ADMIN",)) else None


def cancel_refusal(order: OrderRow, now: datetime) -> Problem | None:
    """Why the order cannot be cancelled; None when it can. Past its deadline an order is over, swept or not."""
    if order.status != OrderStatus.PENDING_PAYMENT or is_over(order, now):
        status = OrderStatus.EXPIRED if is_pending(order) else order.status
        return Problem(Code.ORDER_NOT_PENDING, f"Order {order.id} is {status}.")
    return None


def is_pending(order: OrderRow) -> bool:
    """Whether the order can still move."""
    return order.status == OrderStatus.PENDING_PAYMENT


def is_over(order: OrderRow, now: datetime) -> bool:
    """Whether an unpaid order's time has come: at its very deadline it has."""
    return order.expires_at <= now


def expires(order: OrderRow, now: datetime) -> bool:
    """Whether the sweep ends this order now."""
    return is_pending(order) and is_over(order, now)
