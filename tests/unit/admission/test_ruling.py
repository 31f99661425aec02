"""What a scan ends in: the decision table over its full product, and what must hold over any history."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.tickets.codes import TicketClaims
from contracts.tickets.scans import Admission, Ruling
from contracts.tickets.ticket import TicketRow
from workers.admission.ruling import Asking, Door, ScanAsked

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HERE, THERE = 3, 4
GATE = Asking(1, "North", HERE)
FIRST = Admission(b"f" * 16, 2, "South", NOW - timedelta(minutes=5))


def ticket(status: str = "VALID", version: int = 2, event_id: int = HERE) -> TicketRow:
    """Ticket 6, transferred once."""
    used = FIRST.at if status == "USED" else None
    return TicketRow(6, 1, event_id, 9, 1, 5, None, status, version, NOW, used)


def asked(
    version: int = 2,
    *,
    offline: bool = False,
    id_: bytes = b"i" * 16,
    event_id: int = HERE,
    tid: int = 6,
    gate: Asking = GATE,
) -> ScanAsked:
    """A scan of its code."""
    claims = TicketClaims(tid, event_id, 9, version)
    return ScanAsked(gate, id_, id_.hex(), claims, NOW, offline)


TABLE = {
    ("VALID", 2): ("ADMITTED", "ADMITTED"),
    ("USED", 2): ("ALREADY_USED", "CONFLICT"),
    ("VOID", 2): ("VOID", "VOID_ADMITTED"),
    ("VALID", 1): ("VOID", "VOID_ADMITTED"),
    ("USED", 1): ("VOID", "VOID_ADMITTED"),
    ("VOID", 1): ("VOID", "VOID_ADMITTED"),
    ("VALID", 3): ("UNKNOWN", "UNKNOWN"),
}


@pytest.mark.parametrize(("state", "offline"), itertools.product(TABLE, (False, True)))
def test_the_table(state: tuple[str, int], offline: bool) -> None:
    """Status and version of the code, as a question and as a fact."""
    status, version = state
    door = Door({6: ticket(status)}, {6: FIRST} if status == "USED" else {}, {})
    assert door.rule(asked(version, offline=offline)).ruling == TABLE[state][offline]


@pytest.mark.parametrize("offline", [False, True])
def test_what_is_no_ticket_of_this_door(offline: bool) -> None:
    """No signature, another event, a ticket that is not there: nothing is told of them."""
    nothing = ScanAsked(GATE, b"i" * 16, "i", None, NOW, offline)
    assert Door({}, {}, {}).rule(nothing).ruling is Ruling.UNKNOWN
    wrong = Door({6: ticket(event_id=THERE)}, {}, {}).rule(asked(event_id=THERE, offline=offline))
    assert (wrong.ruling, wrong.ticket, wrong.first) == (Ruling.WRONG_EVENT, None, None)
    assert Door({}, {}, {}).rule(asked(offline=offline)).ruling is Ruling.UNKNOWN


def test_a_second_entry_names_the_first() -> None:
    """Gate and time."""
    told = Door({6: ticket("USED")}, {6: FIRST}, {}).rule(asked()).to_json()
    assert told["firstGate"] == {"id": 2, "name": "South"}
    assert told["firstAt"] == "2026-05-01T11:55:00.000000Z"


def test_a_question_that_was_admitted_is_the_fact_of_its_id() -> None:
    """A gate that did not hear its answer has let in nobody else; one that was refused has."""
    door = Door({6: ticket()}, {}, {})
    assert door.rule(asked()).ruling is Ruling.ADMITTED
    assert door.rule(asked(offline=True)).ruling is Ruling.ADMITTED
    assert len(door.new) == 1
    other = asked(id_=b"o" * 16)
    assert door.rule(other).ruling is Ruling.ALREADY_USED
    assert door.rule(asked(id_=b"o" * 16, offline=True)).ruling is Ruling.CONFLICT
    assert door.rule(other).ruling is Ruling.ALREADY_USED


SCANS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 3), st.booleans(), st.integers(6, 7)), max_size=12
)


@given(SCANS)
def test_over_any_history(history: list[tuple[int, int, bool, int]]) -> None:
    """Each ticket is admitted once; a scan again is ruled as before; no question is a conflict, no fact a refusal."""
    door = Door({6: ticket(), 7: replace(ticket(version=1), id=7)}, {}, {})
    said: dict[tuple[bytes, bool], Ruling] = {}
    for number, version, offline, tid in history:
        scan = asked(version, offline=offline, id_=bytes([number]) * 16, tid=tid)
        ruled = door.rule(scan).ruling
        key = (scan.id, offline)
        assert said.setdefault(key, ruled) is ruled or ruled is Ruling.ADMITTED
        conflict = ruled in (Ruling.CONFLICT, Ruling.VOID_ADMITTED)
        assert not (conflict and not offline)
        assert not (offline and ruled in (Ruling.ALREADY_USED, Ruling.VOID))
    admitted = [one.ticket_id for one in door.new if one.ruling is Ruling.ADMITTED]
    assert len(admitted) == len(set(admitted)) == len(door.used)
