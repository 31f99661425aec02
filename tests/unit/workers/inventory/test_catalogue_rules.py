"""What may become of events and ticket types: the rules alone, without a database."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.catalogue import EventPatch, TicketTypePatch
from contracts.commands import CreateEvent, CreateTicketType
from contracts.events import EventCancelled
from contracts.messaging.envelope import (
    SINGLE,
    Codec,
    Envelope,
    open_body,
)
from contracts.models import Principal, RoleName
from contracts.problems import Code, Problem
from contracts.resources import EventRow, TicketTypeRow, event_resource
from workers.inventory import catalogue_rules as rules

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
LATER = datetime(2026, 5, 2, 12, tzinfo=UTC)
EVENT = EventRow(
    7, 3, "Concert", None, "Hall", LATER, LATER.replace(hour=20), "PUBLISHED", 4, NOW, NOW
)
TYPE = TicketTypeRow(9, 7, "Seat", Decimal("49.90"), "USD", 100, 60, 10, None, None, 12, NOW, NOW)


def who(user_id: int, *roles: RoleName) -> Principal:
    return Principal(user_id=user_id, roles=roles)


def create_type(**fields: Any) -> CreateTicketType:
    """A command that is fine but for `fields`."""
    values = {"name": "Seat", "price": "10.00", "currency": "USD", "quota": 5, "max_per_order": 2}
    command = CreateTicketType(
        principal=who(3, "ORGANIZER"), fingerprint="0" * 32, event_id=7, **values
    )
    return command.model_copy(update=fields)


def event_patch(members: dict[str, Any]) -> EventPatch:
    """A patch as a client sent it."""
    return EventPatch.model_validate(members)


def type_patch(members: dict[str, Any]) -> TicketTypePatch:
    """A patch as a client sent it."""
    return TicketTypePatch.model_validate(members)


def around(*siblings: TicketTypeRow) -> rules.TypeSurroundings:
    """The event's end, these types, and the currencies of the tests."""
    return rules.TypeSurroundings(EVENT.end_time, siblings, ("USD", "EUR", "JPY"))


def pointers(answer: object) -> list[str]:
    """Which members an INVALID names."""
    assert isinstance(answer, Problem), answer
    assert answer.code is Code.INVALID
    return [pointer for pointer, _ in answer.errors]


@pytest.mark.parametrize(
    ("caller", "code"),
    [
        (who(3, "ORGANIZER"), None),
        (who(3, "ORGANIZER", "USER"), None),
        (who(99, "ADMIN"), None),
        (who(99, "ORGANIZER"), Code.NOT_FOUND),
        (who(3, "USER"), Code.FORBIDDEN),
        (who(99, "USER", "PROVIDER"), Code.FORBIDDEN),
        (who(3), Code.FORBIDDEN),
    ],
)
def test_only_its_organizer_and_admins_change_an_event(
    caller: Principal, code: Code | None
) -> None:
    """The owner with the role and any admin may; a foreign organizer sees nothing; the rest is forbidden."""
    refusal = rules.may_manage(caller, EVENT)
    assert (refusal.code if refusal else None) == code


def test_who_lacks_the_role_learns_nothing_of_what_exists() -> None:
    """403 comes before 404: an unknown event is FORBIDDEN for a buyer, NOT_FOUND for an admin."""
    forbidden, missing = (
        rules.may_manage(who(1, "USER"), None),
        rules.may_manage(who(1, "ADMIN"), None),
    )
    assert forbidden
    assert forbidden.code is Code.FORBIDDEN
    assert missing
    assert missing.code is Code.NOT_FOUND


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, None),
        ("*", None),
        (" * ", None),
        ('"v4"', None),
        ('"v4.17"', None),
        ('W/"v4.17"', None),
        ('"v1", "v4"', None),
        ('"x,y" , W/"v4"', None),
        ('"v3"', Code.VERSION_CONFLICT),
        ('"v41"', Code.VERSION_CONFLICT),
        ('"v3.4"', Code.VERSION_CONFLICT),
        ('"abc"', Code.VERSION_CONFLICT),
        ('"v4.x"', Code.VERSION_CONFLICT),
        ('"V4"', Code.VERSION_CONFLICT),
        ('""', Code.VERSION_CONFLICT),
        ("", Code.INVALID),
        ("v4", Code.INVALID),
        ('"v4', Code.INVALID),
        ('"v4" "v4"', Code.INVALID),
        ('*, "v4"', Code.INVALID),
    ],
)
def test_if_match_compares_the_version_part_alone(header: str | None, code: Code | None) -> None:
    """Tags of this version pass, weak or with any stock; others conflict; what is no tag list is INVALID."""
    refusal = rules.precondition(header, 4)
    assert (refusal.code if refusal else None) == code


@given(st.text(max_size=40))
def test_any_if_match_gets_an_answer(header: str) -> None:
    """Whatever a client sends ends in one of the three answers, never in an exception."""
    refusal = rules.precondition(header, 4)
    assert refusal is None or refusal.code in {Code.VERSION_CONFLICT, Code.INVALID}


def test_a_patch_changes_what_it_names_and_nothing_else() -> None:
    """RFC 7396: named members change, null takes the optional away, the others stay."""
    after = rules.patched_event(EVENT, event_patch({"name": "Opera", "venue": None}), [TYPE], NOW)
    assert after == replace(EVENT, name="Opera", venue=None, updated_at=NOW)


@pytest.mark.parametrize("patch", [{}, {"name": "Concert"}, {"description": None}])
def test_a_patch_that_changes_nothing_leaves_the_row(patch: dict[str, object]) -> None:
    """The same row comes back, so that no version is spent on it."""
    assert rules.patched_event(EVENT, event_patch(patch), [TYPE], LATER) is EVENT


@pytest.mark.parametrize(
    ("patch", "wrong"),
    [
        ({"startTime": "2026-05-02T20:00:00Z"}, ["/endTime"]),
        ({"endTime": "2026-05-02T14:00:00+02:00"}, ["/endTime"]),
    ],
)
def test_times_are_judged_as_they_would_stand_after_the_patch(
    patch: dict[str, object], wrong: list[str]
) -> None:
    """INVALID with a pointer, although the time alone is fine."""
    assert pointers(rules.patched_event(EVENT, event_patch(patch), [TYPE], NOW)) == wrong


def test_an_event_does_not_end_before_its_tickets_go_off_sale() -> None:
    """A type on sale until the old end; one that was wrong before is no reason against a later end."""
    on_sale = replace(TYPE, sales_end=EVENT.end_time)
    earlier, later = (
        event_patch({"endTime": f"2026-05-02T{hour}:00:00Z"}) for hour in ("19", "21")
    )
    assert pointers(rules.patched_event(EVENT, earlier, [on_sale], NOW)) == ["/endTime"]
    assert isinstance(rules.patched_event(EVENT, later, [on_sale], NOW), EventRow)
    wrong = replace(TYPE, sales_end=EVENT.end_time + timedelta(days=1))
    assert isinstance(rules.patched_event(EVENT, later, [wrong], NOW), EventRow)


@pytest.mark.parametrize(
    ("patch", "wrong"),
    [
        ({"startTime": "2026-05-01T11:00:00Z"}, ["/startTime"]),
        ({"startTime": "2026-05-01T12:00:00Z"}, ["/startTime"]),
        (
            {"startTime": "2026-04-30T11:00:00Z", "endTime": "2026-04-30T12:00:00Z"},
            ["/startTime"],
        ),
        ({"startTime": "2026-05-01T12:00:01Z"}, None),
    ],
)
def test_an_event_with_sales_is_not_moved_into_the_past(
    patch: dict[str, object], wrong: list[str] | None
) -> None:
    """40 tickets are held or sold: new times lie ahead. An event that nobody bought goes where its organizer says."""
    after = rules.patched_event(EVENT, event_patch(patch), [TYPE], NOW)
    if wrong is None:
        assert isinstance(after, EventRow)
    else:
        assert pointers(after) == wrong
    untouched = replace(TYPE, available=TYPE.quota)
    assert isinstance(rules.patched_event(EVENT, event_patch(patch), [untouched], NOW), EventRow)


def test_a_running_event_with_sales_may_change_all_but_its_past_start() -> None:
    """What was said long ago is not judged again."""
    patch = event_patch({"name": "Opera", "endTime": "2026-05-02T23:00:00Z"})
    during = EVENT.start_time + timedelta(hours=1)
    assert isinstance(rules.patched_event(EVENT, patch, [TYPE], during), EventRow)


def test_an_event_is_hidden_and_shown_only_while_nobody_holds_tickets() -> None:
    """EVENT_HAS_SALES with 40 held or sold; else a draft is concealed, and no more once it is published."""
    hide, show = event_patch({"status": "DRAFT"}), event_patch({"status": "PUBLISHED"})
    refused = rules.patched_event(EVENT, hide, [TYPE], NOW)
    assert isinstance(refused, Problem)
    assert refused.code is Code.EVENT_HAS_SALES
    draft = rules.patched_event(EVENT, hide, [replace(TYPE, available=TYPE.quota)], NOW)
    assert draft == replace(EVENT, status="DRAFT", concealed=True, updated_at=NOW)
    assert rules.patched_event(draft, show, [], LATER) == replace(EVENT, updated_at=LATER)


def test_a_pause_is_no_matter_of_sales() -> None:
    """It stops what comes, not what was bought."""
    paused = rules.patched_event(EVENT, event_patch({"salesPaused": True}), [TYPE], NOW)
    assert paused == replace(EVENT, sales_paused=True, updated_at=NOW)


def test_a_new_event_starts_published_at_version_one() -> None:
    """The caller owns it; times are UTC."""
    command = CreateEvent(
        principal=who(3, "ORGANIZER"),
        fingerprint="0" * 32,
        name="Concert",
        start_time="2030-01-01T20:00:00+02:00",
        end_time="2030-01-01T23:00:00Z",
    )
    row = rules.new_event(command, NOW)
    assert isinstance(row, EventRow)
    assert (row.organizer_id, row.status, row.version) == (3, "PUBLISHED", 1)
    assert row.start_time == datetime(2030, 1, 1, 18, tzinfo=UTC)
    backwards = command.model_copy(update={"end_time": "2030-01-01T18:00:00Z"})
    assert pointers(rules.new_event(backwards, NOW)) == ["/endTime"]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"currency": "EUR"}, ["/currency"]),
        (
            {"sales_start": "2026-05-02T00:00:00Z", "sales_end": "2026-05-02T00:00:00Z"},
            ["/salesEnd"],
        ),
        ({"sales_start": "2026-05-02T20:00:00Z"}, ["/salesStart"]),
        ({"sales_end": "2026-05-02T20:00:00.000001Z"}, ["/salesEnd"]),
    ],
)
def test_a_ticket_type_that_does_not_fit_its_event_or_itself_is_refused(
    fields: dict[str, Any], wrong: list[str]
) -> None:
    """One currency with the event's other types, a window that opens before it closes."""
    assert pointers(rules.new_ticket_type(create_type(**fields), around(TYPE), NOW)) == wrong


@pytest.mark.parametrize(
    ("price", "currency", "wrong"),
    [
        ("100.50", "JPY", ["/price"]),
        ("100.5", "JPY", ["/price"]),
        ("100.00", "JPY", None),
        ("100", "JPY", None),
        ("0.99", "EUR", None),
        ("100.00", "ZZZ", ["/currency"]),
        ("100.00", "GBP", ["/currency"]),
    ],
)
def test_a_price_is_in_a_currency_that_is_taken_and_has_no_more_decimals_than_it(
    price: str, currency: str, wrong: list[str] | None
) -> None:
    """Yen are whole, however they are written; what the setting does not name is refused."""
    row = rules.new_ticket_type(create_type(price=price, currency=currency), around(), NOW)
    if wrong is None:
        assert isinstance(row, TicketTypeRow)
    else:
        assert pointers(row) == wrong


def test_types_of_before_keep_their_currency_their_price_and_their_window() -> None:
    """What was right when it was said stays, and all else of the type can be changed; a new price must fit."""
    row = replace(TYPE, currency="ZZZ", price=Decimal("1.55"), sales_end=LATER.replace(day=9))
    after = rules.patched_ticket_type(row, type_patch({"name": "Box"}), around(row), NOW)
    assert after == replace(row, name="Box", updated_at=NOW)
    yen = replace(row, currency="JPY")
    said_again = {"name": "Box", "price": "1.55", "currency": "JPY"}
    assert isinstance(
        rules.patched_ticket_type(yen, type_patch(said_again), around(yen), NOW), TicketTypeRow
    )
    dearer = rules.patched_ticket_type(yen, type_patch({"price": "2.55"}), around(yen), NOW)
    assert pointers(dearer) == ["/price"]
    later = {"salesEnd": "2026-05-03T00:00:00Z"}
    assert pointers(rules.patched_ticket_type(yen, type_patch(later), around(yen), NOW)) == [
        "/salesEnd"
    ]


def test_a_new_ticket_type_has_its_whole_quota() -> None:
    """Everything is available; the first type of an event chooses the currency."""
    row = rules.new_ticket_type(create_type(currency="EUR"), around(), NOW)
    assert isinstance(row, TicketTypeRow)
    assert (row.quota, row.available, row.currency, row.version) == (5, 5, "EUR", 1)


@pytest.mark.parametrize(("quota", "available"), [(40, 0), (41, 1), (100, 60), (5000, 4960)])
def test_quota_takes_available_along(quota: int, available: int) -> None:
    """40 of 100 are held or sold: any quota from 40 on is fine, and those 40 stay."""
    row = rules.patched_ticket_type(TYPE, type_patch({"quota": quota}), around(TYPE), LATER)
    assert isinstance(row, TicketTypeRow)
    assert (row.quota, row.available) == (quota, available)


@pytest.mark.parametrize("quota", [39, 1, 0])
def test_quota_never_goes_below_what_is_held_or_sold(quota: int) -> None:
    """EVENT_HAS_SALES."""
    answer = rules.patched_ticket_type(TYPE, type_patch({"quota": quota}), around(TYPE), LATER)
    assert isinstance(answer, Problem)
    assert answer.code is Code.EVENT_HAS_SALES


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 10_000))
def test_any_quota_patch_keeps_the_balance(quota: int, taken: int, wanted: int) -> None:
    """quota - available never moves, and available is never negative."""
    before = replace(TYPE, quota=quota + taken, available=quota)
    after = rules.patched_ticket_type(before, type_patch({"quota": wanted}), around(before), LATER)
    if isinstance(after, Problem):
        assert wanted < taken
    else:
        assert after.quota - after.available == taken
        assert after.available >= 0


def test_null_brings_defaults_back() -> None:
    """maxPerOrder returns to 10, a sales window opens."""
    row = replace(TYPE, max_per_order=2, sales_end=LATER)
    after = rules.patched_ticket_type(
        row, type_patch({"maxPerOrder": None, "salesEnd": None}), around(row), NOW
    )
    assert isinstance(after, TicketTypeRow)
    assert (after.max_per_order, after.sales_end) == (10, None)


def test_the_currency_of_sold_tickets_stays() -> None:
    """A type alone in its event may change currency until somebody holds one; with siblings never alone."""
    untouched = replace(TYPE, available=100)
    changed = rules.patched_ticket_type(
        untouched, type_patch({"currency": "EUR"}), around(untouched), NOW
    )
    assert isinstance(changed, TicketTypeRow)
    held = rules.patched_ticket_type(TYPE, type_patch({"currency": "EUR"}), around(TYPE), NOW)
    assert isinstance(held, Problem)
    assert held.code is Code.EVENT_HAS_SALES
    sibling = replace(TYPE, id=10)
    answer = rules.patched_ticket_type(
        untouched, type_patch({"currency": "EUR"}), around(untouched, sibling), NOW
    )
    assert pointers(answer) == ["/currency"]


def test_an_event_with_all_the_types_it_may_have_still_fits_a_message() -> None:
    """The 200th type is taken, the next refused; the longest texts there are make no event too large to be read."""
    siblings = [replace(TYPE, id=2**63 - n, name="\U0001f39f" * 200) for n in range(1, 200)]
    last = rules.new_ticket_type(create_type(), around(*siblings), NOW)
    assert isinstance(last, TicketTypeRow)
    full = [*siblings, replace(siblings[0], id=1)]
    refused = rules.new_ticket_type(create_type(), around(*full), NOW)
    assert isinstance(refused, Problem)
    assert refused.code is Code.INVALID
    prose = replace(
        EVENT, name="\U0001f39f" * 200, venue='"' * 200, description="\U0001f39f" * 10_000
    )
    event = EventCancelled(event=event_resource(prose, full), organizer_id=1)
    envelope = Envelope("1", event.TYPE, "/eventhub/inventory", NOW, event.to_json())
    body = Codec("s" * 32).encode(envelope)
    assert open_body(body, SINGLE) != []


def test_only_untouched_types_are_removable() -> None:
    """Held, sold or still to come back: EVENT_HAS_SALES."""
    refusal = rules.removable(TYPE)
    assert refusal
    assert refusal.code is Code.EVENT_HAS_SALES
    assert rules.removable(replace(TYPE, available=100)) is None


def test_a_cancelled_event_is_final() -> None:
    """SALES_CLOSED for every further change."""
    refusal = rules.still_open(replace(EVENT, status="CANCELLED"))
    assert refusal
    assert refusal.code is Code.SALES_CLOSED
    assert rules.still_open(EVENT) is None
