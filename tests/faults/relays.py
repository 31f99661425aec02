"""Relays that stop before each step of a pass, to be let go, to meet a fault there, or never to move again.

In: a database, a way to the broker, a name. Out: passes of the real `workers.relay.publishing`, one step at a time.
Must stay true: nothing of the relay is replaced; a step's fault is one that the real server can cause; a life
that crashed runs no further step, and its leases stay until they lapse.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, Literal

import pymysql.err
from aio_pika.abc import AbstractChannel

from contracts.messaging.link import BrokerAway, Link
from contracts.messaging.publisher import Properties, Publisher, PublishUnknown
from db.messages.leases import Share, new_incarnation
from db.messages.outbox import STREAMS
from db.mysql.database import Database, Row
from scripts.proving.proxy import Proxy
from tests.harness.waiting import eventually
from workers.relay import publishing

CONFIRM_SECONDS = 0.25
"""A black hole is meant, not a slow machine: whatever has no answer by then has to be taken for unknown."""
KIND = "stream"

Fault = Literal["", "before", "after"]
"""At a step: none; it never happened; it happened and its answer was lost."""


class Steps:
    """Where a pass stands still: at one step, or at several that it would do side by side."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[Fault]] = []
        self._under_way = 0
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def step(self) -> AsyncIterator[Fault]:
        """Round a step of the pass: wait to be let go; the fault to meet."""
        turn: asyncio.Future[Fault] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._changed.set()
        fault = await turn
        try:
            yield fault
        finally:
            self._under_way -= 1
            self._changed.set()

    def go(self, fault: Fault, which: int) -> None:
        """Let one step be done."""
        self._under_way += 1
        self._waiting.pop(which % len(self._waiting)).set_result(fault)

    async def stopped(self, task: "asyncio.Task[float]") -> None:
        """Wait until the pass stands before its next step, or has ended."""
        task.add_done_callback(lambda _: self._changed.set())
        while not task.done() and (self._under_way or not self._waiting):
            self._changed.clear()
            await self._changed.wait()


class SteppedPublisher:
    """The real publisher, a step at a time."""

    def __init__(self, publisher: Publisher, steps: Steps) -> None:
        self._publisher, self._steps = publisher, steps

    async def publish(self, exchange: str, key: str, body: bytes, properties: Properties) -> None:
        """As contracts.messaging.publisher.Publisher.publish."""
        async with self._steps.step() as fault:
            if fault == "before":
                raise BrokerAway("the connection broke before")
            await self._publisher.publish(exchange, key, body, properties)
            if fault == "after":
                raise PublishUnknown("the connection broke after")


class SteppedDatabase:
    """The real database, writes a step at a time."""

    def __init__(self, database: Database, steps: Steps) -> None:
        self._database, self._steps = database, steps

    async def read(self, sql: str, *parameters: Any) -> list[Row]:
        """As db.mysql.database.Database.read."""
        return await self._database.read(sql, *parameters)

    async def write(self, sql: str, *parameters: Any) -> int:
        """As db.mysql.database.Database.write."""
        async with self._steps.step() as fault:
            if fault == "before":
                raise pymysql.err.OperationalError(2006, "the connection broke before")
            count = await self._database.write(sql, *parameters)
            if fault == "after":
                raise pymysql.err.OperationalError(2013, "the connection broke after")
            return count


class Life:
    """One life of a relay process: the streams it believes it holds, and the pass it is in."""

    def __init__(self, name: str, database: Database, publisher: Publisher) -> None:
        self._steps = Steps()
        stepped = (SteppedDatabase(database, self._steps), SteppedPublisher(publisher, self._steps))
        self._services: Any = SimpleNamespace(database=stepped[0], publisher=stepped[1])
        names = [str(stream) for stream in range(STREAMS)]
        self.share = Share(
            database, KIND, names, (name, new_incarnation()), on_gain=_nothing, on_loss=_nothing
        )
        self._pass: asyncio.Task[float] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether it stands somewhere in a pass."""
        return self._pass is not None and not self._pass.done()

    async def select(self) -> None:
        """Begin a pass: read what waits, stop before the first publish (nothing waits: end)."""
        streams = sorted(map(int, self.share.held))
        self._pass = asyncio.create_task(publishing._try_relay(self._services, streams))
        await self._steps.stopped(self._pass)

    async def step(self, fault: Fault = "", which: int = 0) -> None:
        """Publish a message, or forget what was confirmed. Raises whatever would have ended the process."""
        assert self._pass is not None, "it is in a pass"
        self._steps.go(fault, which)
        await self._steps.stopped(self._pass)
        if self._pass.done():
            self._pass.result()

    async def relay(self) -> None:
        """A whole pass, or the rest of one."""
        if not self.is_busy:
            await self.select()
        while self.is_busy:
            await self.step()

    async def crash(self) -> None:
        """kill -9: what it was about to do is not done."""
        if self._pass is not None:
            self._pass.cancel()
            await asyncio.gather(self._pass, return_exceptions=True)


class Relay:
    """A relay process's name, its way to the broker, and its present life."""

    def __init__(self, name: str, database: Database, proxy: Proxy) -> None:
        self.name, self.proxy = name, proxy
        self._database = database
        self._opened = 0
        self._link = Link(proxy.address, name, on_open=self._count)
        self._publisher = Publisher(self._link, confirm_seconds=CONFIRM_SECONDS)
        self.life = Life(self.name, self._database, self._publisher)

    async def begin(self) -> None:
        """Die where it stands; a new life takes what is its share."""
        await self.life.crash()
        self.life = Life(self.name, self._database, self._publisher)
        await self.life.share.beat()

    async def connect(self) -> None:
        """Connect for the first time."""
        await self._link.start(wait=20)

    async def cut(self) -> None:
        """Its connection breaks, and is there again."""
        before = self._opened
        self.proxy.cut()

        async def look() -> bool:
            return self._opened > before and self._link.is_open

        await eventually(look)

    async def _count(self, _: AbstractChannel) -> None:
        self._opened += 1

    async def close(self) -> None:
        await self.life.crash()
        await self._link.stop()


def _nothing(_: str) -> Awaitable[None]:
    return asyncio.sleep(0)
