"""The decision table of confirmations, over its whole product, and what holds for any sequence of them."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from contracts.orders import OrderStatus, PaymentStatus, payment_may_move
from contracts.payments import Quote, Receipt, ReceiptStatus
from contracts.problems import Code
from contracts.resources import OrderRow, PaymentRow
from workers.payment.settlement import (
    Confirmed,
    HashUsed,
    Late,
    Settlement,
    ShownHash,
    Unknown,
)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SOON, PAST = NOW + timedelta(minutes=5), NOW
HASHES = ["0x" + letter * 64 for letter in "abcdef"]
BUYER, STRANGER = 5, 6
TOTAL = Decimal("99.80")


def order(order_id: int = 1, **changes: object) -> OrderRow:
    row = OrderRow(
        id=order_id,
        user_id=BUYER,
        event_id=3,
        status="PENDING_PAYMENT",
        total_cost=TOTAL,
        currency="USD",
        expires_at=SOON,
        version=2,
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(row, **changes)  # type: ignore[arg-type]  # field values by name


def quote(
    payment_id: int = 1, order_id: int = 1, total: Decimal = TOTAL, **changes: object
) -> Quote:
    row = PaymentRow(
        id=payment_id,
        order_id=order_id,
        asset="BTC",
        quote_rate=Decimal("64000"),
        amount_crypto=Decimal("0.001559375"),
        tx_hash=None,
        status="PENDING",
        expires_at=SOON,
        rate_source="fake",
        rate_observed_at=NOW,
        created_at=NOW,
        updated_at=NOW,
    )
    return Quote(replace(row, **changes), total)  # type: ignore[arg-type]  # field values by name


def shown(payment_id: int = 1, hash_: str = HASHES[0], caller: int = BUYER) -> ShownHash:
    return ShownHash(caller, payment_id, hash_, b"c" * 16)


def settle(
    *quotes: Quote,
    orders: tuple[OrderRow, ...] = (order(),),
    off: bool = False,
    receipts: tuple[Receipt, ...] = (),
) -> Settlement:
    return Settlement(
        {one.row.id: one for one in quotes},
        {one.id: one for one in orders},
        frozenset({3} if off else ()),
        {one.tx_hash: one for one in receipts},
        NOW,
    )


def test_the_first_hash_in_time_pays() -> None:
    """Payment CONFIRMED with its hash, one APPLIED receipt, nothing late."""
    settlement = settle(quote())
    ruling = settlement.rule(shown())
    assert isinstance(ruling, Confirmed)
    assert ruling.anew
    assert (ruling.payment.status, ruling.payment.tx_hash) == ("CONFIRMED", HASHES[0])
    assert [r.status for r in settlement.new_receipts] == [ReceiptStatus.APPLIED]
    assert (settlement.confirmed, settlement.late, settlement.ended) == ([1], [], [])


def test_every_state_of_payment_order_and_event_ends_as_the_table_says() -> None:
    """The full product: order gone (by status, time or event) first, then the quote's own faults, else paid."""
    states = itertools.product(
        PaymentStatus,
        OrderStatus,
        (SOON, PAST),
        (SOON, PAST),
        (TOTAL, Decimal("49.90")),
        (False, True),
    )
    for status, order_status, order_end, quote_end, total, off in states:
        settlement = settle(
            quote(total=total, status=str(status), expires_at=quote_end),
            orders=(order(status=str(order_status), expires_at=order_end),),
            off=off,
        )
        ruling = settlement.rule(shown())
        gone = order_status is not OrderStatus.PENDING_PAYMENT or order_end == PAST or off
        spent = status is not PaymentStatus.PENDING or quote_end == PAST or total != TOTAL
        expected = Code.ORDER_NOT_PENDING if gone else Code.QUOTE_EXPIRED if spent else None
        got = ruling.code if isinstance(ruling, Late) else None
        assert got == expected, (status, order_status, order_end, quote_end, total, off)
        assert isinstance(ruling, Confirmed) == (expected is None)
        assert [r.code for r in settlement.new_receipts] == [expected]
        moves = settlement.quotes[1].row.status
        assert moves == status or payment_may_move(status, PaymentStatus(moves))


def test_the_same_hash_on_the_same_payment_gives_the_same_answer_and_writes_nothing() -> None:
    """Whatever it was: paid, order gone, quote over; also when the state has moved on since."""
    for code in (None, Code.ORDER_NOT_PENDING, Code.QUOTE_EXPIRED):
        status = ReceiptStatus.APPLIED if code is None else ReceiptStatus.LATE
        receipt = Receipt(HASHES[0], 1, status, code, b"x" * 16, NOW)
        settlement = settle(quote(status="LATE" if code else "CONFIRMED"), receipts=(receipt,))
        ruling = settlement.rule(shown())
        assert (ruling.code if isinstance(ruling, Late) else None) == code
        assert isinstance(ruling, Late | Confirmed)
        assert not ruling.anew
        assert settlement.new_receipts == []


def test_a_hash_of_another_payment_is_refused_and_stays_where_it_is() -> None:
    """TX_HASH_USED; the second payment is as it was and may still be paid by another hash."""
    receipt = Receipt(HASHES[0], 9, ReceiptStatus.LATE, Code.QUOTE_EXPIRED, b"x" * 16, NOW)
    settlement = settle(quote(), receipts=(receipt,))
    assert isinstance(settlement.rule(shown()), HashUsed)
    assert settlement.new_receipts == []
    assert isinstance(settlement.rule(shown(hash_=HASHES[1])), Confirmed)


def test_a_stranger_learns_nothing_and_leaves_no_receipt() -> None:
    """Not even that the hash was used, or that the payment exists."""
    receipt = Receipt(HASHES[0], 1, ReceiptStatus.APPLIED, None, b"x" * 16, NOW)
    settlement = settle(quote(), receipts=(receipt,))
    assert settlement.rule(shown(caller=STRANGER)) == Unknown()
    assert settlement.rule(shown(payment_id=77)) == Unknown()
    assert settlement.new_receipts == []


def test_a_second_transfer_to_a_paid_quote_is_owed_back() -> None:
    """409 with a LATE receipt; the payment stays CONFIRMED with the hash that paid."""
    settlement = settle(quote())
    settlement.rule(shown())
    ruling = settlement.rule(shown(hash_=HASHES[1]))
    assert isinstance(ruling, Late)
    assert ruling.code == Code.ORDER_NOT_PENDING
    row = settlement.quotes[1].row
    assert (row.status, row.tx_hash) == ("CONFIRMED", HASHES[0])
    assert settlement.late == []


def test_paying_one_quote_ends_the_order_s_others_and_money_for_those_is_late() -> None:
    """In one batch: BTC pays, the ETH quote ends; its hash, shown next, makes it LATE, not EXPIRED."""
    settlement = settle(quote(1), quote(2, asset="ETH"), quote(3, asset="SOL"))
    assert isinstance(settlement.rule(shown(1)), Confirmed)
    assert settlement.ended == [2, 3]
    assert isinstance(settlement.rule(shown(2, HASHES[1])), Late)
    assert (settlement.ended, settlement.late) == ([3], [2])


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.sampled_from(HASHES), st.sampled_from([BUYER, STRANGER])),
        max_size=20,
    )
)
def test_money_is_conserved_over_any_sequence(shows: list[tuple[int, str, int]]) -> None:
    """Two orders, two quotes each, any hashes in any order: one applied receipt per confirmed payment, at most one
    confirmed payment per order, every hash of the owner's in exactly one receipt, each ruling repeatable."""
    quotes = [quote(1, 1), quote(2, 1, asset="ETH"), quote(3, 2), quote(4, 2, asset="ETH")]
    settlement = settle(*quotes, orders=(order(1), order(2)))
    for payment_id, hash_, caller in shows:
        before = len(settlement.new_receipts)
        first = settlement.rule(shown(payment_id, hash_, caller))
        again = settlement.rule(shown(payment_id, hash_, caller))
        assert _answer(first) == _answer(again)
        assert len(settlement.new_receipts) <= before + 1
    rows = [one.row for one in settlement.quotes.values()]
    paid = {row.id for row in rows if row.status == "CONFIRMED"}
    applied = [r.payment_id for r in settlement.new_receipts if r.status is ReceiptStatus.APPLIED]
    assert sorted(applied) == sorted(paid) == sorted(settlement.confirmed)
    assert len({row.order_id for row in rows if row.id in paid}) == len(paid)
    hashes = [receipt.tx_hash for receipt in settlement.new_receipts]
    assert len(hashes) == len(set(hashes))
    assert set(hashes) == {hash_ for _, hash_, caller in shows if caller == BUYER}
    assert not set(settlement.ended) & set(settlement.late)


def _answer(ruling: object) -> object:
    code = ruling.code if isinstance(ruling, Late) else None
    return type(ruling), code, getattr(ruling, "payment", None)
