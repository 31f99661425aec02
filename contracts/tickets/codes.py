"""The code of a ticket: a compact JWS that anyone can verify with the public keys, offline.

In: claims and the key that signs; or a text from a scanner. Out: the code; or the claims, None for anything that no
key of ours has signed.
Must stay true: EdDSA (Ed25519) and nothing else; the header decides nothing but which of our own keys is asked; a text
that is not exactly what we would have written is no code; a code is derived on read and never stored.

Source: RFC 7515 (JWS, compact serialization), RFC 8037 (EdDSA in JOSE), RFC 8725 (types, algorithms).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import Field

from contracts.messaging.signing import from_text, to_text
from contracts.shapes import Answer

ALGORITHM = "EdDSA"
CODE_TYPE, BUNDLE_TYPE = "ticket+jwt", "bundle+jws"
CODE_LENGTH_MAX = 512
"""Ours have some 200 characters; what is longer is none."""
ID_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class TicketClaims:
    """What a code says: ticket, event, ticket type, version."""

    tid: int
    eid: int
    tty: int
    ver: int

    def to_bytes(self) -> bytes:
        """The JWS payload."""
        return orjson.dumps({"tid": self.tid, "eid": self.eid, "tty": self.tty, "ver": self.ver})

    @classmethod
    def from_bytes(cls, payload: bytes) -> "TicketClaims | None":
        """The claims behind a payload, None when it is not one of ours."""
        try:
            said = orjson.loads(payload)
            claims = cls(said["tid"], said["eid"], said["tty"], said["ver"])
        except (ValueError, TypeError, KeyError):
            return None
        numbers = (claims.tid, claims.eid, claims.tty, claims.ver)
        if not all(type(one) is int and 1 <= one <= ID_MAX for one in numbers):
            return None
        return claims if claims.to_bytes() == payload else None


@dataclass(frozen=True, slots=True)
class TicketKey:
    """A key as a process holds it. `private` None: it signs no more, or cannot be opened here."""

    kid: str
    public: Ed25519PublicKey
    signs_from: datetime
    private: Ed25519PrivateKey | None = field(default=None, repr=False)

    def header(self, type_: str) -> str:
        """The protected header, encoded: the same text for all that this key signs of a type."""
        return to_text(orjson.dumps({"alg": ALGORITHM, "kid": self.kid, "typ": type_}))

    def to_jwk(self) -> dict[str, str]:
        """The public half as a JSON Web Key (RFC 7517, RFC 8037)."""
        return {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": to_text(self.public.public_bytes_raw()),
            "kid": self.kid,
            "alg": ALGORITHM,
            "use": "sig",
        }


class Jwk(Answer):
    """A public key (RFC 7517, RFC 8037)."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    x: Annotated[str, Field(examples=["11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"])]
    kid: Annotated[str, Field(examples=["Zm9vYmFy"])]
    alg: Literal["EdDSA"]
    use: Literal["sig"]


class NoSigningKey(Exception):
    """There is no key that may sign now: none was made yet, or the master secret has changed."""


class TicketKeys:
    """The keys that verify; the newest of them whose time has come signs."""

    def __init__(self, keys: Iterable[TicketKey]) -> None:
        self._keys = sorted(keys, key=lambda key: key.signs_from)
        self._by_header = {key.header(CODE_TYPE): key for key in self._keys}

    def signer(self, now: datetime) -> TicketKey:
        """The key that signs now. Raises NoSigningKey."""
        for key in reversed(self._keys):
            if key.signs_from <= now and key.private is not None:
                return key
        raise NoSigningKey

    def code(self, claims: TicketClaims, now: datetime) -> str:
        """A ticket's code. Raises NoSigningKey."""
        key = self.signer(now)
        signed = f"{key.header(CODE_TYPE)}.{to_text(claims.to_bytes())}"
        return f"{signed}.{_signature(key, signed)}"

    def detached(self, payload: bytes, now: datetime) -> str:
        """A detached JWS over a payload (RFC 7515 appendix F). Raises NoSigningKey."""
        key = self.signer(now)
        header = key.header(BUNDLE_TYPE)
        return f"{header}..{_signature(key, f'{header}.{to_text(payload)}')}"

    def knows(self, code: str) -> bool:
        """Whether one of these keys could have signed the code, by its header."""
        return code.partition(".")[0] in self._by_header

    def verify(self, code: str) -> TicketClaims | None:
        """The claims of a code that one of our keys has signed, None for any other text."""
        header, _, rest = code.partition(".")
        payload, _, signature = rest.partition(".")
        key = self._by_header.get(header)
        if key is None or len(code) > CODE_LENGTH_MAX:
            return None
        try:
            key.public.verify(from_text(signature), f"{header}.{payload}".encode("ascii"))
            return TicketClaims.from_bytes(from_text(payload))
        except (ValueError, InvalidSignature):
            return None

    def to_jwks(self) -> dict[str, list[dict[str, str]]]:
        """The JWK set (RFC 7517 section 5)."""
        return {"keys": [key.to_jwk() for key in self._keys]}


def _signature(key: TicketKey, signed: str) -> str:
    assert key.private is not None, "signer() gives keys that can sign"
    return to_text(key.private.sign(signed.encode("ascii")))


def printable_code(text: str) -> str:
    """A scanned text as it travels to whoever rules on it: what cannot be a code travels as nothing."""
    return text if text.isascii() and len(text) <= CODE_LENGTH_MAX else ""
