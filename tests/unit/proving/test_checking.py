"""The checker is tested too: each lie a client could be told is seen, and no truth is called a lie."""

import io
from collections.abc import Sequence

import pytest

from contracts.signing import to_text
from scripts.proving.calling import end_of
from scripts.proving.checking import Effects, lies
from scripts.proving.history import History, Operation, load

UUID = b"u" * 16
COMMAND = to_text(UUID + b"x" * 24)
PLACE = Operation(1, "place", 7, items=((3, 2),), command_id=COMMAND)
CONFIRM = Operation(2, "confirm", 7, target=5, tx_hash="0xab")
NOTHING = Effects({}, {}, {}, {}, {})
ONCE = Effects({7: [(9, "PENDING_PAYMENT")]}, {9: [(3, 2)]}, {UUID: 201}, {}, {})
TWICE = Effects({7: [(9, "PENDING_PAYMENT"), (10, "EXPIRED")]}, {}, {UUID: 201}, {}, {})
OTHER_LINES = Effects({7: [(9, "PENDING_PAYMENT")]}, {9: [(3, 1)]}, {UUID: 201}, {}, {})
REFUSED_ROW = Effects({}, {}, {UUID: 409}, {}, {})
PAID = Effects({}, {}, {}, {5: "CONFIRMED"}, {"0xab": (5, "APPLIED")})
LATE = Effects({}, {}, {}, {5: "LATE"}, {"0xab": (5, "LATE")})

OK = PLACE.ended("ok", status=201, made=9)
REFUSED = PLACE.ended("refused", status=409, code="SOLD_OUT")
ACCEPTED = PLACE.ended("accepted", status=202)


@pytest.mark.parametrize(
    ("operation", "effects"),
    [
        (OK, ONCE),
        (REFUSED, REFUSED_ROW),
        (PLACE, ONCE),
        (PLACE, NOTHING),
        (ACCEPTED, ONCE),
        (ACCEPTED, REFUSED_ROW),
        (CONFIRM.ended("ok", status=200, made=5), PAID),
        (CONFIRM.ended("refused", status=409), LATE),
        (CONFIRM, PAID),
        (Operation(3, "cancel", 7, target=9).ended("refused", status=409), ONCE),
    ],
)
def test_a_truth_is_no_lie(operation: Operation, effects: Effects) -> None:
    """What was told is what is there; an unknown may be either."""
    assert lies(operation, effects) == []


@pytest.mark.parametrize(
    ("operation", "effects", "lie"),
    [
        (OK, NOTHING, "told order 9, has []"),
        (OK, TWICE, "happened 2 times"),
        (PLACE, TWICE, "happened 2 times"),
        (OK, OTHER_LINES, "asked"),
        (OK, Effects(ONCE.orders, ONCE.lines, {UUID: 503}, {}, {}), "its outcome is 503"),
        (REFUSED, ONCE, "told 409 SOLD_OUT, has order 9"),
        (ACCEPTED, NOTHING, "never decided"),
        (Operation(3, "cancel", 7, target=9).ended("ok", status=200), ONCE, "PENDING_PAYMENT"),
        (Operation(4, "quote", 7, target=9).ended("ok", status=201, made=5), ONCE, "there is none"),
        (CONFIRM.ended("ok", status=200, made=5), NOTHING, "it is None"),
        (CONFIRM.ended("ok", status=200, made=5), LATE, "LATE"),
        (CONFIRM.ended("refused", status=409), PAID, "the money was taken"),
    ],
)
def test_a_lie_is_seen(operation: Operation, effects: Effects, lie: str) -> None:
    """Each in words that say what was told and what is there."""
    told = lies(operation, effects)
    assert len(told) >= 1
    assert lie in told[0]


@pytest.mark.parametrize(
    ("status", "told", "before", "end"),
    [
        (201, {}, "unknown", "ok"),
        (202, {}, "unknown", "accepted"),
        (409, {"code": "SOLD_OUT"}, "unknown", "refused"),
        (503, {"commandId": "x"}, "refused", "unknown"),
        (503, {}, "accepted", "accepted"),
        (429, {}, "unknown", "unknown"),
        (500, {}, "unknown", "unknown"),
        (503, {}, "refused", "refused"),
    ],
)
def test_what_an_answer_says(status: int, told: dict[str, str], before: str, end: str) -> None:
    """Only an answer that says so ends an operation; a passing refusal does not undo what was open before."""
    assert end_of(status, told, before) == end  # type: ignore[arg-type]  # one of the four words


def test_a_history_survives_its_client() -> None:
    """What was sent last and never ended is unknown; the last line of an operation counts."""
    file = io.StringIO()
    history = History(file)
    history.write(PLACE)
    history.write(CONFIRM)
    history.write(OK)
    assert load(file.getvalue().splitlines()) == [OK, CONFIRM]
    assert history.counts() == {"ok": 1, "unknown": 1}


ADD = Operation(6, "add", 7, items=((3, 1), (4, 2)), target=9)
ADDED = ADD.ended("ok", status=201, made=9)


def lines_of_nine(*lines: tuple[int, int], adds: Sequence[Operation] = ()) -> Effects:
    """Order 9 of buyer 7 has these lines."""
    orders = {7: [(9, "PENDING_PAYMENT")]}
    return Effects(orders, {9: list(lines)}, {UUID: 201}, {}, {}, {9: list(adds)})


@pytest.mark.parametrize(
    ("lines", "add"),
    [
        ([(3, 2), (3, 1), (4, 2)], ADDED),
        ([(3, 2)], ADD),
        ([(3, 2), (3, 1), (4, 2)], ADD),
        ([(3, 2)], ADD.ended("refused", status=409)),
    ],
)
def test_what_was_added_is_there_or_may_be(lines: list[tuple[int, int]], add: Operation) -> None:
    """A success is in the order, in lines of its own; an unknown end may be; a refusal is not."""
    assert lies(OK, lines_of_nine(*lines, adds=[add])) == []


@pytest.mark.parametrize(
    ("lines", "add"),
    [
        ([(3, 2)], ADDED),
        ([(3, 3), (4, 1)], ADDED),
        ([(3, 3), (4, 3)], ADDED),
        ([(3, 3), (4, 2)], ADD.ended("refused", status=409)),
        ([(3, 3), (4, 3)], ADD),
    ],
)
def test_an_addition_that_is_a_lie(lines: list[tuple[int, int]], add: Operation) -> None:
    """Missing, too much, or there although it was refused."""
    assert "added" in lies(OK, lines_of_nine(*lines, adds=[add]))[0]


def test_an_addition_to_another_order_is_a_lie() -> None:
    """The answer names the order that was asked for."""
    assert "told order 8" in lies(ADD.ended("ok", status=201, made=8), ONCE)[0]
