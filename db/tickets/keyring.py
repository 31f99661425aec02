"""The keys of ticket codes as a process remembers them: read again now and then, and when an unknown one turns up.

In: the database, the sealer. Out: `TicketKeys`.
Must stay true: a key that was published an hour before it signs is known long before; what nobody has signed costs one
read a second at the most; while the database is away the keys of before go on.
"""

import asyncio
import time
from collections.abc import Callable, Iterable

from contracts.messaging.sealing import Sealer
from contracts.tickets.codes import TicketKeys
from db.mysql.database import Database, is_away
from db.tickets import keys

FRESH_SECONDS = 30.0
UNKNOWN_SECONDS = 1.0


class Keyring:
    """One process's copy."""

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database, self._sealer, self._monotonic = database, sealer, monotonic
        self._keys: TicketKeys | None = None
        self._read_at = 0.0
        self._reading = asyncio.Lock()

    async def keys(self) -> TicketKeys:
        """The keys, at most half a minute old. Raises the database's errors when there are none yet."""
        return await self._not_older(FRESH_SECONDS)

    async def keys_for(self, codes: Iterable[str]) -> TicketKeys:
        """The keys for these codes: read again when one of them names a key that is not known."""
        known = await self.keys()
        if all(known.knows(code) for code in codes):
            return known
        return await self._not_older(UNKNOWN_SECONDS)

    async def _not_older(self, seconds: float) -> TicketKeys:
        if self._keys is not None and self._monotonic() - self._read_at < seconds:
            return self._keys
        async with self._reading:
            if self._keys is None or self._monotonic() - self._read_at >= seconds:
                await self._read()
        assert self._keys is not None, "_read sets it or raises"
        return self._keys

    async def _read(self) -> None:
        try:
            self._keys = await keys.read(self._database, self._sealer)
        except Exception as error:
            if self._keys is None or not is_away(error):
                raise
        self._read_at = self._monotonic()
