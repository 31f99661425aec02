"""A gateway's part after a command was accepted: clients that wait and ask again, and commands nobody decided in time.

In: the commands that were accepted. Out: what clients were told of each, as often as they asked.
Must stay true: memory, reading, waiting, polling and tombstones are the gateway's own; its clock is wrong by up to
two seconds, pushes never come, and a client that got no answer asks again.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pymysql.err

from contracts.outcomes import Outcome
from db.messages import outcomes
from gateway.submission.outcomes import (
    Deadlines,
    Opened,
    OutcomeMemory,
    OutcomeReader,
)
from gateway.submission.waiting import OutcomeWaiters, poll
from tests.faults.simulation.chance import Chance
from tests.faults.simulation.store import Change, Database, Maker, Session, stored

SKEW_SECONDS, WAIT_SECONDS, AGAIN_SECONDS, TIMES = 2.0, 1.5, 2.0, 2
RETENTION_SECONDS = 7 * 86400.0


@dataclass(slots=True)
class Clients:
    """What they know: outlives every gateway. `told` has each answer to each question."""

    accepted: dict[bytes, Opened]
    told: list[Outcome]

    def answered(self, uuid: bytes) -> int:
        """How often they were told of a command."""
        return sum(one.command == uuid for one in self.told)

    @property
    def satisfied(self) -> bool:
        """Whether all were told of everything, some twice, perhaps by different gateways."""
        return all(self.answered(uuid) >= TIMES for uuid in self.accepted)


class Gateway:
    """One life of a gateway."""

    def __init__(self, database: Database, chance: Chance, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        skew = timedelta(seconds=chance.random.uniform(-SKEW_SECONDS, SKEW_SECONDS))
        clock: Any = SimpleNamespace(now=_shifted(database.store.now, skew))
        of: Any = database
        memory = OutcomeMemory()
        self._weather = chance
        self._reader = OutcomeReader(of, memory)
        self._waiting = OutcomeWaiters(memory, loop.time)
        self._deadlines = Deadlines(of, self._reader, clock, deadline, RETENTION_SECONDS)

    async def serve(self, clients: Clients) -> None:
        """Answer for every command until the world ends."""
        polling = asyncio.create_task(poll(self._waiting, self._reader, lambda: False))
        asking: Mapping[bytes, asyncio.Task[None]] = {}
        while True:
            new = {
                uuid: asyncio.create_task(self._ask(clients, opened))
                for uuid, opened in clients.accepted.items()
                if uuid not in asking
            }
            asking = {**asking, **new}
            await self._weather.pause(0.5)
            for task in (polling, *asking.values()):
                if task.done() and task.exception() is not None:
                    raise RuntimeError("a gateway's task ended") from task.exception()

    async def _ask(self, clients: Clients, opened: Opened) -> None:
        """As a client does: wait for the answer, then ask again for it until there is one."""
        with self._waiting.expecting(opened.id.uuid) as expectation:
            outcome = await expectation.outcome(self._weather.random.uniform(0, WAIT_SECONDS))
        while clients.answered(opened.id.uuid) < TIMES:
            if outcome is not None:
                clients.told.append(outcome)
            await self._weather.pause(AGAIN_SECONDS)
            try:
                outcome = await self._deadlines.settle(opened)
            except pymysql.err.OperationalError:
                # 503 without an answer, as at the real gateway: the client asks again.
                outcome = None


def _shifted(now: Callable[[], datetime], skew: timedelta) -> Callable[[], datetime]:
    return lambda: now() + skew


async def _insert_missing(session: Session, values: list[Any]) -> int:
    """INSERT IGNORE: wait for whoever is writing that key, then write only what is missing."""
    row = {name: stored(name, one) for name, one in zip(outcomes._COLUMNS, values, strict=True)}
    await session.lock("command_outcomes.('id',)", (row["id"],))
    if any(one["id"] == row["id"] for one in session.current("command_outcomes")):
        return 0
    session.put("command_outcomes", {"id": row["id"]}, **row)
    return 1


STATEMENTS: dict[Maker, Change] = {outcomes.insert_missing: _insert_missing}
