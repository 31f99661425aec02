"""Events and ticket types as this gateway shows them: copies of under a second, pages of under 30 s.

In: ids, queries. Out: ready JSON with its entity tag.
Must stay true: one event or type is at most 1 s old in everything, and what this gateway was told of a
change is shown at once; what does not exist is never kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson
from aiohttp import web
from redis.asyncio import Redis

from contracts.models import Principal
from contracts.resources import (
    event_etag,
    event_resource,
    ticket_type_etag,
    ticket_type_resource,
)
from contracts.runtime.times import to_wire
from db import catalogue
from db.catalogue import EventRead, Search
from db.mysql.database import Database
from gateway.availability.directory import may_see_draft
from gateway.caching.event_list import EventList, ListPage
from gateway.caching.short_lived import Fresh
from gateway.http.models import PageQuery
from gateway.http.paging import from_cursor, page
from gateway.http.problems import not_found
from gateway.http.representations import Representation

COPY_SECONDS = 0.8
"""Less than the second that is promised: an answer takes its time, too."""
COPIES_BYTES = 16 * 1024 * 1024
"""Of events; as much again of ticket types."""
NO_EVENT = "There is no such event, or it is not yours."
NO_TICKET_TYPE = "There is no such ticket type, or it is not yours."


@dataclass(frozen=True, slots=True)
class CachedResource:
    """A resource as JSON with its entity tag, and whose event it is (about)."""

    shown: Representation
    event_id: int
    organizer_id: int
    concealed: bool
    """There for its organizer and admins alone."""


class Catalogue:
    """The reads of the catalogue in this process."""

    def __init__(self, database: Database, redis: Redis) -> None:
        self._database = database
        self._events: Fresh[int, CachedResource] = Fresh(COPY_SECONDS, COPIES_BYTES, _weigh)
        self._types: Fresh[int, CachedResource] = Fresh(COPY_SECONDS, COPIES_BYTES, _weigh)
        self._list = EventList(redis)

    async def event(self, event_id: int, caller: Principal | None) -> CachedResource:
        """An event that is there for the caller. Raises Refusal (404)."""
        found = await self._events.get(event_id, lambda: self._read_event(event_id))
        if found.concealed and not may_see_draft(caller, found.organizer_id):
            raise not_found(NO_EVENT)
        return found

    async def ticket_type(self, type_id: int, caller: Principal | None) -> CachedResource:
        """A ticket type that is there for the caller. Raises Refusal (404)."""
        found = await self._types.get(type_id, lambda: self._read_type(type_id))
        if found.concealed and not may_see_draft(caller, found.organizer_id):
            raise not_found(NO_TICKET_TYPE)
        return found

    async def managed_event(self, event_id: int, caller: Principal) -> CachedResource:
        """An event that the caller may manage. Raises Refusal (404) for foreign ones."""
        shown = await self.event(event_id, caller)
        if shown.organizer_id != caller.user_id and not caller.has(("ADMIN",)):
            raise not_found(NO_EVENT)
        return shown

    def changed(self, event_id: int | None, type_id: int | None) -> None:
        """A command changed (or may have changed) these: read them again."""
        if event_id is not None:
            self._events.drop(event_id)
        if type_id is not None:
            self._types.drop(type_id)

    async def published(self, search: Search, query: str, limit: int) -> ListPage:
        """A page of published events; `query` is the text of the search, the same for all that ask the same."""

        async def build() -> bytes:
            found = await catalogue.list_published(self._database, search, limit + 1)
            return _page(
                found, limit, lambda one: (to_wire(one.row.start_time), one.row.id), _listed
            )

        return await self._list.page(query, build, shared=_is_front_page(search))

    async def of_organizer(self, organizer_id: int, wanted: PageQuery) -> bytes:
        """A page of an organizer's events in every status. Raises Refusal (400)."""
        below = int(from_cursor(wanted.cursor, int)[0]) if wanted.cursor else None
        found = await catalogue.list_of_organizer(
            self._database, organizer_id, below, wanted.limit + 1
        )
        return _page(found, wanted.limit, lambda one: (one.row.id,), _shown)

    async def _read_event(self, event_id: int) -> CachedResource:
        found = await catalogue.find_event(self._database, event_id)
        if found is None:
            raise not_found(NO_EVENT)
        resource = event_resource(found.row, found.ticket_types)
        shown = Representation(orjson.dumps(resource), event_etag(resource))
        row = found.row
        return CachedResource(shown, event_id, row.organizer_id, row.concealed)

    async def _read_type(self, type_id: int) -> CachedResource:
        found = await catalogue.find_ticket_type(self._database, type_id)
        if found is None:
            raise not_found(NO_TICKET_TYPE)
        resource = ticket_type_resource(found.row)
        shown = Representation(orjson.dumps(resource), ticket_type_etag(resource))
        return CachedResource(shown, found.row.event_id, found.organizer_id, found.concealed)


def _weigh(copy: CachedResource) -> int:
    return copy.shown.kept_bytes


def _is_front_page(search: Search) -> bool:
    """What everybody sees who opens the list. Words, times and cursors are endless: one can think of any number."""
    return search == Search()


def _page(
    found: Sequence[EventRead],
    limit: int,
    key: Callable[[EventRead], tuple[int | str, ...]],
    show: Callable[[EventRead], dict[str, object]],
) -> bytes:
    return orjson.dumps(page(found, limit, key, show))


def _shown(event: EventRead) -> dict[str, object]:
    return event_resource(event.row, event.ticket_types)


def _listed(event: EventRead) -> dict[str, object]:
    """Without the description: a list is for choosing, and descriptions are most of an event's bytes."""
    shown = _shown(event)
    del shown["description"]
    return shown


CATALOGUE = web.AppKey("catalogue", Catalogue)
