"""How much of a gateway one address or one account may hold open at once.

In: connections as they come and go, event streams as they begin and end. Out: yes or no.
Must stay true: what was taken is given back once; addresses of exempt networks and of trusted proxies (all the world
stands behind one) are not counted; an IPv6 customer counts as one address (see `client_addresses`).
"""

import asyncio
from collections import Counter
from collections.abc import Hashable
from typing import Generic, TypeVar

from aiohttp import web

from gateway.http.client_addresses import Networks, counted_as

K = TypeVar("K", bound=Hashable)


class Shares(Generic[K]):
    """At most `most` at once for each key; 0: no limit."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: Counter[K] = Counter()

    def take(self, key: K) -> bool:
        """Whether the key may have one more; then it has."""
        if self._most and self._held[key] >= self._most:
            return False
        self._held[key] += 1
        return True

    def give_back(self, key: K) -> None:
        """One less."""
        self._held[key] -= 1
        if self._held[key] <= 0:
            del self._held[key]


class Connections:
    """The connections of one gateway process, by address."""

    def __init__(self, most: int, exempt: Networks, proxies: Networks) -> None:
        self._shares: Shares[str] = Shares(most)
        self._exempt, self._proxies = exempt, proxies

    def take(self, transport: asyncio.BaseTransport) -> str | None:
        """The name a new connection is counted under, "" when it is not counted; None: it is one too many."""
        peer = transport.get_extra_info("peername")
        address = peer[0] if isinstance(peer, tuple) else None
        if address is None or self._exempt.holds(address) or self._proxies.holds(address):
            return ""
        name = counted_as(address)
        return name if self._shares.take(name) else None

    def give_back(self, name: str) -> None:
        """The connection is gone."""
        if name:
            self._shares.give_back(name)


CONNECTIONS = web.AppKey("connections", Connections)
STREAMS = web.AppKey("streams", Shares[int])
"""Event streams by account."""
