"""A broker of three nodes during a sale: leader dies, follower dies, one is cut off. Nothing confirmed is lost.

Which node leads the sale's queue is asked of the broker each time; some processes are clients of the node that is
cut off; and that it is cut off is seen from both sides, before it counts.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.messaging.topology import inventory_queue, shard_of
from db.mysql.database import Database
from scripts.proving.buyers import Buyer, BuyerLoad, Plan
from scripts.proving.checking import check
from scripts.proving.history import History, Operation
from scripts.proving.proxy import Proxy
from tests.faults.crowd import (
    SEED,
    buyers,
    crowd,
    newcomers,
    progress,
    ticket_types_on_sale,
    verdict,
)
from tests.harness.cluster import Cluster, Node, cluster
from tests.harness.command_client import CommandClient
from tests.harness.processes import Process, Processes
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]
PARTITIONS = ((10.0, False), (30.0, True))
"""Seconds, and whether the node that leads the sale's queue is the one that is cut off."""
NEAR = (
    "inventory-1",
    "order-1",
    "payment-1",
    "quote-1",
    "notify-1",
    "relay-1",
    "gateway-1",
)
FAR = ("inventory-2", "gateway-2")
"""Clients of the node that is cut off."""
FAR_CONNECTIONS = 4
"""Each of them consumes and publishes."""
ANSWERS = {200, 201, 202, 409, 429, 503}


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Three joined nodes."""
    async with cluster(tmp_path) as made:
        yield made


async def test_nodes_die_and_are_cut_off_during_a_sale(
    nodes: Cluster, processes: Processes, client: CommandClient, database: Database, tmp_path: Path
) -> None:
    """The leader of the sale's queue is killed, then a follower; a follower is cut off, then the leader."""
    types = await ticket_types_on_sale(client, database, (60, 20), (8000, 8000))
    queue = await _queue_of(client, database, types[-1][0])
    first, second, third = (node.url for node in nodes.nodes)
    async with (
        Proxy(first, others=(second, third)) as near,
        Proxy(third, others=(second, first)) as far,
    ):
        gateways = await _open_shop(processes, near, far)
        plan = Plan([one.url for one in gateways], types, SEED, clients=8, cancels=0.2, pays=0.3)
        beyond = replace(plan, gateways=plan.gateways[1:], clients=3, keyed=0, patience=30.0)
        told: list[Sequence[Operation]] = []
        async with crowd(plan, [], tmp_path, newcomers(database, f"cluster{SEED}")) as load:
            await progress(load, 30)
            for leads in (True, False):
                victim = await _chosen(nodes, queue, leads=leads)
                await victim.kill()
                await progress(load, load.done + 30)
                await victim.start()
                await progress(load, load.done + 10)
            for seconds, leads in PARTITIONS:
                victim = await _chosen(nodes, queue, leads=leads)
                await _seat(nodes, near, far, victim)
                await nodes.isolate(victim)
                told.append(await _told(beyond, await buyers(database, 6, f"beyond-{seconds}")))
                await asyncio.sleep(seconds)
                await progress(load, load.done + 30)
                assert await nodes.is_alone(victim), "it came back by itself: that was no partition"
                await nodes.heal(victim)
            load.enough()
        await verdict(
            database, load, "a three-node broker: leader killed, follower killed, two partitions"
        )
    for operations in told:
        assert await check(database, operations) == []


async def _queue_of(client: CommandClient, database: Database, type_id: int) -> str:
    """Where orders for a ticket type go."""
    rows = await database.read("SELECT event_id FROM ticket_types WHERE id = %s", type_id)
    return inventory_queue(shard_of(rows[0][0], client.settings.shards))


async def _open_shop(processes: Processes, near: Proxy, far: Proxy) -> list[Process]:
    """Everybody at their proxies; the gateways."""
    seats = [(name, near) for name in NEAR] + [(name, far) for name in FAR]
    running = [
        await processes.start(name, ready=False, environment={"AMQP_URL": proxy.address})
        for name, proxy in seats
    ]
    for process in running:
        await process.ready()
    return [process for process in running if process.name.startswith("gateway")]


async def _chosen(nodes: Cluster, queue: str, *, leads: bool) -> Node:
    """The node that leads a queue, or one that does not."""
    leader = await nodes.leader(queue)
    return leader if leads else nodes.others(leader)[-1]


async def _seat(nodes: Cluster, near: Proxy, far: Proxy, victim: Node) -> None:
    """The far part of the processes becomes the victim's clients, the rest the others'."""
    rest = [one.url for one in nodes.others(victim)]
    near.url, near.others = rest[0], (rest[1], victim.url)
    far.url, far.others = victim.url, tuple(rest)
    near.cut()
    far.cut()

    async def seated() -> bool:
        return await victim.clients() >= FAR_CONNECTIONS and await victim.keeps()

    await eventually(seated, within=60, every=0.5)


async def _told(plan: Plan, accounts: Sequence[Buyer]) -> Sequence[Operation]:
    """What clients of the gateway on the wrong side are told: 503 or an answer, each of them."""
    load = BuyerLoad(plan, accounts, History())
    await load.run()
    told = load.history.operations
    assert {one.status for one in told} <= ANSWERS
    return told
