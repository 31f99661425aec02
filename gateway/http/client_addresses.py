"""Whose call it is when nobody is signed in: the client's address, also behind a proxy.

In: a request. Out: an IP address to check against networks, the name under which its calls are counted, and the network
that a sign-in comes from.
Must stay true: X-Forwarded-For counts only as far as trusted proxies wrote it (`EVENTHUB_TRUSTED_PROXIES`);
what a client claims about itself never does. An IPv6 customer has a /64 at least (RFC 6177), so that is what is
counted.
"""

from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from aiohttp import web

Address = IPv4Address | IPv6Address
UNKNOWN = "unknown"
CUSTOMER_PREFIX = 64
NETWORK_PREFIX_4, NETWORK_PREFIX_6 = 24, 48
"""What one site has at the most: whoever moves about in it is no stranger there."""
LOOPBACK = IPv4Address("127.0.0.1")


@lru_cache(maxsize=16_384)
def parsed(text: str) -> Address | None:
    """The address, ::1 and an IPv4 one inside IPv6 as IPv4; None when it is none."""
    try:
        found = ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    if not isinstance(found, IPv6Address):
        return found
    # `localhost` is one machine, whichever of its two addresses a client's resolver names first.
    return LOOPBACK if found.is_loopback else found.ipv4_mapped or found


@lru_cache(maxsize=16_384)
def counted_as(text: str) -> str:
    """The name an address is counted under."""
    address = parsed(text)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, CUSTOMER_PREFIX), strict=False))
    return str(address) if address else UNKNOWN


@lru_cache(maxsize=16_384)
def network_of(text: str) -> str:
    """The network that an address lies in: IPv4 /24, IPv6 /48."""
    address = parsed(text)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, NETWORK_PREFIX_6), strict=False))
    return str(IPv4Network((address, NETWORK_PREFIX_4), strict=False)) if address else UNKNOWN


class Networks:
    """Some networks, and whether an address lies in them. Raises ValueError for what is no network."""

    def __init__(self, networks: tuple[str, ...]) -> None:
        self._networks = tuple(ip_network(one) for one in networks)
        if any(IPv6Address("::1") in one for one in self._networks):
            self._networks += (ip_network("127.0.0.0/8"),)
        self._known: dict[str, bool] = {}

    def __bool__(self) -> bool:
        return bool(self._networks)

    def holds(self, text: str | None) -> bool:
        """Whether the address lies in one of them."""
        if text is None or not self._networks:
            return False
        known = self._known.get(text)
        if known is None:
            if len(self._known) >= 16_384:
                self._known.clear()
            address = parsed(text)
            known = address is not None and any(address in one for one in self._networks)
            self._known[text] = known
        return known


def client_address(request: web.BaseRequest, proxies: Networks) -> str:
    """The client's address: the connection's, or, through trusted proxies, the last one that none of them has."""
    address = request.remote or UNKNOWN
    if not proxies.holds(address):
        return address
    hops = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
    for hop in reversed(hops):
        found = parsed(hop)
        if found is None:
            break
        address = str(found)
        if not proxies.holds(address):
            break
    return address
