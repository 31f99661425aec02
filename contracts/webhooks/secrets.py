"""Secrets of webhooks: made, sealed for the database, opened to sign.

In: the master secret (several while it is rotated). Out: `whsec_…` texts for owners and signers, sealed bytes for the
database.
Must stay true: the database alone signs nothing; a sealed secret opens only for the account it was sealed for, so that
a row copied to another account is worth nothing; what an older master secret sealed opens as well.

Source: Standard Webhooks 1.0, "Signature scheme" (24 to 64 random bytes, `whsec_` + base64). Sealed by
`contracts.messaging.sealing`.
"""

import base64
import secrets

from contracts.messaging.sealing import Sealer, UnreadableSecret

__all__ = ["SecretSealer", "UnreadableSecret", "new_secret"]

SECRET_BYTES = 32
PREFIX = "whsec_"


def new_secret() -> str:
    """A fresh secret as its owner sees it, once."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


class SecretSealer:
    """Seals and opens the secrets of one deployment."""

    def __init__(self, master_secret: str) -> None:
        self._sealer = Sealer(master_secret, "eventhub webhook secrets")

    def seal(self, secret: str, user_id: int) -> bytes:
        """What the database keeps, bound to the account."""
        return self._sealer.seal(secret.encode(), _bound_to(user_id))

    def open(self, sealed: bytes, user_id: int) -> str:
        """The secret behind `seal`. Raises UnreadableSecret."""
        return self._sealer.open(sealed, _bound_to(user_id)).decode()

    def renewed(self, sealed: bytes, user_id: int) -> bytes | None:
        """The same secret sealed under the present master secret; None when it is. Raises UnreadableSecret."""
        return self._sealer.renewed(sealed, _bound_to(user_id))

    @property
    def rotating(self) -> bool:
        """Whether there is an older master secret that something may be sealed under."""
        return self._sealer.rotating


def _bound_to(user_id: int) -> str:
    return f"account:{user_id}"
