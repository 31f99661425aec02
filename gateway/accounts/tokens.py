"""Access tokens: JSON Web Tokens after RFC 8725 (best practices) and RFC 9068 (access tokens).

In: a user at sign-in; later the token. Out: a token; the verified caller.
Must stay true: HS256 and nothing else; every claim is required, but for the session's (`sid`): tokens of load tests,
and of gateways before it was there, belong to none; keys are at least 256 bits and look random, or
the process does not start; the first key signs, all verify (rotation by `kid`); expiry is checked on every use, also on
a token that was verified before.
"""

import time
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jwt

from contracts.command_ids import EPOCH
from contracts.messaging.signing import from_text
from contracts.models import Principal, RoleName

ISSUER = "eventhub"
AUDIENCE = "eventhub"
ALGORITHM = "HS256"
TYPE = "at+jwt"
KEY_BYTES_MIN = 32
"""RFC 7518 section 3.2. PyJWT only warns."""
DISTINCT_BYTES_MIN = 16
"""32 random bytes have fewer distinct values once in 10^13; a key typed by hand, often."""
TOKEN_LENGTH_MAX = 2048
CACHE_MAX = 10_000
HEADERS_MAX = 64
"""Our own tokens have one header per key; whoever holds a key may write it in another way."""
_CLAIMS = ["exp", "iat", "iss", "aud", "sub", "jti", "roles", "access"]
_ROLES: frozenset[str] = frozenset(RoleName.__args__)  # type: ignore[attr-defined]  # Literal's values


class WeakKey(ValueError):
    """The signing keys of the settings are missing, malformed or weak."""


class BadToken(Exception):
    """Not a token of ours, or expired. Why is nobody's business."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A token that checked out. `access_micros`: which state of the account it was issued for; `session_id`: by which
    sign-in, None for a token that belongs to none."""

    principal: Principal
    access_micros: int
    expires_at: float
    session_id: int | None = None


def parse_keys(text: str) -> dict[str, bytes]:
    """`kid:base64url[,kid:base64url…]` in order. Raises WeakKey without repeating a key."""
    keys: dict[str, bytes] = {}
    for number, part in enumerate(filter(None, (p.strip() for p in text.split(","))), start=1):
        kid, _, encoded = part.partition(":")
        try:
            key = from_text(encoded.rstrip("="))
        except ValueError:
            raise WeakKey(f"EVENTHUB_JWT_KEYS: key {number} is not kid:base64url") from None
        if not kid or len(kid) > 64 or kid in keys:
            raise WeakKey(f"EVENTHUB_JWT_KEYS: key {number} has no name of its own")
        if len(key) < KEY_BYTES_MIN or len(set(key)) < DISTINCT_BYTES_MIN:
            raise WeakKey(f"EVENTHUB_JWT_KEYS: key {number} is weaker than 32 random bytes")
        keys[kid] = key
    if not keys:
        raise WeakKey("EVENTHUB_JWT_KEYS is empty: make one with 32 random bytes, base64url")
    return keys


def access_micros(changed_at: datetime) -> int:
    """An account's state as a number: microseconds of its `access_changed_at`."""
    delta = changed_at - EPOCH
    return (delta.days * 86400 + delta.seconds) * 1_000_000 + delta.microseconds


class Tokens:
    """Issues and verifies. `lifetime` in seconds."""

    def __init__(self, keys: dict[str, bytes], lifetime: int) -> None:
        self._keys = keys
        self._kid = next(iter(keys))
        self.lifetime = lifetime
        # What was verified before: the HMAC and JSON work of a token is done once per process.
        self._seen: dict[str, Verified] = {}
        # The first segment of tokens that we signed, as it stands there, with its key: read once per key.
        self._headers: dict[str, bytes] = {}

    def issue(
        self,
        user_id: int,
        roles: tuple[RoleName, ...],
        changed_at: datetime,
        session_id: int | None = None,
    ) -> str:
        """A token for an account in the state it has since `changed_at`, which ends with the session."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user_id),
            "iat": now,
            "exp": now + self.lifetime,
            "jti": uuid.uuid4().hex,
            "roles": list(roles),
            "access": access_micros(changed_at),
        }
        if session_id is not None:
            claims["sid"] = str(session_id)
        headers = {"kid": self._kid, "typ": TYPE}
        return jwt.encode(claims, self._keys[self._kid], ALGORITHM, headers=headers)

    def verify(self, token: str) -> Verified:
        """The caller behind a token. Raises BadToken."""
        known = self._seen.get(token)
        if known is None:
            known = self._open(token)
            if len(self._seen) >= CACHE_MAX:
                del self._seen[next(iter(self._seen))]
            self._seen[token] = known
        if time.time() >= known.expires_at:
            self._seen.pop(token, None)
            raise BadToken
        return known

    def _open(self, token: str) -> Verified:
        if len(token) > TOKEN_LENGTH_MAX:
            raise BadToken
        segment = token.partition(".")[0]
        try:
            key = self._headers.get(segment) or self._key_of(token)
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                audience=AUDIENCE,
                # Gateways' clocks may differ by a moment: a token from the next one is no forgery.
                options={"require": _CLAIMS, "verify_iat": False, "strict_aud": True},
            )
            verified = _verified(claims)
        except (jwt.InvalidTokenError, ValueError, TypeError) as error:
            raise BadToken from error
        if len(self._headers) < HEADERS_MAX:
            self._headers[segment] = key
        return verified

    def _key_of(self, token: str) -> bytes:
        header = jwt.get_unverified_header(token)
        key = self._keys.get(header.get("kid", ""))
        if key is None or header.get("typ") != TYPE or "crit" in header:
            raise BadToken
        return key


def _verified(claims: dict[str, object]) -> Verified:
    subject, roles = claims["sub"], claims["roles"]
    access, expires, issued = claims["access"], claims["exp"], claims["iat"]
    session = _number(claims["sid"]) if "sid" in claims else None
    if not isinstance(roles, list) or not _ROLES.issuperset(roles):
        raise BadToken
    if type(access) is not int or type(expires) is not int or type(issued) is not int:
        raise BadToken
    principal = Principal(user_id=_number(subject), roles=tuple(roles))
    return Verified(principal, access, float(expires), session)


def _number(claim: object) -> int:
    if not isinstance(claim, str) or not claim.isascii() or not claim.isdigit():
        raise BadToken
    return int(claim)
