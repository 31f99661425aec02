"""scripts/scale: only what the counts change starts or stops."""

import pytest

from tests.setup.standin import Checkout


def test_scaling_touches_only_what_changes(checkout: Checkout) -> None:
    """Up by two and down by one: every other process keeps its pid; a later `up` keeps the counts."""
    checkout.up()
    first = checkout.pids()
    assert checkout.run("scale", "inventory=3", "gateway=2").returncode == 0
    grown = checkout.pids()
    assert set(grown) - set(first) == {"inventory-2", "inventory-3", "gateway-2"}
    assert {name: grown[name] for name in first} == first
    assert checkout.run("scale", "inventory=2", "quote=0").returncode == 0
    shrunk = checkout.pids()
    assert set(grown) - set(shrunk) == {"inventory-3", "quote-1"}
    assert {name: grown[name] for name in shrunk} == shrunk
    checkout.up()
    assert checkout.pids() == shrunk
    assert checkout.run("down").returncode == 0
    checkout.up()
    assert set(checkout.pids()) == set(shrunk)


def test_gateways_share_a_port_and_are_asked_on_their_own(checkout: Checkout) -> None:
    """Two gateways are told one EVENTHUB_PORT, and a health port each."""
    checkout.run("scale", "gateway=2")
    checkout.up()
    one, two = checkout.environment_of("gateway-1"), checkout.environment_of("gateway-2")
    assert one["EVENTHUB_PORT"] == two["EVENTHUB_PORT"]
    assert one["EVENTHUB_HEALTH_PORT"] != two["EVENTHUB_HEALTH_PORT"]


@pytest.mark.parametrize(
    "word", ["inventory", "inventory=", "inventory=-1", "inventory=33", "stock=2", "=1"]
)
def test_a_wrong_count_is_refused(checkout: Checkout, word: str) -> None:
    """What is no kind or no count is told so, and changes nothing."""
    done = checkout.run("scale", word)
    assert done.returncode == 2
    assert "usage: scripts/scale" in done.stderr
    assert not (checkout.root / ".run" / "state.json").exists()
