"""scripts/scale: only what the counts change starts or stops."""

import pytest

from tests.setup.substitute import Checkout


def test_scaling_touches_only_what_changes(running: Checkout) -> None:
    """Up by three and down by two: every other process keeps its pid; a later `up` keeps the counts."""
    first = running.pids()
    assert running.run("scale", "inventory=3", "gateway=2").returncode == 0
    grown = running.pids()
    assert set(grown) - set(first) == {"inventory-2", "inventory-3", "gateway-2"}
    assert {name: grown[name] for name in first} == first
    assert running.run("scale", "inventory=2", "quote=0").returncode == 0
    shrunk = running.pids()
    assert set(grown) - set(shrunk) == {"inventory-3", "quote-1"}
    assert {name: grown[name] for name in shrunk} == shrunk
    running.up()
    assert running.pids() == shrunk
    assert running.run("down").returncode == 0
    running.up()
    assert set(running.pids()) == set(shrunk)


def test_gateways_share_a_port_and_are_asked_on_their_own(running: Checkout) -> None:
    """Two gateways are told one EVENTHUB_PORT, and a health port each."""
    running.run("scale", "gateway=2")
    one, two = running.environment_of("gateway-1"), running.environment_of("gateway-2")
    assert one["EVENTHUB_PORT"] == two["EVENTHUB_PORT"]
    assert one["EVENTHUB_HEALTH_PORT"] != two["EVENTHUB_HEALTH_PORT"]


@pytest.mark.parametrize(
    "word", ["inventory", "inventory=", "inventory=-1", "inventory=33", "stock=2", "=1"]
)
def test_a_wrong_count_is_refused(running: Checkout, word: str) -> None:
    """What is no kind or no count is told so, and changes nothing."""
    before = running.state()["counts"]
    done = running.run("scale", word)
    assert done.returncode == 2
    assert "usage: scripts/scale" in done.stderr
    assert running.state()["counts"] == before
