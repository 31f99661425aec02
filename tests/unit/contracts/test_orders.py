"""The tables of moves over their full product."""

import itertools

import pytest

from contracts.orders import OrderStatus as O
from contracts.orders import PaymentStatus as P
from contracts.orders import may_move, payment_may_move

ORDER_MOVES = {(O.PENDING_PAYMENT, to) for to in (O.CONFIRMED, O.CANCELLED, O.EXPIRED)}
PAYMENT_MOVES = {(P.PENDING, to) for to in (P.CONFIRMED, P.EXPIRED, P.LATE)} | {(P.EXPIRED, P.LATE)}


@pytest.mark.parametrize(("current", "to"), list(itertools.product(O, O)))
def test_an_order_moves_only_out_of_pending(current: O, to: O) -> None:
    """Three arrows, and none of the other thirteen pairs."""
    assert may_move(current, to) == ((current, to) in ORDER_MOVES)


@pytest.mark.parametrize(("current", "to"), list(itertools.product(P, P)))
def test_a_payment_ends_once_but_an_expired_one_may_turn_late(current: P, to: P) -> None:
    """Four arrows, and none of the other twelve pairs."""
    assert payment_may_move(current, to) == ((current, to) in PAYMENT_MOVES)
