"""Webhook bodies, their secrets, and the addresses they may go to."""

import base64
import ipaddress
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.events import EVENTS
from contracts.webhooks.addresses import BadUrl, forbidden_address, webhook_url
from contracts.webhooks.messages import WEBHOOK_TYPES, webhook_body
from contracts.webhooks.secrets import SecretSealer, UnreadableSecret, new_secret

MASTER = "a master secret for tests only, long enough"


def test_a_webhook_type_is_its_events_topic() -> None:
    """`eventhub.order.placed.v1` leaves as `order.placed`."""
    for event, name in WEBHOOK_TYPES.items():
        assert name == event.TOPIC
        assert EVENTS[event.TYPE] is event


def test_a_body_has_four_members() -> None:
    """`{type, timestamp, data, sequence}`."""
    text = webhook_body("order.placed", datetime(2026, 5, 1, tzinfo=UTC), {"id": 1}, 3)
    assert orjson.loads(text) == {
        "type": "order.placed",
        "timestamp": "2026-05-01T00:00:00.000000Z",
        "data": {"id": 1},
        "sequence": 3,
    }


def test_a_sealed_secret_opens_for_its_account_only() -> None:
    """Not for another account, not under another master secret, not when a bit is wrong."""
    secret = new_secret()
    sealed = SecretSealer(MASTER).seal(secret, 5)
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    assert secret.encode() not in sealed
    assert SecretSealer(MASTER).open(sealed, 5) == secret
    assert SecretSealer(MASTER).seal(secret, 5) != sealed
    broken = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for vault, raw, account in (
        (SecretSealer(MASTER), sealed, 6),
        (SecretSealer(MASTER + "!"), sealed, 5),
        (SecretSealer(MASTER), broken, 5),
        (SecretSealer(MASTER), b"", 5),
    ):
        with pytest.raises(UnreadableSecret):
            vault.open(raw, account)


@given(st.integers(0, 2**32 - 1))
def test_an_ipv4_address_is_public_or_refused_in_every_dress(number: int) -> None:
    """Inside IPv6 (mapped, 6to4, NAT64, Teredo, compatible) nothing is reached, public or not."""
    inner = ipaddress.IPv4Address(number)
    public = inner.is_global and not inner.is_multicast and not inner.is_reserved
    assert (forbidden_address(str(inner)) is None) == public
    dresses = [
        ipaddress.IPv6Address((0xFFFF << 32) | number),
        ipaddress.IPv6Address((0x2002 << 112) | (number << 80)),
        ipaddress.IPv6Address((0x64FF9B << 96) | number),
        ipaddress.IPv6Address((0x20010000 << 96) | (0xFFFFFFFF ^ number)),
        ipaddress.IPv6Address(number),
    ]
    assert all(forbidden_address(str(one)) for one in dresses)


@given(st.integers(0, 2**128 - 1))
def test_only_global_unicast_ipv6_is_public(number: int) -> None:
    """Loopback, link-local, unique local, multicast and unspecified all lie outside 2000::/3."""
    address = ipaddress.IPv6Address(number)
    if forbidden_address(str(address)) is None:
        assert address in ipaddress.ip_network("2000::/3")
        assert address.is_global


@given(st.text(max_size=40))
def test_any_text_is_a_url_in_one_spelling_or_a_bad_url(text: str) -> None:
    """Never another exception; the canonical spelling is ASCII and its own canonical spelling."""
    for prefix in ("", "https://", "http://[", "https://example.com/"):
        try:
            url = webhook_url(prefix + text)
        except BadUrl:
            continue
        assert url.isascii()
        assert webhook_url(url) == url
