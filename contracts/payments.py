"""The side of a payment that clients do not see: what it priced, and the receipts of what was shown for it.

Must stay true: a receipt never changes; its code is what the client was told, so that asking again gives the
same answer.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from contracts.problems import Code
from contracts.resources import OrderRow, PaymentRow


class ReceiptStatus(StrEnum):
    """APPLIED: this money bought the order. LATE: it is owed back."""

    APPLIED = "APPLIED"
    LATE = "LATE"


@dataclass(frozen=True, slots=True)
class Quote:
    """A payment with the total and the items that it priced: it pays for exactly those."""

    row: PaymentRow
    total_cost: Decimal
    items_version: int = 1


def priced(order: OrderRow, total_cost: Decimal, items_version: int) -> bool:
    """Whether a quote of this total and of these items pays for the order as it is.

    The total alone is no proof: a free line changes none.
    """
    return total_cost == order.total_cost and items_version == order.items_version


@dataclass(frozen=True, slots=True)
class Receipt:
    """A transaction hash (lower case) that was shown for a payment. `code`: None for an applied one."""

    tx_hash: str
    payment_id: int
    status: ReceiptStatus
    code: Code | None
    command: bytes
    """The UUID of the command that showed it."""
    received_at: datetime
    """When it was shown, by the database's clock."""
