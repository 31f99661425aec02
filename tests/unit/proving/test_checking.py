"""The checker is tested too: each lie a client could be told is seen, and no truth is called a lie."""

import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from contracts.command_ids import CommandId, CommandIds
from scripts.proving.calling import answered, end_of
from scripts.proving.checking import lies
from scripts.proving.effects import Effects, accepted_at
from scripts.proving.history import End, History, Operation, load

UUID = b"u" * 16
ACCEPTED_AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
COMMAND = CommandIds("a secret").seal(CommandId(UUID, ACCEPTED_AT, kind=3), 7)
PLACE = Operation(1, "place", 7, items=((3, 2),), command_id=COMMAND)
QUOTE = Operation(4, "quote", 7, target=9)
CONFIRM = Operation(2, "confirm", 7, target=5, tx_hash="0xAB")
CANCEL = Operation(3, "cancel", 7, target=9)

NOTHING = Effects()
PENDING = {7: [(9, "PENDING_PAYMENT")]}
CANCELLED = {7: [(9, "CANCELLED")]}
ONCE = Effects(PENDING, {9: [(3, 2)]}, {UUID: 201}, made={UUID: 9})
TWICE = Effects(
    {7: [(9, "PENDING_PAYMENT"), (10, "EXPIRED")]}, outcomes={UUID: 201}, made={UUID: 9}
)
OTHER_LINES = Effects(PENDING, {9: [(3, 1)]}, {UUID: 201}, made={UUID: 9})
REFUSED_ROW = Effects(outcomes={UUID: 409})
QUOTED = Effects(PENDING, payments={9: [5]})
PAID = Effects(payments={9: [5]}, receipts={"0xab": (5, "APPLIED")})
LATE = Effects(payments={9: [5]}, receipts={"0xab": (5, "LATE")})
ENDED = Effects(CANCELLED, cancelled={9})
ENDED_BY_EVENT = Effects(CANCELLED)

OK = PLACE.ended("ok", status=201, made=9)
REFUSED = PLACE.ended("refused", status=409, code="SOLD_OUT")
ACCEPTED = PLACE.ended("accepted", status=202)
CANCEL_REFUSED = CANCEL.ended("refused", status=503, code="UNAVAILABLE")
CANCEL_ACCEPTED = replace(CANCEL.ended("accepted", status=202), command_id=COMMAND)
QUOTE_REFUSED = QUOTE.ended("refused", status=503, code="UNAVAILABLE")


def past(effects: Effects) -> Effects:
    """The same, looked at after the command's deadline, where commands may be lost."""
    return replace(effects, lost_before=ACCEPTED_AT + timedelta(seconds=1))


def early(effects: Effects) -> Effects:
    """The same, looked at before that."""
    return replace(effects, lost_before=ACCEPTED_AT)


@pytest.mark.parametrize(
    ("operation", "effects"),
    [
        (OK, ONCE),
        (REFUSED, REFUSED_ROW),
        (replace(REFUSED, command_id=None), NOTHING),
        (PLACE, ONCE),
        (PLACE, NOTHING),
        (ACCEPTED, ONCE),
        (ACCEPTED, REFUSED_ROW),
        (ACCEPTED, past(NOTHING)),
        (CONFIRM.ended("ok", status=200, made=5), PAID),
        (CONFIRM.ended("refused", status=409), LATE),
        (CONFIRM, PAID),
        (CANCEL.ended("refused", status=409), ONCE),
        (CANCEL_REFUSED, ENDED_BY_EVENT),
        (CANCEL, ENDED),
        (CANCEL.ended("ok", status=200, made=9), ENDED),
        (CANCEL_ACCEPTED, replace(ENDED, outcomes={UUID: 200})),
        (CANCEL_ACCEPTED, past(Effects(PENDING))),
        (QUOTE.ended("ok", status=201, made=5), QUOTED),
        (QUOTE_REFUSED, Effects(PENDING)),
        (QUOTE, QUOTED),
    ],
)
def test_a_truth_is_no_lie(operation: Operation, effects: Effects) -> None:
    """What was told is what is there; an unknown may be either."""
    assert lies([operation], effects) == []


@pytest.mark.parametrize(
    ("operation", "effects", "lie"),
    [
        (OK, NOTHING, "told order 9, has []"),
        (OK, TWICE, "happened 2 times"),
        (PLACE, TWICE, "happened 2 times"),
        (OK, OTHER_LINES, "asked"),
        (OK, replace(ONCE, outcomes={UUID: 503}), "its outcome is 503"),
        (REFUSED, ONCE, "told 409 SOLD_OUT, has order 9"),
        (REFUSED, Effects(outcomes={UUID: 503}), "told 409, its outcome is 503"),
        (REFUSED, NOTHING, "told 409, its outcome is None"),
        (CANCEL.ended("ok", status=200), ONCE, "PENDING_PAYMENT"),
        (CANCEL_REFUSED, ENDED, "told 503 UNAVAILABLE, but order 9 was cancelled"),
        (QUOTE.ended("ok", status=201, made=5), ONCE, "there is none"),
        (QUOTE.ended("ok", status=201, made=6), Effects(payments={8: [6]}), "none of order 9"),
        (QUOTE_REFUSED, QUOTED, "payments [5] that nobody was told of"),
        (QUOTE, Effects(payments={9: [5, 6]}), "payments [5, 6] that nobody was told of"),
        (CONFIRM.ended("ok", status=200, made=5), NOTHING, "it is None"),
        (CONFIRM.ended("ok", status=200, made=5), LATE, "LATE"),
        (CONFIRM.ended("refused", status=409), PAID, "the money was taken"),
    ],
)
def test_a_lie_is_seen(operation: Operation, effects: Effects, lie: str) -> None:
    """Each in words that say what was told and what is there."""
    told = lies([operation], effects)
    assert len(told) >= 1
    assert lie in told[0]


@pytest.mark.parametrize(
    ("operation", "effects", "lie"),
    [
        (ACCEPTED, NOTHING, "never decided"),
        (ACCEPTED, early(NOTHING), "never decided"),
        (ACCEPTED, past(Effects(PENDING)), "its outcome is None, has order 9"),
        (ACCEPTED, Effects(PENDING, outcomes={UUID: 503}), "its outcome is 503, has order 9"),
        (ACCEPTED, Effects(outcomes={UUID: 201}), "there is no effect"),
        (ACCEPTED, OTHER_LINES, "asked"),
        (replace(ACCEPTED, command_id=None), NOTHING, "no command named"),
        (CANCEL_ACCEPTED, past(ENDED), "but order 9 was cancelled"),
        (CANCEL_ACCEPTED, Effects(PENDING, outcomes={UUID: 200}), "it is PENDING_PAYMENT"),
        (PLACE, Effects(made={UUID: 9}), "its outcome is None, and order 9 shows its effect"),
        (PLACE, Effects(outcomes={UUID: 503}, made={UUID: 9}), "order 9 shows its effect"),
    ],
)
def test_an_accepted_command_was_decided_or_came_to_nothing(
    operation: Operation, effects: Effects, lie: str
) -> None:
    """What came of a command is what its outcome says; without one it may be lost when it is past its deadline."""
    assert lie in " ".join(lies([operation], effects))


@pytest.mark.parametrize("end", ["ok", "accepted", "unknown"])
@pytest.mark.parametrize(
    ("refused", "effects"),
    [
        (CANCEL_REFUSED, ENDED),
        (QUOTE_REFUSED, QUOTED),
        (CONFIRM.ended("refused", status=409), PAID),
    ],
)
def test_a_refusal_is_no_lie_when_another_call_did_it(
    refused: Operation, effects: Effects, end: End
) -> None:
    """The same buyer asked twice: what is there may be the other call's."""
    effects = replace(effects, outcomes={UUID: 200})
    other = replace(refused, number=99, end=end, status=200, made=5, command_id=COMMAND)
    assert lies([refused, other], effects) == []


@pytest.mark.parametrize(
    ("status", "told", "broken"),
    [
        (500, {"code": "INTERNAL"}, ("500 INTERNAL",)),
        (502, {}, ("502",)),
        (504, None, ("504 without a document",)),
        (201, None, ("201 without a document",)),
        (418, {}, ("418",)),
        (503, {"code": "UNAVAILABLE"}, ()),
        (201, {"id": 9}, ()),
    ],
)
def test_an_answer_that_nobody_may_be_given_is_kept(
    status: int, told: dict[str, object] | None, broken: tuple[str, ...]
) -> None:
    """Also when a later answer is a good one, and over a file; each is named."""
    failed = answered(PLACE, status, told, None)
    assert failed.broken == broken
    history = io.StringIO()
    later = answered(replace(failed, attempts=2), 201, {"id": 9}, COMMAND)
    History(history).write(later)
    assert load(history.getvalue().splitlines()) == [later]
    assert lies([later], ONCE) == [f"operation 1 (place, ok): answered {one}" for one in broken]


@pytest.mark.parametrize(
    ("status", "told", "named", "known"),
    [
        (202, {}, "second", "second"),
        (503, {"commandId": "second"}, None, "second"),
        (503, {}, None, "first"),
        (429, {}, None, "first"),
        (409, {"code": "SOLD_OUT"}, None, None),
    ],
)
def test_a_command_stays_known_until_there_is_an_end(
    status: int, told: dict[str, object], named: str | None, known: str | None
) -> None:
    """A passing refusal after a 202 does not make its command forgotten; an end without a command has none."""
    accepted = replace(ACCEPTED, attempts=2, command_id="first")
    assert answered(accepted, status, told, named).command_id == known


def test_an_id_says_when_its_command_was_accepted() -> None:
    """As the gateway sealed it, whatever the kind beside it."""
    assert accepted_at(COMMAND) == ACCEPTED_AT


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
UUID_2 = b"v" * 16
ADD_ACCEPTED = replace(
    ADD.ended("accepted", status=202),
    command_id=CommandIds("a secret").seal(CommandId(UUID_2, ACCEPTED_AT), 7),
)


def lines_of_nine(*lines: tuple[int, int]) -> Effects:
    """Order 9 of buyer 7 has these lines."""
    return Effects(PENDING, {9: list(lines)}, {UUID: 201, UUID_2: 409}, made={UUID: 9})


@pytest.mark.parametrize(
    ("lines", "add"),
    [
        ([(3, 2), (3, 1), (4, 2)], ADDED),
        ([(3, 2)], ADD),
        ([(3, 2), (3, 1), (4, 2)], ADD),
        ([(3, 2)], ADD.ended("refused", status=409)),
        ([(3, 2)], ADD_ACCEPTED),
    ],
)
def test_what_was_added_is_there_or_may_be(lines: list[tuple[int, int]], add: Operation) -> None:
    """A success is in the order, in lines of its own; an unknown end may be; a refusal is not."""
    assert lies([OK, add], lines_of_nine(*lines)) == []


@pytest.mark.parametrize(
    ("lines", "add"),
    [
        ([(3, 2)], ADDED),
        ([(3, 3), (4, 1)], ADDED),
        ([(3, 3), (4, 3)], ADDED),
        ([(3, 3), (4, 2)], ADD.ended("refused", status=409)),
        ([(3, 3), (4, 2)], ADD_ACCEPTED),
        ([(3, 3), (4, 3)], ADD),
    ],
)
def test_an_addition_that_is_a_lie(lines: list[tuple[int, int]], add: Operation) -> None:
    """Missing, too much, or there although it was refused."""
    assert "added" in lies([OK, add], lines_of_nine(*lines))[0]


def test_an_addition_to_another_order_is_a_lie() -> None:
    """The answer names the order that was asked for."""
    assert "told order 8" in lies([ADD.ended("ok", status=201, made=8)], ONCE)[0]


def test_every_operation_is_looked_at() -> None:
    """The lies of each, in the order of the history."""
    history: Sequence[Operation] = [OK, replace(QUOTE_REFUSED, number=5), CONFIRM]
    found = lies(history, replace(NOTHING, outcomes={UUID: 201}, payments={9: [5]}))
    assert [one.split(" (")[0] for one in found] == ["operation 1"] * 2 + ["operation 5"]
