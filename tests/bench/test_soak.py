"""The soak on a real EventHub: what its shoppers were told is held against the database, and the figures are there."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from scripts.benching.systems.system import System
from scripts.soaking.soak import SoakOptions, soak
from scripts.soaking.visit import Habits
from tests.bench.described_system import described_system
from tests.harness.scratch import scratch_servers
from tests.harness.system import running

HABITS = Habits(scarce=0.2, streams=0.2, polls=0.2, repeats=0.5, adds=0.5)


@pytest.fixture(scope="module")
async def system() -> AsyncIterator[System]:
    """EventHub on scratch servers of this module's own; unpaid orders live two seconds."""
    async with (
        scratch_servers() as scratch,
        running(
            scratch, order_ttl=2, quote_ttl=2, max_hold=4, webhook_allow_private=True
        ) as started,
    ):
        yield described_system(scratch, started)


def untrue(result: dict[str, Any]) -> list[str]:
    """The reasons against a soak, without the one that a slow machine is to blame for."""
    return [reason for reason in result["reasons"] if not reason.startswith("outbox lag")]


async def test_a_few_seconds_of_soak(system: System) -> None:
    """Every way of buying occurs, nobody is lied to, webhooks come, the books add up."""
    result = await soak(system, SoakOptions(minutes=0.08, rate=40, seed=7, every=1, habits=HABITS))
    assert untrue(result) == [], result
    ends, answers = result["history"]["ends"], result["answers"]
    assert {f"{kind} ok" for kind in ("place", "add", "cancel", "quote", "confirm")} <= set(ends)
    assert result["visits"] > 100
    assert result["history"]["operations"] == sum(ends.values())
    assert min(answers["stream 200"], answers["poll 200"], answers["replayed"]) > 0
    heard = result["webhooks"]
    assert heard["forged"] == 0
    assert heard["types"]["order.placed"] == ends["place ok"]
    assert heard["types"]["order.confirmed"] == ends["confirm ok"]
    assert result["beside"]["rate reported"] > 0
    assert result["beside"]["login 200"] > 0
    assert {"connections database", "connections redis", "connections broker"} <= {
        one["name"] for one in result["trends"]
    }


class Impatient(io.StringIO):
    """A file of readings whose reader has seen enough after the first visits."""

    def __init__(self, stop: asyncio.Event) -> None:
        super().__init__()
        self._stop = stop

    def write(self, line: str) -> int:
        """Note a reading."""
        if json.loads(line)["visits"]:
            self._stop.set()
        return super().write(line)


async def test_a_soak_that_is_told_to_end(system: System) -> None:
    """Ctrl-C ends the load at once; what was begun is finished, checked and told all the same."""
    stop = asyncio.Event()
    samples = Impatient(stop)
    result = await soak(system, SoakOptions(minutes=60, rate=20, every=0.2), samples, stop)
    assert untrue(result) == [], result
    assert result["minutes"] < 60
    assert result["history"]["operations"] > 0
    assert not result["judged"]
