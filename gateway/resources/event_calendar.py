"""An event as a calendar file, for the calendars of those who go there. A read.

In: an event's id. Out: RFC 5545 iCalendar with one event and the rules of its time zone.
Must stay true: a draft is 404 as everywhere; the same event has the same UID for ever, and a later version of it a
higher SEQUENCE, so that a calendar replaces what it has; times are those of the event's zone, with its rules in the
file, so that no reader needs a table of zones of the same age as ours.

Source: RFC 5545 sections 3.6.1 (event), 3.6.5 (time zone), 3.8.7.4 (sequence); RFC 7986 section 5.3 (UID).
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid5

import orjson
from aiohttp import web
from icalendar import Calendar, Event, Timezone

from contracts.runtime.times import from_wire
from contracts.standards.time_zones import zone
from gateway.caching.catalogue import CATALOGUE
from gateway.http.keys import CONTEXT, path_id
from gateway.http.representations import matches, not_modified
from gateway.http.routing import ANYONE, Route, RouteAnswer
from gateway.resources.events import cache_policy

MEDIA_TYPE = "text/calendar"
FILES_MAX = 1_000
"""Files that are kept, and rules of zones."""
_UIDS = UUID("5f8cf2a4-6a0e-4d2b-9b35-3a3d1a4a7c0e")


@dataclass(frozen=True, slots=True)
class _CalendarEvent:
    """What of an event a calendar shows."""

    id: int
    version: int
    created: str
    updated: str
    starts: str
    ends: str
    timezone: str
    name: str
    venue: str | None
    description: str | None
    cancelled: bool


async def show_event_calendar(request: web.Request) -> web.Response:
    """GET /api/events/{eventId}.ics."""
    event_id = path_id(request, "eventId")
    found = await request.app[CATALOGUE].event(event_id, request[CONTEXT].caller)
    event = _event_of(orjson.loads(found.shown.body))
    # Tickets that are sold change the event's own tag, but nothing here.
    etag, policy = f'"v{event.version}"', cache_policy(found)
    if matches(etag, request.headers.get("If-None-Match")):
        return not_modified(etag, policy)
    headers = {
        "ETag": etag,
        "Content-Disposition": f'inline; filename="event-{event_id}.ics"',
        **policy,
    }
    # Not in the loop: rules of a zone that is asked for the first time take some 20 ms.
    body = await asyncio.to_thread(calendar_file, event)
    return web.Response(body=body, headers=headers, content_type=MEDIA_TYPE, charset="utf-8")


def _event_of(resource: dict[str, Any]) -> _CalendarEvent:
    return _CalendarEvent(
        id=resource["id"],
        version=resource["version"],
        created=resource["createdAt"],
        updated=resource["updatedAt"],
        starts=resource["startTime"],
        ends=resource["endTime"],
        timezone=resource["timezone"],
        name=resource["name"],
        venue=resource["venue"],
        description=resource["description"],
        cancelled=resource["status"] == "CANCELLED",
    )


@lru_cache(maxsize=FILES_MAX)
def calendar_file(event: _CalendarEvent) -> bytes:
    """The file of an event, as bytes."""
    starts, ends = from_wire(event.starts), from_wire(event.ends)
    calendar = Calendar()
    calendar.add("prodid", "-//EventHub//EventHub//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "CANCEL" if event.cancelled else "PUBLISH")
    local = UTC if event.timezone == "UTC" else zone(event.timezone)
    if local is not UTC:
        calendar.add_component(_rules(event.timezone, starts.year - 1, ends.year + 1))
    calendar.add_component(_component(event, starts.astimezone(local), ends.astimezone(local)))
    file: bytes = calendar.to_ical()
    return file


@lru_cache(maxsize=FILES_MAX)
def _rules(name: str, first: int, last: int) -> Timezone:
    """The rules of a zone in these years: those beside the event's too, for calendars let people move things."""
    return Timezone.from_tzinfo(zone(name), name, date(first, 1, 1), date(last, 12, 31))


def _component(event: _CalendarEvent, starts: datetime, ends: datetime) -> Event:
    shown = Event()
    # Alike wherever and however often it is asked for, and no other deployment's: the moment is part of it.
    shown.add("uid", str(uuid5(_UIDS, f"{event.id} {event.created}")))
    shown.add("sequence", event.version)
    shown.add("dtstamp", _to_second(from_wire(event.updated)))
    shown.add("created", _to_second(from_wire(event.created)))
    shown.add("last-modified", _to_second(from_wire(event.updated)))
    shown.add("dtstart", _to_second(starts))
    shown.add("dtend", _to_second(ends))
    shown.add("summary", event.name)
    shown.add("status", "CANCELLED" if event.cancelled else "CONFIRMED")
    if event.venue:
        shown.add("location", event.venue)
    if event.description:
        shown.add("description", event.description)
    return shown


def _to_second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


ROUTES = (
    Route(
        method="GET",
        path="/api/events/{eventId}.ics",
        operation_id="showEventCalendar",
        summary="An event as a calendar file",
        handler=show_event_calendar,
        access=ANYONE,
        answers={
            200: RouteAnswer(None, "RFC 5545 iCalendar.", ("ETag",), media_type=MEDIA_TYPE),
            304: RouteAnswer(None, "It is still what If-None-Match names.", ("ETag",)),
        },
        tag="Events",
        request_headers=("If-None-Match",),
        description="In the event's time zone, with its rules. At most 1 s old.",
    ),
)
