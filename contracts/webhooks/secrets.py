"""Secrets of webhooks: made, sealed for the database, opened to sign.

In: the master secret (several while it is rotated). Out: `whsec_…` texts for owners and signers, sealed bytes for the
database.
Must stay true: the database alone signs nothing; a sealed secret opens only for the account it was sealed for, so that
a row copied to another account is worth nothing; what an older master secret sealed opens as well.

Sources: Standard Webhooks 1.0, "Signature scheme" (24 to 64 random bytes, `whsec_` + base64); AES-256-GCM as in NIST SP
800-38D with a random 96-bit nonce (section 8.2.2; far under its 2^32 uses per key).
"""

import base64
import contextlib
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.messaging.signing import derived_keys

SECRET_BYTES = 32
PREFIX = "whsec_"
_NONCE_BYTES = 12


class UnreadableSecret(Exception):
    """The sealed bytes were made under another master secret, for another account, or are damaged."""


def new_secret() -> str:
    """A fresh secret as its owner sees it, once."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


class SecretSealer:
    """Seals and opens the secrets of one deployment."""

    def __init__(self, master_secret: str) -> None:
        keys = derived_keys(master_secret, "eventhub webhook secrets")
        self._ciphers = tuple(AESGCM(key) for key in keys)

    def seal(self, secret: str, user_id: int) -> bytes:
        """What the database keeps: nonce and ciphertext, bound to the account."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._ciphers[0].encrypt(nonce, secret.encode(), _bound_to(user_id))

    def open(self, sealed: bytes, user_id: int) -> str:
        """The secret behind `seal`. Raises UnreadableSecret."""
        return self._opened(sealed, user_id)[1]

    def renewed(self, sealed: bytes, user_id: int) -> bytes | None:
        """The same secret sealed under the present master secret; None when it is. Raises UnreadableSecret."""
        number, secret = self._opened(sealed, user_id)
        return self.seal(secret, user_id) if number else None

    @property
    def rotating(self) -> bool:
        """Whether there is an older master secret that something may be sealed under."""
        return len(self._ciphers) > 1

    def _opened(self, sealed: bytes, user_id: int) -> tuple[int, str]:
        """(which master secret sealed it, the secret)."""
        nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        for number, cipher in enumerate(self._ciphers):
            with contextlib.suppress(InvalidTag, ValueError):
                return number, cipher.decrypt(nonce, ciphertext, _bound_to(user_id)).decode()
        raise UnreadableSecret("the secret cannot be opened with this master secret")


def _bound_to(user_id: int) -> bytes:
    return f"account:{user_id}".encode()
