"""Which addresses on the network a webhook may go to: rules for a URL's text and for the address behind it.

In: a URL as a client wrote it; an IP address that is about to be connected to. Out: the URL in one canonical spelling,
or `BadUrl` with a sentence for its author; the reason why an address is not for us, or None.
Must stay true: the text is only the first check (clear errors, early); the second runs on the very address of each
connection, because a name may answer differently each time.

Sources: IANA special-purpose address registries (RFC 6890, through `ipaddress`); WHATWG URL Standard, host parsing
("ends in a number"); WHATWG Fetch, "bad port".
"""

import ipaddress
import re

from yarl import URL

URL_LENGTH_MAX = 2048
_FORBIDDEN_CHARACTERS = re.compile(r"[\x00-\x20\x7f-\x9f\\<>\"`{|}^\u2028\u2029\ud800-\udfff]")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LOCAL_NAMES = (
    "localhost",
    "local",
    "internal",
    "intranet",
    "lan",
    "home",
    "corp",
    "private",
    "home.arpa",
)
"""Last labels that only mean something inside a network (RFC 6761, 6762, 8375 and ICANN's reserved ones)."""
_PUBLIC_PORTS = frozenset({80, 443})
_LOWEST_FREE_PORT = 1024
_BAD_PORTS = frozenset(
    {1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6679, 6697, 10080}
    | set(range(6665, 6670))
)
"""The ports over 1023 that a browser refuses because other protocols listen there."""

_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_NOT_REALLY_GLOBAL = tuple(
    ipaddress.ip_network(net)
    # Teredo and 6to4 carry an IPv4 address inside; the others are documentation and benchmarking.
    for net in ("2001::/23", "2002::/16", "2001:db8::/32", "3fff::/20")
)


class BadUrl(ValueError):
    """The URL cannot be a webhook's; the text says why, for the person who wrote it."""


def forbidden_address(text: str) -> str | None:
    """Why nothing may be sent to this IP address; None when it is a public one."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "is no IP address"
    if isinstance(address, ipaddress.IPv4Address):
        public = address.is_global and not (address.is_multicast or address.is_reserved)
        return None if public else "is not a public address"
    if address not in _GLOBAL_UNICAST or not address.is_global:
        # Loopback, unspecified, link-local, unique local, multicast, IPv4-mapped, NAT64: all lie outside.
        return "is not a public address"
    if any(address in network for network in _NOT_REALLY_GLOBAL):
        return "is not a public address"
    return None


def webhook_url(text: str, *, allow_private: bool = False) -> str:
    """The canonical spelling of a webhook's URL. Raises BadUrl."""
    if len(text) > URL_LENGTH_MAX:
        raise BadUrl(f"is longer than {URL_LENGTH_MAX} characters")
    if _FORBIDDEN_CHARACTERS.search(text):
        raise BadUrl("holds a space, a control character or another that must be percent-encoded")
    try:
        url = URL(text)
        port = url.port
    except ValueError:
        raise BadUrl("is no URL that can be understood") from None
    _check_shape(url)
    host = _canonical_host(url)
    if not allow_private:
        _check_host(host)
        _check_port(port)
    canonical = str(url.with_host(host))
    if len(canonical) > URL_LENGTH_MAX or not canonical.isascii():
        raise BadUrl(f"is longer than {URL_LENGTH_MAX} characters when written in ASCII")
    return canonical


def _check_shape(url: URL) -> None:
    if url.scheme not in ("https", "http"):
        raise BadUrl("does not begin with https:// or http://")
    if not url.raw_host:
        raise BadUrl("names no host")
    if url.raw_user is not None or url.raw_password is not None:
        raise BadUrl("carries a user name or a password; check the signature instead")
    if url.raw_fragment:
        raise BadUrl("has a fragment (#…), which is never sent")
    if url.port == 0:
        raise BadUrl("has the port 0")


def _canonical_host(url: URL) -> str:
    """Lower-case ASCII, without the root's dot; an IP address only in its usual spelling."""
    host = (url.raw_host or "").lower().rstrip(".")
    if "%" in host:
        raise BadUrl("has a percent sign in its host (an encoded name, or an IPv6 zone)")
    if ":" in host:
        return str(ipaddress.IPv6Address(host))
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadUrl("has a host name that cannot exist")
    if _NUMBER.fullmatch(labels[-1]):
        # 2130706433, 0x7f.1, 0177.0.0.1 and 127.1 all reach 127.0.0.1: one spelling is enough.
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise BadUrl("has an IPv4 address that is not four decimal numbers") from None
    return host


def _check_host(host: str) -> None:
    if ":" in host or host.rpartition(".")[2].isdigit():
        if reason := forbidden_address(host):
            raise BadUrl(f"leads to {host}, which {reason}")
        return
    if "." not in host or any(host == name or host.endswith("." + name) for name in _LOCAL_NAMES):
        raise BadUrl("has a host name that only means something inside a network")


def _check_port(port: int | None) -> None:
    if port in _PUBLIC_PORTS:
        return
    if port is None or port < _LOWEST_FREE_PORT or port in _BAD_PORTS:
        raise BadUrl("has a port where no web server listens; 80, 443 and most from 1024 are fine")
