"""The outbox against a model of a few lines: whatever writers, relays and the broker go through, nothing is lost.

The real outbox, relay, leases and publisher on the real database and broker, each relay behind a proxy of its own;
a failing history is shrunk and shown. Builds of the relay without a guard are caught by the same machine.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from typing import Any

import aio_pika
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from contracts.events import DomainEvent, OrderCancelled, OrderPlaced
from db.messages import leases
from db.messages.outbox import NewEvent
from db.mysql.database import Database
from scripts.proving.proxy import Proxy, Trap
from scripts.proving.wires import basic_ack
from tests.faults import mutants
from tests.faults.outboxes import Draft, Place
from tests.faults.relays import Relay
from tests.harness.resources import an_order
from tests.harness.scratch import Scratch
from workers.relay import publishing

AGGREGATES, RELAYS, EXAMPLES = 4, 2, 6
NUMBERS = st.integers(0, AGGREGATES - 1)
WHO = st.integers(0, RELAYS - 1)
KINDS = st.lists(st.sampled_from((OrderPlaced, OrderCancelled)), min_size=1, max_size=3)
"""Of two kinds, so that one pass has several messages and an aggregate's events are in more than one of them."""


class Relaying(RuleBasedStateMachine):
    """Writers, relays, a broker, and everything that can happen to them."""

    runner: asyncio.Runner
    place: Place
    relays: list[Relay]

    @initialize()
    def open(self) -> None:
        """An empty outbox, two relays that share its streams."""
        self.committed: dict[str, list[int]] = {}
        self.drafts: dict[int, tuple[Draft, str, list[int]]] = {}
        self.heard: dict[str, list[int]] = {}
        self.serial = 0
        self.run(self._open())

    async def _open(self) -> None:
        await self.place.clear()
        for relay in (*self.relays, *self.relays):
            await relay.begin()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    # -- writers -----------------------------------------------------------------------------------

    @rule(number=NUMBERS, kinds=KINDS)
    def write(self, number: int, kinds: list[type[DomainEvent]]) -> None:
        """A decision about an aggregate, unless somebody else has it locked."""
        if number not in self.drafts:
            self.begin(number, kinds)
            self.end(number, True)

    @rule(number=NUMBERS, kinds=KINDS)
    def begin(self, number: int, kinds: list[type[DomainEvent]]) -> None:
        """One that takes its time: its rows have their ids already, whoever commits before it has later ones."""
        if number in self.drafts:
            return
        aggregate = f"order:{number}"
        numbers = [self.serial + one for one in range(1, len(kinds) + 1)]
        self.serial += len(kinds)
        events = [
            NewEvent(kind(order=an_order(id=number + 1), organizer_id=1), aggregate, one, 1)
            for kind, one in zip(kinds, numbers, strict=True)
        ]
        self.drafts[number] = (self.run(self._begin(events)), aggregate, numbers)

    async def _begin(self, events: list[NewEvent]) -> Draft:
        draft = Draft(self.place, events)
        await draft.written()
        return draft

    @precondition(lambda self: self.drafts)
    @rule(number=NUMBERS, commit=st.booleans())
    def end(self, number: int, commit: bool) -> None:
        """It commits, late, or rolls back."""
        if number in self.drafts:
            draft, aggregate, numbers = self.drafts.pop(number)
            if self.run(draft.end(commit)):
                self.committed.setdefault(aggregate, []).extend(numbers)

    # -- relays ------------------------------------------------------------------------------------

    @rule(who=WHO)
    def beat(self, who: int) -> None:
        """A relay says that it lives, takes what is free, gives up what is not its any more."""
        self.run(self.relays[who].life.share.beat())

    @rule(who=WHO)
    def sleep(self, who: int) -> None:
        """A relay sleeps past its leases, perhaps in the middle of a pass, and does not know."""
        self.run(self.place.lapse(self.relays[who].name))

    @rule(who=WHO)
    def relay(self, who: int) -> None:
        """The rest of a pass, or a whole one."""
        self.run(self.relays[who].life.relay())

    @rule(who=WHO)
    def select(self, who: int) -> None:
        """A relay reads what waits."""
        if not self.relays[who].life.is_busy:
            self.run(self.relays[who].life.select())

    @rule(who=WHO, fault=st.sampled_from(("", "", "before", "after")), which=st.integers(0, 2))
    def step(self, who: int, fault: Any, which: int) -> None:
        """A relay does one of the steps it stands before, or its connection breaks before or after it."""
        if self.relays[who].life.is_busy:
            self.run(self.relays[who].life.step(fault, which))

    @rule(who=WHO)
    def crash(self, who: int) -> None:
        """A relay dies where it stands, and begins again under its name."""
        self.run(self.relays[who].begin())

    # -- the broker --------------------------------------------------------------------------------

    @rule(heard=st.booleans(), full=st.booleans())
    def route(self, heard: bool, full: bool) -> None:
        """Nobody listens, or one of those who do is full, or all is well."""
        self.run(self.place.route(heard=heard, full=full))

    @rule(who=WHO)
    def cut(self, who: int) -> None:
        """A relay's connection breaks and is there again."""
        self.run(self.relays[who].cut())

    @rule(who=WHO)
    def lose_a_confirm(self, who: int) -> None:
        """A message arrives, the connection breaks at its confirm; the pass goes on to its end."""
        trap = self.relays[who].proxy.set(Trap("down", basic_ack, "cut"))
        self.run(self.relays[who].life.relay())
        if trap.caught:
            self.run(self.relays[who].cut())
        self.relays[who].proxy.traps.remove(trap)

    @rule(who=WHO)
    def block(self, who: int) -> None:
        """The broker takes nothing in for longer than a relay waits, then all of it at once."""
        self.relays[who].proxy.turn("hole")
        self.run(self.relays[who].life.relay())
        self.relays[who].proxy.turn("pass")

    # -- what must be true -------------------------------------------------------------------------

    @invariant()
    def holds(self) -> None:
        """Nothing lost, nothing invented, every aggregate's events first heard in their order."""
        if not hasattr(self, "committed"):
            return
        # In this order: what is gone from the outbox was confirmed before, and is on the queue by now.
        waiting: set[int] = self.run(self.place.waiting())
        for aggregate, number in self.run(self.place.heard()):
            first = self.heard.setdefault(aggregate, [])
            if number not in first:
                first.append(number)
        everything = {one for numbers in self.committed.values() for one in numbers}
        seen = {one for numbers in self.heard.values() for one in numbers}
        lost = everything - waiting - seen
        assert not lost, f"lost: {lost}"
        assert waiting | seen <= everything, f"never happened: {(waiting | seen) - everything}"
        for aggregate, numbers in self.heard.items():
            wanted = self.committed[aggregate][: len(numbers)]
            assert numbers == wanted, f"order of {aggregate}: {numbers} instead of {wanted}"

    def teardown(self) -> None:
        """All is well again: everything comes out."""
        if not hasattr(self, "committed"):
            return
        for number in sorted(self.drafts):
            self.end(number, True)
        self.run(self.place.route(heard=True, full=False))
        self.run(self._drain())
        self.holds()
        left = {
            name: set(numbers) - set(self.heard.get(name, ()))
            for name, numbers in self.committed.items()
        }
        assert not any(left.values()), f"never published: {left}"

    async def _drain(self) -> None:
        for relay in self.relays:
            await relay.life.crash()
            await self.place.lapse(relay.name)
        last = self.relays[0]
        await last.begin()
        for _ in range(self.serial):
            if await self.place.waiting():
                await last.life.relay()


@pytest.fixture(autouse=True)
def _small_and_timeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls and messages of a few events; leases that lapse when the machine says so and never by themselves."""
    monkeypatch.setattr(publishing, "POLL_LIMIT", 5)
    monkeypatch.setattr(publishing, "MESSAGE_EVENTS_MAX", 2)
    monkeypatch.setattr(leases, "LEASE_SECONDS", 3600)


@contextlib.contextmanager
def stage(scratch: Scratch) -> Iterator[None]:
    """The machine's servers, relays behind proxies, all gone at the end."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            runner.run(_prepare(stack, scratch))
            Relaying.runner = runner
            yield
        finally:
            runner.run(stack.aclose())


async def _prepare(stack: AsyncExitStack, scratch: Scratch) -> None:
    database = await Database.connect(scratch.mysql_url, size=AGGREGATES + RELAYS + 1)
    stack.push_async_callback(database.close)
    connection = await stack.enter_async_context(await aio_pika.connect(scratch.amqp_url))
    Relaying.place = Place(database, await connection.channel())
    await Relaying.place.declare()
    Relaying.relays = []
    for number in range(RELAYS):
        proxy = await stack.enter_async_context(Proxy(scratch.amqp_url))
        relay = Relay(f"relay-{number}", database, proxy)
        stack.push_async_callback(relay.close)
        await relay.connect()
        Relaying.relays.append(relay)


def play(seed: int, examples: int) -> None:
    """Let Hypothesis play; raises AssertionError with a history that breaks the promise."""
    chosen = settings(
        max_examples=examples,
        stateful_step_count=30,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    seeded(seed)(Relaying)
    run_state_machine_as_test(Relaying, settings=chosen)


def test_the_outbox_agrees_with_the_model(scratch: Scratch, seed: int) -> None:
    """Histories of up to thirty steps."""
    with stage(scratch):
        play(seed, EXAMPLES)


@pytest.mark.full
@pytest.mark.timeout(600)
def test_the_outbox_agrees_with_the_model_for_long(scratch: Scratch, seed: int) -> None:
    """Many more of them."""
    with stage(scratch):
        play(seed, 20 * EXAMPLES)


def dies_after_its_first_step(machine: Relaying) -> None:
    """One event; the relay does one step and is killed."""
    machine.write(0, [OrderPlaced])
    machine.select(0)
    machine.step(0, "", 0)
    machine.holds()
    machine.crash(0)


def has_no_confirm_of_the_first(machine: Relaying) -> None:
    """Two events of an aggregate that travel apart; the first is not sent."""
    machine.write(0, [OrderPlaced, OrderCancelled])
    machine.select(0)
    machine.step(0, "before", 0)
    machine.relay(0)


def has_three_of_an_aggregate(machine: Relaying) -> None:
    """The first and the last event have the same routing key, the one between them another."""
    machine.write(0, [OrderPlaced, OrderCancelled, OrderPlaced])
    machine.relay(0)


def has_the_last_message_first(machine: Relaying) -> None:
    """Two events of an aggregate that travel apart; of the messages under way the last one arrives first."""
    machine.write(0, [OrderPlaced, OrderCancelled])
    machine.select(0)
    machine.step(0, "", 1)


HISTORIES: dict[str, tuple[Callable[[Relaying], None], str]] = {
    "mark after publish": (dies_after_its_first_step, "lost"),
    "stop at the first": (has_no_confirm_of_the_first, "order of"),
    "order of an aggregate": (has_three_of_an_aggregate, "order of"),
    "one of an aggregate under way": (has_the_last_message_first, "order of"),
}


def retell(history: Callable[[Relaying], None]) -> None:
    """Play a known history, in which the first relay has all the streams."""
    machine = Relaying()
    machine.open()
    machine.sleep(1)
    machine.beat(0)
    history(machine)
    machine.holds()
    machine.teardown()


@pytest.mark.parametrize("guard", HISTORIES)
def test_a_relay_without_a_guard_is_caught(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch, guard: str
) -> None:
    """In a history that the real relay comes through, by what the model says of it."""
    history, notices = HISTORIES[guard]
    with stage(scratch):
        retell(history)
        monkeypatch.setattr(publishing, *mutants.RELAYS[guard])
        with pytest.raises(AssertionError, match=notices):
            retell(history)
