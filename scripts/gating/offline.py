"""What a code is worth without a network: its signature, the event, what the bundle and this gate know. Pure.

In: a code, public keys, what is used and void. Out: a ruling.
Must stay true: EdDSA alone, by a key of the bundle; what the bundle does not name is good: so it is signed as a whole,
and a gate without one lets nobody in.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
import rfc8785

CODE_TYPE, BUNDLE_TYPE = "ticket+jwt", "bundle+jws"
CODE_LENGTH_MAX = 512


class BadBundle(Exception):
    """It is not signed by a key that this gate may trust; the text says why."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a code says."""

    tid: int
    eid: int
    ver: int


@dataclass(frozen=True, slots=True)
class Known:
    """What this gate knows of one ticket: whether it is used, and up to which version its codes are void."""

    used: bool
    void_to: int


def read_code(code: str, keys: Mapping[str, Mapping[str, Any]]) -> Claims | None:
    """The claims of a code that one of these keys (JWKs by kid) has signed, None for anything else."""
    if len(code) > CODE_LENGTH_MAX or not code.isascii():
        return None
    try:
        header = jwt.get_unverified_header(code)
        if header.get("typ") != CODE_TYPE or header.get("kid") not in keys:
            return None
        key = jwt.PyJWK.from_dict(dict(keys[header["kid"]]))
        said = jwt.decode(code, key, algorithms=["EdDSA"])
        return Claims(int(said["tid"]), int(said["eid"]), int(said["ver"]))
    except (jwt.InvalidTokenError, jwt.PyJWKError, KeyError, ValueError, TypeError):
        return None


def rule(claims: Claims | None, event_id: int, known: Known) -> str:
    """What a gate that is alone says: the order of the questions is that of the server."""
    if claims is None:
        return "UNKNOWN"
    if claims.eid != event_id:
        return "WRONG_EVENT"
    if claims.ver <= known.void_to:
        return "VOID"
    return "ALREADY_USED" if known.used else "ADMITTED"


def check_bundle(bundle: Mapping[str, Any], keys: Sequence[Mapping[str, Any]]) -> None:
    """Raise BadBundle unless one of these keys signed all of it.

    What came over the gate's own connection is as good as that; its own keys then tell whether it is whole.
    """
    rest = {name: value for name, value in bundle.items() if name != "signature"}
    by_kid = {key["kid"]: key for key in keys}
    try:
        header, _, signature = str(bundle["signature"]).split(".")
        payload = base64.urlsafe_b64encode(rfc8785.dumps(rest)).rstrip(b"=").decode()
        whole = f"{header}.{payload}.{signature}"
        said = jwt.get_unverified_header(whole)
        if said.get("typ") != BUNDLE_TYPE or said.get("kid") not in by_kid:
            raise BadBundle(f"signed by an unknown key {said.get('kid')!r}")
        key = jwt.PyJWK.from_dict(dict(by_kid[said["kid"]]))
        jwt.PyJWS().decode_complete(whole, key, algorithms=["EdDSA"])
    except (jwt.InvalidTokenError, jwt.PyJWKError, KeyError, ValueError) as error:
        raise BadBundle(str(error)) from error
