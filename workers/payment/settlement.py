"""What a shown transaction hash ends in. Pure: no I/O, no clock, no ids.

In: the payments, orders and receipts that a batch of confirmations touches, as they stand (locked), and the
database's time.
Out: one `Ruling` per confirmation, decided in order on the state as it evolves, and what has to be written for
all of them.
Must stay true: money buys an order at most once, and only the items and the total that its quote priced; every
well-formed hash that the payment's owner shows leaves one receipt, applied or late, and a hash belongs to one payment
for ever.

The decision table (api.md, Payment), first match wins:

| the hash | the payment | the order | ends in |
|---|---|---|---|
| any | unknown, or its order is not the caller's | | NOT_FOUND, no receipt |
| has a receipt of this payment | any | any | the same answer again, nothing written |
| has a receipt of another payment | any | any | TX_HASH_USED, the other's receipt stays as it is |
| new | any | not PENDING_PAYMENT, past its end, or its event is off | ORDER_NOT_PENDING, late |
| new | not PENDING, past its end, or priced other items | pending | QUOTE_EXPIRED, late |
| new | PENDING and in time | pending, same items | CONFIRMED, applied |

Late: the receipt is LATE, the payment becomes LATE unless it is CONFIRMED (a second transfer to a paid quote), and
PaymentLate asks for a refund. Which of the two codes was said is kept in the receipt, for the same answer again.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from contracts.orders import OrderStatus, PaymentStatus, payment_may_move
from contracts.payments import Quote, Receipt, ReceiptStatus, priced
from contracts.problems import Code
from contracts.resources import OrderRow, PaymentRow


@dataclass(frozen=True, slots=True)
class ShownHash:
    """One confirmation: `caller` shows `tx_hash` (lower case) for a payment."""

    caller: int
    payment_id: int
    tx_hash: str
    command: bytes


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The payment is paid. `anew` False: it was before, this is the same answer again."""

    payment: PaymentRow
    anew: bool


@dataclass(frozen=True, slots=True)
class Late:
    """The money came too late. `anew` False: the same answer again."""

    payment: PaymentRow
    code: Code
    tx_hash: str
    anew: bool


@dataclass(frozen=True, slots=True)
class HashUsed:
    """The hash belongs to another payment."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """No such payment of the caller's."""


Ruling = Confirmed | Late | HashUsed | Unknown


class Settlement:
    """Rules on confirmations one after the other, and remembers what they changed."""

    def __init__(
        self,
        quotes: dict[int, Quote],
        orders: dict[int, OrderRow],
        events_off: frozenset[int],
        receipts: dict[str, Receipt],
        now: datetime,
    ) -> None:
        self.quotes, self.orders = dict(quotes), dict(orders)
        self._events_off = events_off
        self._receipts = dict(receipts)
        self._now = now
        self.new_receipts: list[Receipt] = []
        self.confirmed: list[int] = []
        """Ids of payments that were confirmed now."""
        self.late: list[int] = []
        """Ids of payments that became LATE now."""
        self.ended: list[int] = []
        """Ids of other pending payments of orders that were paid now: EXPIRED."""

    def rule(self, shown: ShownHash) -> Ruling:
        """What this confirmation ends in, given all before it."""
        quote = self.quotes.get(shown.payment_id)
        order = self.orders.get(quote.row.order_id) if quote else None
        if quote is None or order is None or order.user_id != shown.caller:
            return Unknown()
        receipt = self._receipts.get(shown.tx_hash)
        if receipt is not None:
            return self._again(receipt, quote)
        code = self._objection(quote, order)
        return self._apply(shown, quote, order) if code is None else self._late(shown, quote, code)

    def _again(self, receipt: Receipt, quote: Quote) -> Ruling:
        if receipt.payment_id != quote.row.id:
            return HashUsed()
        if receipt.code is None:
            return Confirmed(quote.row, anew=False)
        return Late(quote.row, receipt.code, receipt.tx_hash, anew=False)

    def _objection(self, quote: Quote, order: OrderRow) -> Code | None:
        if (
            order.status != OrderStatus.PENDING_PAYMENT
            or self._now >= order.expires_at
            or order.event_id in self._events_off
        ):
            return Code.ORDER_NOT_PENDING
        if (
            quote.row.status != PaymentStatus.PENDING
            or self._now >= quote.row.expires_at
            or not priced(order, quote.total_cost, quote.items_version)
        ):
            return Code.QUOTE_EXPIRED
        return None

    def _apply(self, shown: ShownHash, quote: Quote, order: OrderRow) -> Ruling:
        self._remember(shown, ReceiptStatus.APPLIED, None)
        paid = self._move(quote, PaymentStatus.CONFIRMED, shown.tx_hash)
        self.orders[order.id] = replace(order, status=str(OrderStatus.CONFIRMED))
        self.confirmed.append(paid.id)
        for other in list(self.quotes.values()):
            if other.row.order_id == order.id and other.row.status == PaymentStatus.PENDING:
                self._move(other, PaymentStatus.EXPIRED, other.row.tx_hash)
                self.ended.append(other.row.id)
        return Confirmed(paid, anew=True)

    def _late(self, shown: ShownHash, quote: Quote, code: Code) -> Ruling:
        self._remember(shown, ReceiptStatus.LATE, code)
        row = quote.row
        if payment_may_move(PaymentStatus(row.status), PaymentStatus.LATE):
            row = self._move(quote, PaymentStatus.LATE, shown.tx_hash)
            self.late.append(row.id)
            # It may have been ended by another payment of this very batch: LATE is where it ends up.
            self.ended = [ended for ended in self.ended if ended != row.id]
        return Late(row, code, shown.tx_hash, anew=True)

    def _remember(self, shown: ShownHash, status: ReceiptStatus, code: Code | None) -> None:
        receipt = Receipt(shown.tx_hash, shown.payment_id, status, code, shown.command, self._now)
        self._receipts[shown.tx_hash] = receipt
        self.new_receipts.append(receipt)

    def _move(self, quote: Quote, to: PaymentStatus, tx_hash: str | None) -> PaymentRow:
        row = replace(quote.row, status=str(to), tx_hash=tx_hash, updated_at=self._now)
        self.quotes[row.id] = replace(quote, row=row)
        return row
