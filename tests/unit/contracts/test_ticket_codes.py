"""Codes of tickets: derived alike each time, verified by anybody, forged by nobody; keys that follow each other."""

from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from contracts.messaging.signing import to_text
from contracts.tickets.codes import (
    CODE_LENGTH_MAX,
    NoSigningKey,
    TicketClaims,
    TicketKey,
    TicketKeys,
    printable_code,
)
from db.tickets.keys import PUBLISHED_SECONDS, _Newest, next_signs_from

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
MONTH = 30 * 86400
IDS = st.integers(1, 2**63 - 1)


def key(kid: str, signs_from: datetime = NOW, *, seed: int = 1, private: bool = True) -> TicketKey:
    """A key of a known seed."""
    secret = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    return TicketKey(kid, secret.public_key(), signs_from, secret if private else None)


KEYS = TicketKeys([key("one")])


@given(IDS, IDS, IDS, IDS)
def test_a_code_says_what_it_was_made_of(tid: int, eid: int, tty: int, ver: int) -> None:
    """The same claims, the same code; verified by us and by a library that knows the public key alone."""
    claims = TicketClaims(tid, eid, tty, ver)
    code = KEYS.code(claims, NOW)
    assert code == KEYS.code(claims, NOW)
    assert len(code) <= CODE_LENGTH_MAX
    assert KEYS.verify(code) == claims
    public = jwt.PyJWKSet.from_dict(KEYS.to_jwks())["one"]
    assert jwt.decode(code, public, algorithms=["EdDSA"])["tid"] == tid


@given(st.text(max_size=400))
def test_any_text_is_no_code(text: str) -> None:
    """Never an error."""
    assert KEYS.verify(text) is None
    assert printable_code(text) in (text, "")


@given(st.integers(0, 250), st.characters())
def test_a_changed_code_is_none(at: int, letter: str) -> None:
    """Every character counts."""
    code = KEYS.code(TicketClaims(1, 2, 3, 4), NOW)
    changed = code[: at % len(code)] + letter + code[at % len(code) + 1 :]
    assert (KEYS.verify(changed) is not None) == (changed == code)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"tid":1,"eid":2,"tty":3}',
        b'{"tid":"1","eid":2,"tty":3,"ver":4}',
        b'{"tid":1.0,"eid":2,"tty":3,"ver":4}',
        b'{"tid":true,"eid":2,"tty":3,"ver":4}',
        b'{"tid":0,"eid":2,"tty":3,"ver":4}',
        b'{"tid":1,"eid":2,"tty":3,"ver":4,"vip":true}',
        b'{"eid":2,"tid":1,"tty":3,"ver":4}',
        b'{"tid": 1,"eid":2,"tty":3,"ver":4}',
        b"[]",
        b"",
    ],
)
def test_a_payload_that_we_never_write_is_none(payload: bytes) -> None:
    """Even under our own signature."""
    one = key("one")
    signed = f"{one.header('ticket+jwt')}.{to_text(payload)}"
    assert one.private is not None
    code = f"{signed}.{to_text(one.private.sign(signed.encode()))}"
    assert KEYS.verify(code) is None


def test_a_bundles_signature_is_no_tickets() -> None:
    """Types keep them apart: the same key, another header."""
    detached = KEYS.detached(TicketClaims(1, 2, 3, 4).to_bytes(), NOW)
    header, _, signature = detached.split(".")
    attached = f"{header}.{to_text(TicketClaims(1, 2, 3, 4).to_bytes())}.{signature}"
    assert KEYS.verify(attached) is None


def test_the_newest_key_whose_time_has_come_signs() -> None:
    """A published one waits; a retired one verifies; one that cannot be opened signs nothing."""
    old, new = key("old", NOW - timedelta(days=30), seed=1), key("new", NOW, seed=2)
    keys = TicketKeys([new, old])
    early, late = NOW - timedelta(seconds=1), NOW
    claims = TicketClaims(1, 2, 3, 4)
    assert [keys.signer(at).kid for at in (early, late)] == ["old", "new"]
    assert keys.verify(keys.code(claims, early)) == keys.verify(keys.code(claims, late)) == claims
    assert [one["kid"] for one in keys.to_jwks()["keys"]] == ["old", "new"]
    with pytest.raises(NoSigningKey):
        TicketKeys([key("new", private=False)]).signer(NOW)
    with pytest.raises(NoSigningKey):
        TicketKeys([key("new", NOW + timedelta(hours=1))]).signer(NOW)


def test_the_next_key_is_made_in_time() -> None:
    """The first signs at once; each next one is published an hour before; one that cannot be opened is replaced."""
    published = timedelta(seconds=PUBLISHED_SECONDS)
    assert next_signs_from(None, NOW, MONTH) == NOW
    fresh = _Newest(1, NOW, usable=True)
    assert next_signs_from(fresh, NOW, MONTH) is None
    due = NOW + timedelta(seconds=MONTH) - published
    assert next_signs_from(fresh, due - timedelta(seconds=1), MONTH) is None
    assert next_signs_from(fresh, due, MONTH) == due + published
    waiting = _Newest(2, NOW + published, usable=True)
    assert next_signs_from(waiting, NOW, MONTH) is None
    assert next_signs_from(_Newest(2, NOW, usable=False), NOW, MONTH) == NOW
