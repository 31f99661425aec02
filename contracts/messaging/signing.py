"""Keys derived from the master secret, and the one MAC we use.

In: the master secret and a purpose. Out: a `Mac` that signs and verifies bytes.
Must stay true: two purposes never share a key; comparison takes constant time; while a secret is rotated
(`new,old`) the first of them makes whatever is made, and what any of them made is still good.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field

from contracts.runtime.settings import secrets_of

MAC_BYTES = 16
"""128 bits: RFC 2104 section 5 allows truncation to no less than half of the hash's output."""


def derived_keys(text: str, purpose: str) -> tuple[bytes, ...]:
    """The keys for one purpose, one per master secret: HMAC(secret, purpose), the extract step of RFC 5869."""
    return tuple(
        hmac.digest(secret.encode(), purpose.encode(), hashlib.sha256)
        for secret in secrets_of(text)
    )


@dataclass(frozen=True, slots=True)
class Mac:
    """HMAC-SHA-256, truncated to 16 bytes, under keys of its own: the first signs, all verify."""

    keys: tuple[bytes, ...] = field(repr=False)
    _begun: tuple[hmac.HMAC, ...] = field(init=False, repr=False, compare=False)
    """Each key's two blocks, hashed once: RFC 2104 section 4 suggests it."""

    def __post_init__(self) -> None:
        begun = tuple(hmac.new(key, digestmod=hashlib.sha256) for key in self.keys)
        object.__setattr__(self, "_begun", begun)

    @classmethod
    def derived(cls, secret: str, purpose: str) -> "Mac":
        """For one purpose, from the master secret (or secrets) of the settings."""
        return cls(derived_keys(secret, purpose))

    def sign(self, message: bytes) -> bytes:
        """16 bytes that only a holder of the first key can make for `message`."""
        return _sign(self._begun[0], message)

    def verify(self, message: bytes, mac: bytes) -> bool:
        """Whether `mac` was made for `message` under one of the keys."""
        return any(hmac.compare_digest(_sign(begun, message), mac) for begun in self._begun)


def _sign(begun: hmac.HMAC, message: bytes) -> bytes:
    mac = begun.copy()
    mac.update(message)
    return mac.digest()[:MAC_BYTES]


def to_text(raw: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def from_text(text: str) -> bytes:
    """The bytes of `to_text`. Raises ValueError for anything else."""
    raw = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    if to_text(raw) != text:
        raise ValueError("not canonical base64url")
    return raw
