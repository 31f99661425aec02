"""Sealing: secrets that the database keeps and cannot read.

In: the master secret, a purpose, bytes and what they belong to. Out: sealed bytes, and back.
Must stay true: the database alone opens nothing; what was sealed for one thing opens for no other, so that a row
copied elsewhere is worth nothing.

Source: AES-256-GCM as in NIST SP 800-38D with a random 96-bit nonce (section 8.2.2; far under its 2^32 uses per key).
"""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.messaging.signing import Mac

_NONCE_BYTES = 12


class UnreadableSecret(Exception):
    """The sealed bytes were made under another master secret, for another thing, or are damaged."""


class Sealer:
    """Seals and opens for one deployment and one purpose."""

    def __init__(self, master_secret: str, purpose: str) -> None:
        self._cipher = AESGCM(Mac.derived(master_secret, purpose).key)

    def seal(self, secret: bytes, bound_to: str) -> bytes:
        """What the database keeps: nonce and ciphertext, bound to what it belongs to."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, bound_to.encode())

    def open(self, sealed: bytes, bound_to: str) -> bytes:
        """The bytes behind `seal`. Raises UnreadableSecret."""
        nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, ciphertext, bound_to.encode())
        except (InvalidTag, ValueError):
            raise UnreadableSecret("it cannot be opened with this master secret") from None
