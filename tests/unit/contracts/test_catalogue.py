"""What may be said of events and ticket types: the limits that requests and commands share."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from contracts.catalogue import EventMembers, EventPatch, TicketTypePatch
from contracts.commands import CreateTicketType, UpdateEvent
from contracts.models import Principal
from contracts.standards.time_zones import zone, zone_names
from gateway.resources.ticket_types import CreateTicketTypeBody, UpdateTicketTypeBody

WHO = {"principal": {"userId": 3, "roles": ["ORGANIZER"]}, "fingerprint": "0" * 32, "eventId": 7}
FINE = {"name": "Seat", "price": "10.00", "quota": 5}


def wrong_members(model: type[BaseModel], members: dict[str, Any]) -> list[str]:
    """Which members the model refuses."""
    with pytest.raises(ValidationError) as refused:
        model.model_validate(members)
    return [str(one["loc"][0]) for one in refused.value.errors()]


@pytest.mark.parametrize(
    ("patch", "wrong"),
    [
        ({"name": None}, ["name"]),
        ({"name": ""}, ["name"]),
        ({"name": "  "}, ["name"]),
        ({"name": "\u200b\u2060\ufeff"}, ["name"]),
        ({"name": "\u2800\u3000\u3164"}, ["name"]),
        ({"name": "\u00ad\ufe0f\U000e0041"}, ["name"]),
        ({"name": "evil\u202etxt"}, ["name"]),
        ({"name": "Opera\u2066"}, ["name"]),
        ({"venue": "\u200b"}, ["venue"]),
        ({"venue": "Hall\u2069"}, ["venue"]),
        ({"timezone": "Europe/Atlantis"}, ["timezone"]),
        ({"timezone": "europe/berlin"}, ["timezone"]),
        ({"timezone": "../../etc/localtime"}, ["timezone"]),
        ({"timezone": ""}, ["timezone"]),
        ({"status": None}, ["status"]),
        ({"salesPaused": "true"}, ["salesPaused"]),
        ({"salesPaused": 1}, ["salesPaused"]),
        ({"salesPaused": None}, ["salesPaused"]),
        ({"refundUntil": "tomorrow"}, ["refundUntil"]),
        ({"name": "x" * 201}, ["name"]),
        ({"name": 5}, ["name"]),
        ({"startTime": None}, ["startTime"]),
        ({"startTime": "tomorrow"}, ["startTime"]),
        ({"startTime": "2026-05-02T12:00:00"}, ["startTime"]),
        ({"startTime": "0001-01-01T00:00:00+23:59"}, ["startTime"]),
        ({"status": "CANCELLED"}, ["status"]),
        ({"organizerId": 4, "version": 9}, ["organizerId", "version"]),
        ({"description": "x" * 10_001, "venue": 7}, ["description", "venue"]),
    ],
)
def test_a_wrong_patch_of_an_event_names_every_member(
    patch: dict[str, object], wrong: list[str]
) -> None:
    """Limits of text, times with an offset, nothing that is the server's to set."""
    assert wrong_members(EventPatch, patch) == wrong


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"price": "-0.01"}, ["price"]),
        ({"price": "0.001"}, ["price"]),
        ({"price": "-1.00"}, ["price"]),
        ({"price": "01.00"}, ["price"]),
        ({"price": "1e3"}, ["price"]),
        ({"price": "NaN"}, ["price"]),
        ({"price": "9999999999999999.99"}, ["price"]),
        ({"price": "\u0661.\u0660\u0660"}, ["price"]),
        ({"quota": 0}, ["quota"]),
        ({"quota": -5}, ["quota"]),
        ({"quota": 2**31}, ["quota"]),
        ({"maxPerOrder": 0}, ["maxPerOrder"]),
        ({"currency": "usd"}, ["currency"]),
        ({"name": "", "price": "", "quota": -1}, ["name", "price", "quota"]),
    ],
)
@pytest.mark.parametrize("model", [CreateTicketTypeBody, CreateTicketType])
def test_what_the_gateway_refuses_the_worker_refuses(
    model: type[BaseModel], fields: dict[str, Any], wrong: list[str]
) -> None:
    """A request and its command have the same limits."""
    about = FINE if model is CreateTicketTypeBody else FINE | WHO
    model.model_validate(about)
    assert wrong_members(model, about | fields) == wrong


@pytest.mark.parametrize("model", [TicketTypePatch, UpdateTicketTypeBody])
@pytest.mark.parametrize("wrong", [True, 1.0, "01", 1e400, [1], {}, 10**30])
def test_numbers_are_strict(wrong: object, model: type[BaseModel]) -> None:
    """Only a JSON integer in range is a count; only text is a price."""
    for name in ("quota", "maxPerOrder", "price"):
        assert wrong_members(model, {name: wrong}) == [name]


@pytest.mark.parametrize("name", ["name", "price", "quota"])
def test_what_has_no_default_cannot_be_removed(name: str) -> None:
    """Null is refused there."""
    assert wrong_members(TicketTypePatch, {name: None}) == [name]


def test_a_command_carries_only_what_the_client_sent_of_a_patch() -> None:
    """A member that was not sent and one that was sent as null are two things."""
    command = UpdateEvent(
        principal=Principal(user_id=3),
        fingerprint="0" * 32,
        event_id=7,
        patch=EventPatch.model_validate({"venue": None}),
    )
    assert command.to_json()["patch"] == {"venue": None}
    again = UpdateEvent.model_validate(command.to_json())
    assert again.patch.model_fields_set == {"venue"}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("Cafe\u0301", "Café"),
        ("\u1112\u1161\u11ab", "한"),
        ("\u212b", "Å"),
        ("شب‌نشینی", "شب‌نشینی"),
        ("👨‍👩‍👧 Day", "👨‍👩‍👧 Day"),
        ("e\u0301" * 200, "é" * 200),
        ("🎺" * 200, "🎺" * 200),
    ],
)
def test_a_name_is_kept_in_one_spelling(sent: str, kept: str) -> None:
    """NFC; joiners inside words and emoji stay; what is kept is what the limit counts, in characters."""
    patch = EventPatch.model_validate({"name": sent, "venue": sent})
    assert (patch.name, patch.venue) == (kept, kept)


def test_a_limit_counts_characters_of_what_is_kept() -> None:
    """201 emoji are too many, and so are 101 letters that are two each in their one spelling."""
    assert wrong_members(EventPatch, {"name": "🎺" * 201}) == ["name"]
    assert wrong_members(EventPatch, {"name": "\u0958" * 101}) == ["name"]
    assert EventPatch.model_validate({"name": "\u0958" * 100}).name == "\u0915\u093c" * 100


def test_null_makes_the_zone_utc_and_ends_refunds() -> None:
    """What a new event has when nothing is said."""
    patch = EventPatch.model_validate({"timezone": None, "refundUntil": None})
    assert patch.values(EventMembers) == {"timezone": "UTC", "refund_until": None}


def test_every_zone_can_be_had() -> None:
    """What may be said has rules: none is a name only."""
    assert {"UTC", "Asia/Taipei", "America/Argentina/Buenos_Aires"} <= zone_names()
    assert all(zone(name).key == name for name in zone_names())
