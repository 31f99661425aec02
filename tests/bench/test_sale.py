"""The benches on a real EventHub: what they report is what happened."""

from collections.abc import AsyncIterator

import pytest

from scripts.benching.against_bare import door
from scripts.benching.purchase import purchase
from scripts.benching.sale import sale
from scripts.benching.sale_options import SaleOptions
from scripts.benching.system import System
from tests.bench.places import as_benches_see
from tests.harness.scratch import scratch
from tests.harness.system import running


@pytest.fixture(scope="module")
async def system() -> AsyncIterator[System]:
    """EventHub on scratch places of this module's own, as the benches see it."""
    async with scratch() as world, running(world) as started:
        yield as_benches_see(world, started)


async def test_a_sale_reports_what_was_sold(system: System) -> None:
    """Of 300 orders for 200 tickets 200 are accepted, the database has them, the audit holds, the baseline ran too."""
    options = SaleOptions(
        clients=20, seconds=60, orders=300, tickets=200, users=50, warm_up=0, baseline=True
    )
    result = await sale(system, options)
    assert (result["offered"], result["accepted"], result["errors"]) == (300, 200, 0)
    assert result["refused"] == {"409 SOLD_OUT": 100}
    assert result["ordersInDatabase"] == 200
    assert result["audit"]["ok"], result["audit"]
    baseline = result["baseline"]
    for kind in ("literal", "patient"):
        assert baseline[kind]["accepted"] == 200
        assert baseline[kind]["errors"] == 0
    best = max(("literal", "patient"), key=lambda kind: float(baseline[kind]["ordersPerSecond"]))
    assert baseline["better"] == best
    assert set(result["servers"]) == {"database", "redis", "rabbitmq"}


async def test_orders_with_keys_over_many_events(system: System) -> None:
    """Keys and several events change nothing in the counting."""
    options = SaleOptions(
        clients=10, seconds=60, orders=100, events=5, users=20, warm_up=0, keys=True
    )
    result = await sale(system, options)
    assert (result["accepted"], result["ordersInDatabase"]) == (100, 100)
    assert result["audit"]["ok"], result["audit"]


async def test_a_purchase_ends_in_confirmed_payments(system: System) -> None:
    """Every order that was begun is quoted and paid; nothing is left half-way."""
    result = await purchase(system, clients=5, seconds=1.0)
    assert result["purchases"] > 0
    assert result["offered"] == 3 * result["purchases"]
    assert result["audit"]["ok"], result["audit"]


async def test_the_door_is_compared_with_the_same_bytes(system: System) -> None:
    """Nothing but SOLD_OUT comes from either side."""
    result = await door(system, clients=5, seconds=0.5)
    assert result["answers"] > 0
    assert result["bare"]["answers"] > 0
    assert result["toBare"]["rate"] > 0
