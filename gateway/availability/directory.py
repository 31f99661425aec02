"""Which event a ticket type belongs to: needed to send an order to its shard, and never changing.

In: ticket type ids. Out: their facts.
Must stay true: only what cannot change is kept (the event; that a type is deleted), so that a copy may be
old; orders for known types are accepted while MySQL is away. Types of drafts are read each time, for they are there for
their organizer and admins alone; of one that became a draft after it was public the worker says so.
"""

from collections import OrderedDict
from collections.abc import Sequence

from aiohttp import web

from contracts.models import Principal
from db import catalogue
from db.catalogue import TypeFacts
from db.mysql.database import Database
from gateway.caching.batched_reads import Batched

KEPT_MAX = 50_000


def may_see_draft(caller: Principal | None, organizer_id: int | None) -> bool:
    """Whether a draft of this organizer is there for the caller."""
    return caller is not None and (caller.user_id == organizer_id or caller.has(("ADMIN",)))


class Directory:
    """Facts of ticket types, kept in this process."""

    def __init__(self, database: Database, size: int = KEPT_MAX) -> None:
        self._database = database
        self._size = size
        self._facts: OrderedDict[int, TypeFacts] = OrderedDict()
        self._batched: Batched[int, TypeFacts] = Batched(self._read)

    def known_event_of(self, type_id: int) -> int | None:
        """The event of a ticket type that is known to exist, without asking anybody; None for any other."""
        facts = self._facts.get(type_id)
        return None if facts is None or facts.deleted else facts.event_id

    async def event_of(self, type_id: int) -> int | None:
        """The event of a ticket type, None when there is no such type (any more)."""
        facts = (await self._facts_of([type_id]))[type_id]
        return facts.event_id if facts and not facts.deleted else None

    async def events_of(self, type_ids: Sequence[int], caller: Principal) -> dict[int, int]:
        """The events of those ticket types that exist for the caller. Raises what MySQL raises when it is asked."""
        known = await self._facts_of(type_ids)
        return {
            type_id: facts.event_id
            for type_id, facts in known.items()
            if facts
            and not facts.deleted
            and (not facts.concealed or may_see_draft(caller, facts.organizer_id))
        }

    async def _facts_of(self, type_ids: Sequence[int]) -> dict[int, TypeFacts | None]:
        known = {type_id: self._facts.get(type_id) for type_id in type_ids}
        missing = [type_id for type_id, facts in known.items() if facts is None]
        if missing:
            known |= await self._batched.find(missing)
        return known

    async def _read(self, type_ids: Sequence[int]) -> dict[int, TypeFacts]:
        found = await catalogue.facts_of_types(self._database, type_ids)
        # Unknown ids are not kept: they may come to exist, and anybody can invent them.
        self._facts.update({id_: facts for id_, facts in found.items() if not facts.concealed})
        while len(self._facts) > self._size:
            self._facts.popitem(last=False)
        return found

    async def close(self) -> None:
        """Give up what is under way."""
        await self._batched.close()

    def forget(self, type_id: int) -> None:
        """The type may have been deleted."""
        self._facts.pop(type_id, None)


DIRECTORY = web.AppKey("directory", Directory)
