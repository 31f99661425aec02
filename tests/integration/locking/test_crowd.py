"""All the rules at once: every kind of transaction on the same few rows, from four sides, and not one deadlock."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from contracts.commands import Command
from contracts.events import OrderCancelled
from contracts.messaging.envelope import Codec
from contracts.runtime.settings import Settings
from db.audit import audit
from db.messages import outcomes
from db.messages.outbox import Outbox
from db.mysql import database
from db.mysql.database import DEADLOCK, Database, error_code
from db.redis.clients import quick_client
from tests.harness.accounts import Person, person
from tests.harness.command_client import CommandClient, command_client, place
from tests.harness.deciders import decider, items
from tests.harness.scratch import SECRET, scratch_servers
from tests.harness.workers import running_workers
from tests.integration.catalogue.management import create_type, update_event, update_type
from tests.integration.payments.payment_client import (
    add,
    cancel,
    confirm,
    fresh_hash,
    quote,
    set_rate,
)
from workers.inventory.handlers import HANDLERS as INVENTORY
from workers.inventory.returns import give_back
from workers.order.handlers import cancel_orders
from workers.payment.handlers import HANDLERS as PAYMENT
from workers.runtime.handlers import (
    CommandHandler,
    EventHandler,
    Received,
    WorkItem,
)
from workers.runtime.reacting import EventProcessor

RIVALS, ROUNDS, BATCH = 4, 40, 4


@dataclass(slots=True)
class Crowd:
    """One event with three types, and what the rivals have made of it so far."""

    client: CommandClient
    organizer: Person
    buyer: Person
    event_id: int
    types: list[int]
    dice: random.Random
    orders: list[int] = field(default_factory=list)
    payments: list[int] = field(default_factory=list)

    def commands(self) -> list[Command]:
        """A few commands of one kind, on rows that others are at as well."""
        kind = self.dice.choice(
            ("place", "place", "add", "cancel", "quote", "confirm", "type", "event", "new")
        )
        return [self._one(kind) for _ in range(self.dice.randint(1, BATCH))]

    def _one(self, kind: str) -> Command:
        order = self.dice.choice(self.orders or [1])
        seat = self.dice.choice(self.types)
        match kind:
            case "place":
                pairs = [(one, 1) for one in self.dice.sample(self.types, 2)]
                return place(self.buyer, self.event_id, *pairs)
            case "add":
                return add(self.buyer, self.event_id, order, seat)
            case "cancel":
                return cancel(self.buyer, order)
            case "quote":
                return quote(self.buyer, order)
            case "confirm":
                return confirm(self.buyer, self.dice.choice(self.payments or [1]), fresh_hash())
            case "type":
                patch = {"quota": self.dice.randint(400, 500)}
                return update_type(self.organizer, self.event_id, seat, patch)
            case "event":
                return update_event(
                    self.organizer, self.event_id, {"name": f"E{self.dice.random()}"}
                )
            case _:
                return create_type(self.organizer, self.event_id)

    async def learn(self, decided: Sequence[WorkItem]) -> list[dict[str, Any]]:
        """Note new orders and payments; the orders that were cancelled."""
        found = await outcomes.find(self.client.database, [one.received.uuid for one in decided])
        assert len(found) == len(decided), "every command has its outcome"
        gone = []
        for outcome in found.values():
            made = orjson.loads(outcome.body)
            if outcome.status_code == 201 and outcome.type == "eventhub.order.place.v1":
                self.orders.append(made["id"])
            elif outcome.status_code == 201 and outcome.type == "eventhub.payment.quote.v1":
                self.payments.append(made["id"])
            elif outcome.status_code == 200 and outcome.type == "eventhub.order.cancel.v1":
                gone.append(made)
        return gone


@pytest.fixture
async def crowd() -> AsyncIterator[Crowd]:
    """An event on sale, in a place of its own."""
    async with scratch_servers() as scratch:
        database = await Database.connect(scratch.mysql_url)
        async with command_client(scratch, database, shards=1) as client:
            organizer, buyer = await person(database, "ORGANIZER"), await person(database)
            await set_rate(database, "BTC", "50000")
            async with running_workers(client.settings, "inventory"):
                event_id, types = await client.sale(organizer, 500, 500, 500)
            yield Crowd(client, organizer, buyer, event_id, types, random.Random(7))
        await database.close()


@pytest.fixture
def deadlocks(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """Every 1213 that a transaction met, also those that were retried."""
    met: list[BaseException] = []
    judge = database.is_transient

    def noting(error: BaseException) -> bool:
        if error_code(error) == DEADLOCK:
            met.append(error)
        return judge(error)

    monkeypatch.setattr(database, "is_transient", noting)
    return met


async def reactor(stack: AsyncExitStack, settings: Settings) -> EventProcessor:
    """What gives tickets back, with connections of its own."""
    database = await Database.connect(settings.mysql_url.get_secret_value())
    stack.push_async_callback(database.close)
    redis = quick_client(settings.redis_url.get_secret_value())
    stack.push_async_callback(redis.aclose)

    async def back() -> None:
        await database.read("SELECT 1")

    outbox = Outbox(Codec(SECRET), "test", settings.shards)
    return EventProcessor(database, redis, settings, outbox=outbox, database_back=back)


async def test_a_crowd_of_all_kinds_meets_no_deadlock(
    crowd: Crowd, deadlocks: list[BaseException]
) -> None:
    """160 batches by four rivals: each command decided once, the books right, nobody's transaction killed."""
    handlers: dict[str, Any] = {**INVENTORY, **PAYMENT}
    cancelling = cancel(crowd.buyer, 1)
    handlers[cancelling.TYPE] = CommandHandler(type(cancelling), cancel_orders)
    returning = EventHandler(OrderCancelled, give_back)

    async def rival(stack: AsyncExitStack) -> None:
        deciding = await decider(stack, crowd.client.settings)
        reacting = await reactor(stack, crowd.client.settings)
        for _ in range(ROUNDS):
            commands = crowd.commands()
            batch = items(crowd.client, commands)
            await deciding.decide(handlers[commands[0].TYPE], batch)
            await deciding.settle()
            if gone := await crowd.learn(batch):
                await reacting.react(returning, [_cancelled(batch[0], one) for one in gone])

    async with AsyncExitStack() as stack:
        await asyncio.gather(*(rival(stack) for _ in range(RIVALS)))
    assert len(crowd.orders) > ROUNDS / 4, "the crowd was at work"
    assert deadlocks == []
    (await audit(crowd.client.database)).require_ok()


def _cancelled(cause: WorkItem, order: dict[str, Any]) -> WorkItem:
    event = OrderCancelled(order=order, organizer_id=1)
    return WorkItem(Received(cause.received.envelope, event, "test"))
