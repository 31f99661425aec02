"""Keys derived from the master secret, and the one MAC we use.

In: the master secret and a purpose. Out: a `Mac` that signs and verifies bytes.
Must stay true: two purposes never share a key; comparison takes constant time.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field

MAC_BYTES = 16
"""128 bits: RFC 2104 section 5 allows truncation to no less than half of the hash's output."""


@dataclass(frozen=True, slots=True)
class Mac:
    """HMAC-SHA-256, truncated to 16 bytes, under a key of its own."""

    key: bytes = field(repr=False)
    _begun: hmac.HMAC = field(init=False, repr=False, compare=False)
    """The key's two blocks, hashed once: RFC 2104 section 4 suggests it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_begun", hmac.new(self.key, digestmod=hashlib.sha256))

    @classmethod
    def derived(cls, secret: str, purpose: str) -> "Mac":
        """The key for one purpose: HMAC(secret, purpose), the extract step of RFC 5869."""
        return cls(hmac.digest(secret.encode(), purpose.encode(), hashlib.sha256))

    def sign(self, message: bytes) -> bytes:
        """16 bytes that only a holder of the key can make for `message`."""
        mac = self._begun.copy()
        mac.update(message)
        return mac.digest()[:MAC_BYTES]

    def verify(self, message: bytes, mac: bytes) -> bool:
        """Whether `mac` was made for `message` under this key."""
        return hmac.compare_digest(self.sign(message), mac)


def to_text(raw: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def from_text(text: str) -> bytes:
    """The bytes of `to_text`. Raises ValueError for anything else."""
    raw = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    if to_text(raw) != text:
        raise ValueError("not canonical base64url")
    return raw
