"""A broker of three nodes during a sale: leader dies, follower dies, one is cut off. Nothing confirmed is lost."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from db.mysql import Database
from scripts.proving.buyers import Plan
from scripts.proving.proxy import Proxy
from tests.faults.crowd import SEED, crowd, newcomers, progress, shelves, verdict
from tests.harness.cluster import Cluster, cluster
from tests.harness.desk import Desk
from tests.harness.processes import Processes
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]
PARTITION_SECONDS = (10.0, 30.0)
NAMES = ("inventory-1", "order-1", "payment-1", "notify-1", "relay-1", "gateway-1")


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Three joined nodes."""
    async with cluster(tmp_path) as made:
        yield made


async def test_nodes_die_and_are_cut_off_during_a_sale(
    nodes: Cluster, city: Processes, counter: Desk, books: Database, tmp_path: Path
) -> None:
    """The node that everybody is connected to and that leads dies, then a follower, then one is cut off, twice."""
    types = await shelves(counter, books, (60, 20), (8000, 8000))
    people = newcomers(books, f"cluster{SEED}")
    first, second, third = nodes.nodes
    async with Proxy(first.url, others=(second.url, third.url)) as balancer:
        environment = {"AMQP_URL": balancer.address}
        shop = [await city.start(name, ready=False, environment=environment) for name in NAMES]
        for process in shop:
            await process.ready()
        plan = Plan([shop[-1].url], types, SEED, clients=8, cancels=0.2, pays=0.3)
        async with crowd(plan, [], tmp_path, people) as load:
            await progress(load, 30)
            for victim in (first, third):
                await victim.kill()
                await progress(load, load.done + 30)
                await victim.start()
                await progress(load, load.done + 10)
            for seconds in PARTITION_SECONDS:
                await nodes.isolate(third)
                await asyncio.sleep(seconds)
                await progress(load, load.done + 30)
                await nodes.heal(third)
                await eventually(third.answers, within=120, every=0.5)
            load.enough()
        await verdict(
            books, load, "a three-node broker: leader killed, follower killed, two partitions"
        )
