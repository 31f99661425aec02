"""Sealing: secrets that the database keeps and cannot read.

In: the master secret (several while it is rotated), a purpose, bytes and what they belong to. Out: sealed bytes,
and back.
Must stay true: the database alone opens nothing; what was sealed for one thing opens for no other, so that a row
copied elsewhere is worth nothing; the first master secret seals, what any of them sealed opens.

Source: AES-256-GCM as in NIST SP 800-38D with a random 96-bit nonce (section 8.2.2; far under its 2^32 uses per key).
"""

import contextlib
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.messaging.signing import derived_keys

_NONCE_BYTES = 12


class UnreadableSecret(Exception):
    """The sealed bytes were made under another master secret, for another thing, or are damaged."""


class Sealer:
    """Seals and opens for one deployment and one purpose."""

    def __init__(self, master_secret: str, purpose: str) -> None:
        self._ciphers = tuple(AESGCM(key) for key in derived_keys(master_secret, purpose))

    def seal(self, secret: bytes, bound_to: str) -> bytes:
        """What the database keeps: nonce and ciphertext, bound to what it belongs to."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._ciphers[0].encrypt(nonce, secret, bound_to.encode())

    def open(self, sealed: bytes, bound_to: str) -> bytes:
        """The bytes behind `seal`. Raises UnreadableSecret."""
        return self._opened(sealed, bound_to)[1]

    def renewed(self, sealed: bytes, bound_to: str) -> bytes | None:
        """The same bytes sealed under the present master secret; None when they are. Raises UnreadableSecret."""
        number, secret = self._opened(sealed, bound_to)
        return self.seal(secret, bound_to) if number else None

    @property
    def rotating(self) -> bool:
        """Whether there is an older master secret that something may be sealed under."""
        return len(self._ciphers) > 1

    def _opened(self, sealed: bytes, bound_to: str) -> tuple[int, bytes]:
        """(which master secret sealed it, the bytes)."""
        nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        for number, cipher in enumerate(self._ciphers):
            with contextlib.suppress(InvalidTag, ValueError):
                return number, cipher.decrypt(nonce, ciphertext, bound_to.encode())
        raise UnreadableSecret("it cannot be opened with this master secret")
