"""The soak's load: shoppers who come at a steady rate, each with an account of their own, and what they were told.

In: the running system, a rate, how long, a seed. Out: counts; every untruth that a shopper was told.
Must stay true: the rate is that of arrivals, not of answers (a slow system gets no easier load), but never more than
`AT_ONCE` are inside; every finished cohort is held against the database, with all it was told, and then forgotten:
memory does not grow with the length of the soak.
"""

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import aiohttp

from db.mysql.database import Database, is_away, is_transient
from scripts.benching.loads.api import Api
from scripts.benching.loads.crowd import allow_connections
from scripts.benching.loads.many_accounts import add_accounts
from scripts.benching.loads.users import make_users
from scripts.benching.systems.system import System
from scripts.proving.calling import Buyer, Caller
from scripts.proving.checking import check
from scripts.proving.history import History
from scripts.soaking.visit import EventOnSale, Habits, Visit, Visitors

EVENTS, SCARCE_EVENTS = 8, 2
PLENTY, FEW = 1_000_000, 60
AT_ONCE = 250
"""Each has a connection, which is kept and used in turn: part of what a gateway's memory and files stand for."""
COHORT = 1000
OPERATIONS_MAX = 10
"""Numbers that one visit may use."""
SETTLED_SECONDS = 75.0
"""After that every accepted command has its end: its deadline is 60 s."""
PATIENCE_SECONDS = 30.0
LIES_MAX = 50
AWAY_SECONDS = 120.0
"""How long the soak's own work waits for a database that does not answer."""

T = TypeVar("T")


@dataclass(slots=True)
class Cohort:
    """Buyers who were made together and are checked together."""

    buyers: list[Buyer]
    number: int
    history: History = field(default_factory=History)
    came: int = 0
    inside: int = 0


@dataclass(slots=True)
class Told:
    """What became of the shoppers so far."""

    visits: int = 0
    held_back: int = 0
    """Arrivals that found `AT_ONCE` inside and went away."""
    operations: int = 0
    """Held against the database."""
    ends: Counter[str] = field(default_factory=Counter)
    """By kind and end: "place ok"."""
    lies: list[str] = field(default_factory=list)
    lie_count: int = 0


class Shoppers:
    """Runs the load. `run` may be cancelled by `stop`; what was begun is finished and checked."""

    def __init__(
        self,
        system: System,
        database: Database,
        events_on_sale: list[EventOnSale],
        *,
        rate: float,
        seed: int,
        habits: Habits | None = None,
        gateways: Sequence[str] = (),
    ) -> None:
        """`gateways`: where to go, if there are more than the system's own."""
        self._gateways = gateways or [system.gateway_url]
        self._system, self._database, self._rate = system, database, rate
        self._shelves, self._habits = events_on_sale, habits or Habits()
        # A choice to be repeated, no secret.
        self._pick = random.Random(seed)  # noqa: S311
        self._name = f"soak-{secrets.token_hex(4)}"
        self._cohorts = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.told = Told()
        self.visitors: Visitors | None = None

    async def run(self, seconds: float, stop: asyncio.Event) -> None:
        """Let shoppers come for so long, then wait until all are gone and all they were told is checked."""
        allow_connections(AT_ONCE)
        timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            caller = Caller(session, self._gateways, self._name, self._pick)
            self.visitors = Visitors(caller, self._shelves, self._habits, self._pick)
            try:
                # Checks wait for the last deadlines; the group waits for them.
                async with asyncio.TaskGroup() as checks:
                    await self._let_in(self.visitors, checks, seconds, stop)
                    await asyncio.gather(*self._tasks)
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _let_in(
        self,
        visitors: Visitors,
        checks: asyncio.TaskGroup,
        seconds: float,
        stop: asyncio.Event,
    ) -> None:
        loop = asyncio.get_running_loop()
        began, number = loop.time(), 0
        current, following = await self._cohort(), asyncio.create_task(self._cohort())
        while loop.time() < began + seconds and not stop.is_set():
            due = int((loop.time() - began) * self._rate)
            for _ in range(due - number):
                if current.came == len(current.buyers):
                    checks.create_task(self._check(current))
                    current, following = await following, asyncio.create_task(self._cohort())
                self._enter(visitors, current)
            number = due
            await asyncio.sleep(min(0.02, 1 / self._rate))
        await following
        checks.create_task(self._check(current))

    def _enter(self, visitors: Visitors, cohort: Cohort) -> None:
        if len(self._tasks) >= AT_ONCE:
            self.told.held_back += 1
            return
        first = (cohort.number * COHORT + cohort.came) * OPERATIONS_MAX
        visit = Visit(visitors, cohort.buyers[cohort.came], cohort.history, first)
        cohort.came += 1
        cohort.inside += 1
        task = asyncio.create_task(self._visit(visit, cohort))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _visit(self, visit: Visit, cohort: Cohort) -> None:
        try:
            await visit.run()
        finally:
            cohort.inside -= 1
            self.told.visits += 1

    async def _cohort(self) -> Cohort:
        """Accounts with tokens, made while the cohort before is shopping."""
        self._cohorts += 1
        ids, since = await patiently(self._accounts)
        tokens = self._system.tokens()
        buyers = [Buyer(one, tokens.issue(one, ("USER",), since)) for one in ids]
        return Cohort(buyers, self._cohorts)

    async def _accounts(self) -> tuple[list[int], datetime]:
        """Under new names each time: of a try that was not answered nobody knows what it left behind."""
        names = f"{self._name}-{secrets.token_hex(4)}"
        emails = [f"{names}-{number}@eventhub.example" for number in range(COHORT)]
        return await add_accounts(self._database, emails, "!", ("USER",))

    async def _check(self, cohort: Cohort) -> None:
        """Hold everything a cohort was told against the database, once it must have its end."""
        while cohort.inside:
            await asyncio.sleep(1)
        operations = cohort.history.operations
        settled = asyncio.get_running_loop().time() + SETTLED_SECONDS
        undecided = any(one.end == "accepted" for one in operations)
        while lies := await patiently(lambda: check(self._database, operations)):
            if not undecided or asyncio.get_running_loop().time() > settled:
                break
            await asyncio.sleep(1)
        self.told.operations += len(operations)
        for one in operations:
            self.told.ends[f"{one.kind} {one.end}"] += 1
        self.told.lie_count += len(lies)
        self.told.lies += lies[: LIES_MAX - len(self.told.lies)]


async def make_events_on_sale(system: System) -> list[EventOnSale]:
    """Events of a new organizer: plenty of tickets, and a few for everybody."""
    organizer = (await make_users(system, 1, ("ORGANIZER",)))[0]
    async with aiohttp.ClientSession() as session:
        api = Api(session, system.gateway_url, organizer.token)
        plenty = await api.make_shows(EVENTS, quotas=[PLENTY, PLENTY])
        scarce = await api.make_shows(SCARCE_EVENTS, quotas=[FEW])
    return [
        EventOnSale(show.event_id, show.ticket_types, scarce=number >= EVENTS)
        for number, show in enumerate([*plenty, *scarce])
    ]


async def patiently(work: Callable[[], Awaitable[T]]) -> T:
    """Do the soak's own work, again while the database is away: what it measures must not end it.

    Raises what it raised after two minutes of that.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + AWAY_SECONDS
    while True:
        try:
            return await work()
        except Exception as error:
            if not (is_away(error) or is_transient(error)) or loop.time() > deadline:
                raise
        await asyncio.sleep(1)
