"""A broker that keeps the connection and decides nothing is found out, and the connection is made anew.

A node cut off from its cluster does so (`test_cluster`, RabbitMQ 4.3). Here the answers to the pulse are lost on the
way, and nothing else: heartbeats pass, so without a pulse nobody would notice.
"""

from collections.abc import AsyncIterator

import pytest

from contracts.messaging.link import Link
from contracts.messaging.publisher import Properties, Publisher
from contracts.messaging.quorum_probe import PROBE_ARGUMENTS
from scripts.proving.proxy import Proxy, Trap
from scripts.proving.wires import queue_purged
from tests.harness.scratch import Scratch
from tests.harness.waiting import eventually
from workers.runtime.intake import Intake

ALWAYS = 1_000_000
LINK = "pulse"


@pytest.fixture
async def proxy(scratch: Scratch) -> AsyncIterator[Proxy]:
    """Between a link and the broker."""
    async with Proxy(scratch.amqp_url) as made:
        yield made


@pytest.fixture
async def link(proxy: Proxy) -> AsyncIterator[Link]:
    """Open, and it feels the pulse."""
    made = Link(proxy.address, LINK, probe=True)
    await made.start(wait=20)
    yield made
    await made.stop()


async def test_a_broker_without_a_majority_is_away_until_it_has_one(
    proxy: Proxy, link: Link
) -> None:
    """Not open while nobody answers, however often it connects; open again soon after."""
    trap = proxy.set(Trap("down", queue_purged, "drop", times=ALWAYS))

    async def away() -> bool:
        return not link.is_open

    async def tried_again() -> bool:
        assert not link.is_open
        return trap.caught >= 2

    await eventually(away, within=30)
    await eventually(tried_again, within=30)
    proxy.traps.clear()

    async def back() -> bool:
        return link.is_open

    await eventually(back, within=30)


async def test_a_link_to_a_broker_without_a_majority_is_not_open(proxy: Proxy) -> None:
    """So that leases are given back to somebody whose broker decides (`Share`'s `able`)."""
    intake = Intake(proxy.address, LINK)
    await intake.start(wait=20)
    proxy.set(Trap("down", queue_purged, "drop", times=ALWAYS))

    async def away() -> bool:
        return not intake.is_open

    try:
        await eventually(away, within=30)
    finally:
        await intake.stop()


async def test_a_confirm_counts_as_an_answer_of_the_broker(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy connection pays nothing for it."""
    # Nothing but the confirm may move the time.
    monkeypatch.setattr("contracts.messaging.link.QUIET_SECONDS", 1_000_000.0)
    link = Link(proxy.address, LINK, probe=True)
    await link.start(wait=20)
    try:
        queue = await link.channel.declare_queue("heard", durable=True, arguments=PROBE_ARGUMENTS)
        await queue.bind("amq.direct", "heard")
        before = link._heard_at
        await Publisher(link).publish("amq.direct", "heard", b"x", Properties("text/plain"))
        assert link._heard_at > before
    finally:
        await link.stop()
