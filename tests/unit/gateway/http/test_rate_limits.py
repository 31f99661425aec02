"""Rate limits without Redis: the local count, the headers, what a setting may say."""

from typing import Any, cast

import pytest
import structlog
from aiohttp import web
from multidict import CIMultiDict

from contracts.models import Principal
from gateway.http.client_addresses import Networks, client_address, counted_as, network_of
from gateway.http.problems import Refusal
from gateway.http.rate_limits import (
    LIMIT_STATE,
    Limiter,
    limit_headers,
    parse_limit,
)
from gateway.http.routing import LimitClass


class _Request(dict[object, object]):
    def __init__(self, remote: str | None, forwarded: tuple[str, ...]) -> None:
        super().__init__()
        self.remote = remote
        self.headers = CIMultiDict([("X-Forwarded-For", line) for line in forwarded])


def request(remote: str | None = "203.0.113.9", *forwarded: str) -> web.Request:
    """Only what the limiter reads."""
    return cast("web.Request", _Request(remote, forwarded))


def limiter(**changes: str | tuple[str, ...]) -> Limiter:
    """Small limits, no Redis."""
    wanted: dict[str, Any] = {"user": "3/min", "address": "2/min", "login": "1/min", **changes}
    return Limiter(None, **wanted)


@pytest.mark.parametrize(
    ("text", "amount", "window"), [("100/s", 100, 1), ("10/min", 10, 60), ("5/h", 5, 3600)]
)
def test_a_limit_is_read(text: str, amount: int, window: int) -> None:
    """The three units of the settings."""
    assert (parse_limit(text).amount, parse_limit(text).get_expiry()) == (amount, window)


@pytest.mark.parametrize("text", ["", "0/s", "10", "10/day", "-1/s", "1.5/s", "10 / s", "٣/s"])
def test_what_is_no_limit_stops_the_start(text: str) -> None:
    """A typo must not mean "no limit"."""
    with pytest.raises(ValueError, match="no rate limit"):
        parse_limit(text)


@pytest.mark.parametrize(
    ("remote", "proxies", "warned"),
    [("127.0.0.1", (), 1), ("127.0.0.1", ("127.0.0.1",), 0), ("203.0.113.9", (), 0)],
)
def test_a_proxy_that_nobody_named_is_told_of(
    remote: str, proxies: tuple[str, ...], warned: int
) -> None:
    """A forwarded request from an exempt address: the world behind that proxy has no limit. Told once."""
    counted = limiter(off_for=("127.0.0.0/8",), proxies=proxies)
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            counted.is_off(request(remote, "198.51.100.7"))
        counted.is_off(request(remote))
    assert [one["event"] for one in lines] == ["rate_limit.off_behind_proxy"] * warned


async def test_users_and_addresses_are_counted_apart() -> None:
    """Two users behind one address do not take each other's calls; credentials count for the address in any case."""
    counted = limiter()
    for user in (1, 2):
        for _ in range(3):
            await counted.count(request(), LimitClass.DEFAULT, Principal(user_id=user))
    with pytest.raises(Refusal) as refused:
        await counted.count(request(), LimitClass.DEFAULT, Principal(user_id=1))
    assert refused.value.problem.code == "RATE_LIMITED"
    assert 1 <= (refused.value.problem.retry_after or 0) <= 60
    await counted.count(request(), LimitClass.ADDRESS, Principal(user_id=3))
    await counted.count(request(), LimitClass.DEFAULT, None)
    for limit, caller in (
        (LimitClass.DEFAULT, None),
        (LimitClass.ADDRESS, Principal(user_id=4)),
        (LimitClass.LOGIN, Principal(user_id=4)),
    ):
        with pytest.raises(Refusal):
            await counted.count(request(), limit, caller)
    await counted.count(request("203.0.113.10"), LimitClass.DEFAULT, None)


async def test_sign_ins_count_when_they_fail() -> None:
    """Fourteen people sign in from one address; whoever guesses is stopped there, and nowhere else."""
    counted = limiter(address="100/min", login="3/min")
    for _ in range(14):
        await counted.count(request(), LimitClass.LOGIN, None)
    for _ in range(3):
        await counted.count(request(), LimitClass.LOGIN, None)
        await counted.count_failure(request())
    guess = request()
    with pytest.raises(Refusal) as refused:
        await counted.count(guess, LimitClass.LOGIN, None)
    assert refused.value.problem.code == "RATE_LIMITED"
    assert 1 <= (refused.value.problem.retry_after or 0) <= 60
    assert limit_headers(guess[LIMIT_STATE])["RateLimit"].startswith('"login";r=0;t=')
    await counted.count(request("203.0.113.10"), LimitClass.LOGIN, None)
    await counted.count(request(), LimitClass.ADDRESS, None)


def test_a_network_is_a_site_s() -> None:
    """IPv4 /24, IPv6 /48; IPv4 in IPv6 is IPv4; what is no address is one network."""
    assert network_of("203.0.113.9") == network_of("::ffff:203.0.113.200") == "203.0.113.0/24"
    assert network_of("203.0.114.9") == "203.0.114.0/24"
    assert network_of("2001:db8:1:2::1") == network_of("2001:db8:1:ffff::9") == "2001:db8:1::/48"
    assert len(network_of("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")) <= 43
    assert network_of("nonsense") == network_of("unknown") == "unknown"


async def test_the_headers_say_what_is_left() -> None:
    """Policy and state, as the RateLimit draft writes them; a refused call has them too."""
    counted, asked = limiter(), request()
    await counted.count(asked, LimitClass.DEFAULT, None)
    headers = limit_headers(asked[LIMIT_STATE])
    assert headers["RateLimit-Policy"] == '"address";q=2;w=60'
    assert headers["RateLimit"] == '"address";r=1;t=60'
    await counted.count(request(), LimitClass.DEFAULT, None)
    refused = request()
    with pytest.raises(Refusal):
        await counted.count(refused, LimitClass.DEFAULT, None)
    assert limit_headers(refused[LIMIT_STATE])["RateLimit"].startswith('"address";r=0;t=')


def test_networks_that_are_off_are_not_counted() -> None:
    """Also an IPv4 address inside IPv6, and localhost by either name; others are, and so is no address at all."""
    counted = limiter(off_for=("127.0.0.0/8", "10.1.0.0/16"))
    for address in ("127.0.0.1", "::ffff:10.1.2.3", "::1"):
        assert counted.is_off(request(address))
    assert Networks(("::1/128",)).holds("::1")
    for other in ("10.2.0.1", "::2", "unknown", None):
        assert not counted.is_off(request(other))


def test_a_client_behind_trusted_proxies_is_told_apart() -> None:
    """The last address that no trusted proxy has; what the client wrote itself further left never counts."""
    proxies = Networks(("10.0.0.0/8",))
    for remote, forwarded, client in (
        ("10.0.0.1", ("203.0.113.7",), "203.0.113.7"),
        ("10.0.0.1", ("127.0.0.1, 203.0.113.7, 10.0.0.2",), "203.0.113.7"),
        ("10.0.0.1", ("127.0.0.1", "203.0.113.7"), "203.0.113.7"),
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("nonsense",), "10.0.0.1"),
        ("10.0.0.1", ("203.0.113.7, nonsense",), "10.0.0.1"),
        ("203.0.113.9", ("127.0.0.1",), "203.0.113.9"),
        (None, ("127.0.0.1",), "unknown"),
    ):
        assert client_address(request(remote, *forwarded), proxies) == client


def test_an_ipv6_customer_is_one_client() -> None:
    """A /64 has more addresses than anybody can count; IPv4 in IPv6 is IPv4."""
    assert (
        counted_as("2001:db8:1:2::1") == counted_as("2001:db8:1:2:ffff::9") == "2001:db8:1:2::/64"
    )
    assert counted_as("2001:db8:1:3::1") != counted_as("2001:db8:1:2::1")
    assert counted_as("::ffff:203.0.113.9") == counted_as("203.0.113.9") == "203.0.113.9"
    assert counted_as("fe80::1%eth0") == "fe80::/64"
    assert counted_as("nonsense") == "unknown"


def test_a_network_that_cannot_be_read_stops_the_start() -> None:
    """A typo must not switch limits off or on silently."""
    with pytest.raises(ValueError, match="banana"):
        limiter(off_for=("banana",))
