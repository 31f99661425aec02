"""Webhook bodies, their secrets, and the addresses they may go to."""

import base64
import ipaddress
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.events import EVENTS, PaymentLate
from contracts.webhooks.addresses import BadUrl, forbidden_address, webhook_url
from contracts.webhooks.messages import WEBHOOK_TYPES, subject_of, webhook_body
from contracts.webhooks.secrets import SecretSealer, UnreadableSecret, new_secret
from tests.harness.resources import a_payment

MASTER = "a master secret for tests only and long enough"


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


def test_late_money_of_an_older_release_is_told_with_its_hash() -> None:
    """Its payment lists no receipts and its event has no `receipt`: the late hash is told all the same."""
    payment, late = a_payment(txHash="0x" + "a" * 64), "0x" + "b" * 64
    del payment["receipts"]
    about = {"userId": 5, "eventId": 3, "organizerId": 8, "txHash": late}
    event = PaymentLate.model_validate({"payment": payment, **about})
    assert subject_of(event) == payment | {"receipts": [], "receipt": late}


def test_a_sealed_secret_opens_for_its_account_only() -> None:
    """Not for another account, not under another master secret, not when a bit is wrong."""
    secret = new_secret()
    sealed = SecretSealer(MASTER).seal(secret, 5)
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    assert secret.encode() not in sealed
    assert SecretSealer(MASTER).open(sealed, 5) == secret
    assert SecretSealer(MASTER).seal(secret, 5) != sealed
    broken = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for sealer, raw, account in (
        (SecretSealer(MASTER), sealed, 6),
        (SecretSealer(MASTER + "!"), sealed, 5),
        (SecretSealer(MASTER), broken, 5),
        (SecretSealer(MASTER), b"", 5),
    ):
        with pytest.raises(UnreadableSecret):
            sealer.open(raw, account)


def test_a_secret_outlives_the_master_secret_it_was_sealed_under() -> None:
    """While both are named it opens, in either order, and is sealed anew under the first alone."""
    new = "the next master secret, no less long".replace(",", "")
    secret = new_secret()
    old_sealed = SecretSealer(MASTER).seal(secret, 5)
    both, before = SecretSealer(f"{new},{MASTER}"), SecretSealer(f"{MASTER}, {new}")
    assert both.open(old_sealed, 5) == before.open(old_sealed, 5) == secret
    assert before.renewed(old_sealed, 5) is None
    renewed = both.renewed(old_sealed, 5)
    assert renewed is not None
    assert both.renewed(renewed, 5) is None
    assert SecretSealer(new).open(renewed, 5) == secret
    assert before.open(renewed, 5) == secret
    with pytest.raises(UnreadableSecret):
        SecretSealer(MASTER).open(renewed, 5)
    assert (both.rotating, SecretSealer(new).rotating) == (True, False)


@given(st.integers(0, 2**32 - 1))
def test_an_ipv4_address_is_public_or_refused_in_every_dress(number: int) -> None:
    """Inside IPv6 (mapped, 6to4, NAT64, Teredo, compatible) nothing is reached, public or not."""
    inner = ipaddress.IPv4Address(number)
    if not inner.is_global or inner.is_multicast or inner.is_reserved:
        assert forbidden_address(str(inner)), "the standard library knows better"
    dresses = [
        ipaddress.IPv6Address((0xFFFF << 32) | number),
        ipaddress.IPv6Address((0x2002 << 112) | (number << 80)),
        ipaddress.IPv6Address((0x64FF9B << 96) | number),
        ipaddress.IPv6Address((0x20010000 << 96) | (0xFFFFFFFF ^ number)),
        ipaddress.IPv6Address(number),
    ]
    assert all(forbidden_address(str(one)) for one in dresses)


@pytest.mark.parametrize(
    "address",
    [
        "168.63.129.16",
        "100.100.100.200",
        "169.254.169.254",
        "192.0.0.192",
        "192.0.0.9",
        "192.0.0.10",
        "192.80.8.124",
        "161.26.0.10",
        "166.11.255.255",
        "192.88.99.1",
        "192.31.196.1",
        "192.52.193.1",
        "192.175.48.1",
        "198.19.255.255",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fe80::a9fe:a9fe",
        "2001:4:112::1",
        "2620:4f:8000::1",
        "3fff::1",
        "5f00::1",
        "64:ff9b::a83f:8110",
        "64:ff9b:1::1",
        "100::1",
        "::ffff:168.63.129.16",
    ],
)
def test_special_addresses_are_not_public(address: str) -> None:
    """Every special-purpose registry's, and what clouds keep for themselves among public numbers."""
    assert forbidden_address(address) == "is not a public address"


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "168.63.129.17", "192.80.8.125", "166.7.255.255", "2606:4700::1111"]
)
def test_their_neighbours_are(address: str) -> None:
    """A list that forbids everything would pass the test above."""
    assert forbidden_address(address) is None


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
