"""What becomes of a webhook that its owner changes: the rule over its full product."""

from datetime import UTC, datetime
from itertools import product

import pytest

from contracts.webhooks.resources import Endpoint
from db.webhooks.changes import EndpointChange, state_after

AT = datetime(2026, 5, 1, tzinfo=UTC)
STATES = (
    ("PENDING", None),
    ("ACTIVE", None),
    ("DISABLED", "GONE"),
    ("DISABLED", "FAILING"),
    ("DISABLED", "OWNER"),
)


@pytest.mark.parametrize(
    ("state", "verified", "url", "status"),
    list(
        product(
            STATES, (True, False), (None, "http://a/", "http://b/"), (None, "ACTIVE", "DISABLED")
        )
    ),
)
def test_a_change_keeps_the_promises(
    state: tuple[str, str | None], verified: bool, url: str | None, status: str | None
) -> None:
    """ACTIVE only with consent at that very URL; asked once for it; off only by its owner or as it was."""
    before = Endpoint(1, "http://a/", ("*",), *state, AT, AT, verified)
    after = state_after(before, EndpointChange(url=url, status=status))
    moved = url == "http://b/"
    assert after.verified == (verified and not moved)
    if after.status == "ACTIVE":
        assert after.verified
    assert (after.status == "DISABLED") == (after.disabled_reason is not None)
    off = status == "DISABLED" or (status is None and before.status == "DISABLED")
    assert (after.status == "DISABLED") == off
    assert after.ask == (after.status == "PENDING" and (moved or before.status != "PENDING"))
    if off:
        assert after.disabled_reason == (before.disabled_reason or "OWNER")
