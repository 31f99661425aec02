"""An event as a calendar file: the moment is right in the event's zone, whatever the reader knows of zones."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from icalendar import Calendar, Timezone

from gateway.resources.event_calendar import _CalendarEvent, calendar_file

EVENT = _CalendarEvent(
    id=7,
    version=3,
    created="2026-05-01T12:00:00.123456Z",
    updated="2026-05-02T12:00:00.654321Z",
    starts="2030-07-01T18:00:00.000000Z",
    ends="2030-07-01T21:30:00.000000Z",
    timezone="Europe/Berlin",
    name="Jazz; Blues, \\ more",
    venue="Halle 1",
    description="First line\nsecond: line" + "!" * 100,
    cancelled=False,
)


def read(event: _CalendarEvent) -> Calendar:
    """The file as a calendar program reads it."""
    calendar = Calendar.from_ical(calendar_file(event))
    assert isinstance(calendar, Calendar)
    return calendar


def test_a_calendar_shows_what_the_event_is() -> None:
    """Texts come back whole, times are local ones; the version is the sequence."""
    [shown] = read(EVENT).walk("VEVENT")
    assert (shown["summary"], shown["location"]) == (EVENT.name, "Halle 1")
    assert shown["description"] == EVENT.description
    assert (shown["sequence"], shown["status"]) == (3, "CONFIRMED")
    starts = shown.decoded("dtstart")
    assert starts == datetime(2030, 7, 1, 18, tzinfo=UTC)
    assert starts.utcoffset() == timedelta(hours=2)
    assert shown["dtstart"].params["TZID"] == "Europe/Berlin"
    assert shown.decoded("dtend") - starts == timedelta(hours=3, minutes=30)
    assert all(len(line) <= 75 for line in calendar_file(EVENT).split(b"\r\n"))


@pytest.mark.parametrize(
    ("zone", "starts", "local"),
    [
        ("Europe/Berlin", "2030-01-15T18:00:00.000000Z", "20300115T190000"),
        ("Europe/Berlin", "2030-07-15T18:00:00.000000Z", "20300715T200000"),
        ("Asia/Taipei", "2030-07-15T18:00:00.000000Z", "20300716T020000"),
        ("Asia/Kathmandu", "2030-07-15T18:00:00.000000Z", "20300715T234500"),
        ("America/New_York", "2030-11-03T05:30:00.000000Z", "20301103T013000"),
    ],
)
def test_the_rules_of_the_zone_are_in_the_file(zone: str, starts: str, local: str) -> None:
    """Local time as it stands there, and the file's own rules lead from it back to the moment."""
    event = replace(EVENT, timezone=zone, starts=starts, ends="2030-12-01T00:00:00.000000Z")
    text = calendar_file(event).decode()
    assert f"DTSTART;TZID={zone}:{local}" in text
    [rules] = read(event).walk("VTIMEZONE")
    assert isinstance(rules, Timezone)
    moment = datetime.fromisoformat(starts)
    naive = datetime.strptime(local, "%Y%m%dT%H%M%S")
    assert naive.replace(tzinfo=rules.to_tz()).utcoffset() == naive - moment.replace(tzinfo=None)


def test_utc_needs_no_rules() -> None:
    """Z behind the time says all."""
    text = calendar_file(replace(EVENT, timezone="UTC")).decode()
    assert "DTSTART:20300701T180000Z" in text
    assert "VTIMEZONE" not in text


def test_a_cancelled_event_leaves_the_calendars_that_have_it() -> None:
    """The same UID, a later sequence, CANCELLED."""
    off = replace(EVENT, version=4, cancelled=True)
    [before], [after] = read(EVENT).walk("VEVENT"), read(off).walk("VEVENT")
    assert after["uid"] == before["uid"]
    assert (after["sequence"], after["status"]) == (4, "CANCELLED")
    assert read(off)["method"] == "CANCEL"
    [other] = read(replace(EVENT, id=8)).walk("VEVENT")
    assert other["uid"] != before["uid"]
