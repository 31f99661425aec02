"""Access tokens: what is issued verifies, what is forged, weak or incomplete does not."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.messaging.signing import to_text
from gateway.accounts.tokens import (
    BadToken,
    Tokens,
    WeakKey,
    parse_keys,
)

KEY, OTHER = bytes(range(32)), bytes(range(100, 132))
SINCE = datetime(2026, 1, 1, tzinfo=UTC)


def keys(*named: tuple[str, bytes]) -> str:
    """EVENTHUB_JWT_KEYS of these."""
    return ",".join(f"{kid}:{to_text(key)}" for kid, key in named)


@pytest.fixture
def tokens() -> Tokens:
    """One key, fifteen minutes."""
    return Tokens(parse_keys(keys(("k1", KEY))), 900)


def claims(**changes: Any) -> dict[str, Any]:
    """A complete set, with changes (None removes)."""
    now = int(time.time())
    whole = {
        "iss": "eventhub",
        "aud": "eventhub",
        "sub": "7",
        "iat": now,
        "exp": now + 60,
        "jti": "x",
        "roles": ["USER"],
        "access": 1,
    } | changes
    return {name: value for name, value in whole.items() if value is not None}


def signed(payload: dict[str, Any], key: bytes = KEY, alg: str = "HS256", **header: Any) -> str:
    """A token made by somebody who knows how."""
    headers = {"kid": "k1", "typ": "at+jwt"} | header
    return jwt.encode(
        payload, key, alg, headers={k: v for k, v in headers.items() if v is not None}
    )


def test_an_issued_token_verifies(tokens: Tokens) -> None:
    """Same caller, same roles, the state of the account it was made for."""
    verified = tokens.verify(tokens.issue(7, ("USER", "ADMIN"), SINCE))
    assert verified.principal.user_id == 7
    assert set(verified.principal.roles) == {"USER", "ADMIN"}
    assert verified.access_micros == int(SINCE.timestamp() * 1e6)
    assert verified.session_id is None
    assert tokens.verify(tokens.issue(7, (), SINCE, 41)).session_id == 41


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "iat", "exp", "jti", "roles", "access"])
def test_every_claim_is_required(tokens: Tokens, claim: str) -> None:
    """A token without one of them is no token."""
    tokens.verify(signed(claims()))
    with pytest.raises(BadToken):
        tokens.verify(signed(claims(**{claim: None})))


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1},
        {"iss": "somebody"},
        {"aud": "somebody"},
        {"aud": ["eventhub", "x"]},
        {"sub": "-1"},
        {"sub": "0"},
        {"sub": "1.0"},
        {"sub": "9" * 30},
        {"sub": "٧"},
        {"roles": ["ROOT"]},
        {"roles": "ADMIN"},
        {"roles": {"ADMIN": 1}},
        {"roles": [["ADMIN"]]},
        {"access": "1"},
        {"access": True},
        {"exp": "9999999999"},
        {"exp": 1e300},
        {"iat": "x"},
        {"nbf": 4102444800},
        {"sid": 5},
        {"sid": "-5"},
        {"sid": ""},
    ],
)
def test_a_wrong_claim_is_refused(tokens: Tokens, changes: dict[str, Any]) -> None:
    """Signed by the right key, and still not good."""
    with pytest.raises(BadToken):
        tokens.verify(signed(claims(**changes)))


@pytest.mark.parametrize("warm", [False, True])
def test_only_hs256_with_a_known_key_counts(tokens: Tokens, warm: bool) -> None:
    """`none`, other algorithms, other keys, unknown kid, wrong type, critical extensions; also once a good token's
    header is remembered."""
    if warm:
        tokens.verify(signed(claims(sub="8")))
    unsigned = jwt.encode(claims(), "", "none", headers={"kid": "k1", "typ": "at+jwt"})
    bad = [
        unsigned,
        signed(claims(), alg="HS512", key=KEY * 2),
        signed(claims(), alg="HS384", key=KEY * 2),
        signed(claims(), key=OTHER),
        signed(claims(), kid="k2"),
        signed(claims(), kid=None),
        signed(claims(), typ="JWT"),
        signed(claims(), crit=["b64"]),
    ]
    for token in bad:
        with pytest.raises(BadToken):
            tokens.verify(token)


def test_a_flipped_bit_is_noticed(tokens: Tokens) -> None:
    """Roles cannot be edited in place, also where others with this header were let in."""
    tokens.verify(tokens.issue(8, ("USER",), SINCE))
    head, _, tail = tokens.issue(7, ("USER",), SINCE).split(".")
    forged = to_text(json.dumps(claims(roles=["ADMIN"])).encode())
    with pytest.raises(BadToken):
        tokens.verify(f"{head}.{forged}.{tail}")


@given(st.text(max_size=300))
def test_any_text_is_a_bad_token(text: str) -> None:
    """No text makes the verifier fail otherwise."""
    with pytest.raises(BadToken):
        Tokens(parse_keys(keys(("k1", KEY))), 900).verify(text)


def test_a_token_verified_before_still_expires(
    tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache remembers who, never until when."""
    token = tokens.issue(7, ("USER",), SINCE)
    tokens.verify(token)
    later = time.time() + 901
    monkeypatch.setattr("gateway.accounts.tokens.time.time", lambda: later)
    with pytest.raises(BadToken):
        tokens.verify(token)


def test_keys_rotate_by_kid() -> None:
    """The first signs, all verify; a key that is gone verifies no more."""
    old = Tokens(parse_keys(keys(("old", KEY))), 900)
    both = Tokens(parse_keys(keys(("new", OTHER), ("old", KEY))), 900)
    new = Tokens(parse_keys(keys(("new", OTHER))), 900)
    early, late = old.issue(7, (), SINCE), both.issue(7, (), SINCE)
    both.verify(early)
    new.verify(late)
    with pytest.raises(BadToken):
        new.verify(early)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "k1",
        "k1:",
        "k1:" + to_text(KEY[:31]),
        "k1:" + to_text(b"a" * 32),
        "k1:" + to_text(b"abcdefgh" * 4),
        "k1:not base64url!",
        ":" + to_text(KEY),
        f"k1:{to_text(KEY)},k1:{to_text(OTHER)}",
        f"k1:{to_text(KEY)},k2:{to_text(OTHER[:16])}",
    ],
)
def test_weak_or_malformed_keys_stop_the_start(text: str) -> None:
    """Short, guessable, nameless or twin keys; the message never repeats one."""
    with pytest.raises(WeakKey) as refused:
        parse_keys(text)
    assert to_text(KEY)[:20] not in str(refused.value)
