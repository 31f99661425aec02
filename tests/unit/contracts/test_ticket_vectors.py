"""The test vectors of docs/tickets.md: what a gate builder is told is what we sign and what our own gate says."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contracts.messaging.signing import from_text
from contracts.tickets.codes import TicketClaims, TicketKey, TicketKeys
from scripts.gating.offline import BadBundle, Known, check_bundle, read_code, rule

PAGE = Path(__file__).resolve().parents[3] / "docs" / "tickets.md"
NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def vectors() -> dict[str, Any]:
    """The block at the foot of the page."""
    found = re.search(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    read: dict[str, Any] = json.loads(found[1])
    return read


def ours(vectors: dict[str, Any]) -> TicketKeys:
    """The vectors' key as we hold it."""
    private = Ed25519PrivateKey.from_private_bytes(from_text(vectors["key"]["d"]))
    return TicketKeys([TicketKey(vectors["key"]["kid"], private.public_key(), NOW, private)])


def test_we_sign_what_the_page_says(vectors: dict[str, Any]) -> None:
    """Codes and the bundle's signature, to the letter."""
    keys, bundle = ours(vectors), dict(vectors["bundle"])
    signature = bundle.pop("signature")
    assert keys.to_jwks()["keys"] == bundle["keys"]
    assert keys.detached(rfc8785.dumps(bundle), NOW) == signature
    good = [one["code"] for one in vectors["codes"] if one["ruling"] != "UNKNOWN"]
    for code in good:
        claims = keys.verify(code)
        assert isinstance(claims, TicketClaims)
        assert keys.code(claims, NOW) == code
    unknown = [one["code"] for one in vectors["codes"] if one["ruling"] == "UNKNOWN"]
    assert [keys.verify(code) for code in unknown] == [None] * len(unknown)


def test_our_gate_rules_as_the_page_says(vectors: dict[str, Any]) -> None:
    """By the bundle alone."""
    bundle = vectors["bundle"]
    check_bundle(bundle, bundle["keys"])
    keys = {key["kid"]: key for key in bundle["keys"]}
    void = dict(bundle["void"])
    for one in vectors["codes"]:
        claims = read_code(one["code"], keys)
        tid = claims.tid if claims else 0
        known = Known(tid in bundle["used"], void.get(tid, 0))
        assert rule(claims, bundle["event"]["id"], known) == one["ruling"], one


def test_a_bundle_that_was_changed_is_refused(vectors: dict[str, Any]) -> None:
    """Every member counts."""
    bundle = vectors["bundle"]
    for name in ("event", "ticketTypes", "keys", "asOf", "used", "void"):
        changed = bundle | {name: [] if isinstance(bundle[name], list) else "x"}
        with pytest.raises(BadBundle):
            check_bundle(changed, bundle["keys"])
