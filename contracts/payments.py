"""The side of a payment that clients do not see: what it priced, and the receipts of what was shown for it.

Must stay true: a receipt never changes; its code is what the client was told, so that asking again gives the
same answer.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from contracts.problems import Code
from contracts.resources import PaymentRow


class ReceiptStatus(StrEnum):
    """APPLIED: this money bought the order. LATE: it is owed back."""

    APPLIED = "APPLIED"
    LATE = "LATE"


@dataclass(frozen=True, slots=True)
class Quote:
    """A payment with the total that it priced: it pays for exactly that."""

    row: PaymentRow
    total_cost: Decimal


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
