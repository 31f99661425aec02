"""A sale against a model of a few lines: whatever Hypothesis does in whatever order, the database agrees with it.

The real handlers and the real transactions, one decider, on the real database. A failing history is shrunk and shown.
"""

import asyncio
import secrets
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import orjson
from hypothesis import HealthCheck, settings
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

from contracts.command_ids import CommandIds
from contracts.commands import CancelOrder, Command
from contracts.events import OrderCancelled
from contracts.messaging.envelope import Codec
from contracts.outcomes import Outcome
from db.audit import audit
from db.messages import outcomes
from db.messages.outbox import Outbox
from db.mysql.database import Database, Transaction
from db.redis.seat_locks import AlwaysGranted
from tests.harness.accounts import Person, person
from tests.harness.command_client import CommandClient, place
from tests.harness.deciders import decider, items
from tests.harness.resources import an_order
from tests.harness.scratch import SECRET, Scratch
from tests.integration.payments.payment_client import (
    age,
    cancel,
    confirm,
    fresh_hash,
    quote,
    set_rate,
)
from workers.inventory.handlers import HANDLERS as INVENTORY
from workers.inventory.returns import give_back
from workers.order.handlers import cancel_orders
from workers.order.sweep import sweep
from workers.payment.handlers import HANDLERS as PAYMENT
from workers.runtime.deciding import CommandProcessor
from workers.runtime.handlers import CommandHandler, Context, Received

DEALT_WITH = {**PAYMENT, **INVENTORY, CancelOrder.TYPE: CommandHandler(CancelOrder, cancel_orders)}
QUOTA = 9
ORDERS = st.integers(0, 5)


@dataclass(slots=True)
class Ordered:
    """What the model knows of an order."""

    id: int
    quantity: int
    status: str = "PENDING_PAYMENT"
    lapsed: bool = False
    """Its time is over, whether the sweep has seen it or not."""
    returned: bool = False
    payment: int | None = None

    @property
    def ended(self) -> bool:
        """Whether its tickets are to come back."""
        return self.status in ("CANCELLED", "EXPIRED")

    @property
    def refusal(self) -> str | None:
        """What everybody is told who wants to end or to pay it."""
        waits = self.status == "PENDING_PAYMENT" and not self.lapsed
        return None if waits else "ORDER_NOT_PENDING"


@dataclass(frozen=True, slots=True)
class Shown:
    """A transaction hash that was shown for a payment, and what was said."""

    payment: int
    tx_hash: str
    code: str | None


class Sale(RuleBasedStateMachine):
    """Orders, payments, cancellations, lapsed times; events heard once, twice or late; commands said again."""

    runner: asyncio.Runner
    stack: AsyncExitStack
    client: CommandClient
    deciding: CommandProcessor
    organizer: Person
    buyer: Person
    services: Any
    """What the sweep needs of a process."""

    @initialize()
    def open(self) -> None:
        """A new event with nine tickets."""
        self.orders: list[Ordered] = []
        self.said: list[tuple[Command, bytes, int]] = []
        self.shown: list[Shown] = []
        self.event_id, self.type_id = self.run(_event(self.client.database, self.organizer))

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def decide(self, command: Command, uuid: bytes | None = None) -> Outcome:
        """Let the worker decide a command; its durable outcome."""
        return self.run(self._decide(command, uuid))  # type: ignore[no-any-return]  # an Outcome

    async def _decide(self, command: Command, uuid: bytes | None) -> Outcome:
        [item] = items(self.client, [command], seen_before=uuid is not None)
        if uuid is not None:
            _, envelope = self.client.envelope(command, uuid=uuid)
            item.received = Received(
                envelope, command, "test", CommandIds(SECRET).open(envelope.id, self.buyer.id), True
            )
        handler = DEALT_WITH[command.TYPE]
        await self.deciding.decide(handler, [item])  # type: ignore[arg-type]  # a Decides
        await self.deciding.settle()
        found = await outcomes.find(self.client.database, [item.received.uuid])
        outcome = found[item.received.uuid]
        if uuid is None:
            self.said.append((command, item.received.uuid, outcome.status_code))
        return outcome

    @property
    def left(self) -> int:
        """Tickets that are for sale."""
        return QUOTA - sum(one.quantity for one in self.orders if not one.returned)

    @rule(quantity=st.integers(1, 4))
    def order(self, quantity: int) -> None:
        """Placed when there are enough, else SOLD_OUT with what there is."""
        left = self.left
        outcome = self.decide(place(self.buyer, self.event_id, (self.type_id, quantity)))
        body = orjson.loads(outcome.body)
        if quantity <= left:
            assert outcome.status_code == 201, body
            self.orders.append(Ordered(body["id"], quantity))
        else:
            assert (outcome.code, body["available"]) == ("SOLD_OUT", left)

    @precondition(lambda self: self.orders)
    @rule(number=ORDERS)
    def cancel(self, number: int) -> None:
        """Once; the second time it is not pending any more."""
        order = self.orders[number % len(self.orders)]
        outcome = self.decide(cancel(self.buyer, order.id))
        assert outcome.code == order.refusal
        if not order.refusal:
            order.status = "CANCELLED"

    @precondition(lambda self: self.orders)
    @rule(number=ORDERS)
    def quote(self, number: int) -> None:
        """One price for as long as the order waits."""
        order = self.orders[number % len(self.orders)]
        outcome = self.decide(quote(self.buyer, order.id))
        assert outcome.code == order.refusal
        if not order.refusal:
            assert outcome.status_code == (200 if order.payment else 201)
            paid = orjson.loads(outcome.body)["id"]
            assert paid == (order.payment or paid)
            order.payment = paid

    @precondition(lambda self: any(one.payment for one in self.orders))
    @rule(number=ORDERS)
    def pay(self, number: int) -> None:
        """Paid by the first hash that comes in time; any other is kept as late."""
        quoted = [one for one in self.orders if one.payment]
        order = quoted[number % len(quoted)]
        tx_hash = fresh_hash()
        outcome = self.decide(confirm(self.buyer, order.payment or 0, tx_hash))
        assert outcome.code == order.refusal
        self.shown.append(Shown(order.payment or 0, tx_hash, outcome.code))
        if not order.refusal:
            order.status = "CONFIRMED"

    @precondition(lambda self: self.shown)
    @rule(number=ORDERS, other=ORDERS)
    def show_again(self, number: int, other: int) -> None:
        """A hash is answered as it was; for another payment it is used."""
        first = self.shown[number % len(self.shown)]
        payment = self.shown[other % len(self.shown)].payment
        outcome = self.decide(confirm(self.buyer, payment, first.tx_hash))
        assert outcome.code == (first.code if payment == first.payment else "TX_HASH_USED")

    @precondition(lambda self: self.orders)
    @rule(number=ORDERS, swept=st.booleans())
    def lapse(self, number: int, swept: bool) -> None:
        """An order's time is over, and perhaps the sweep comes by."""
        order = self.orders[number % len(self.orders)]
        if order.status == "PENDING_PAYMENT" and not order.lapsed:
            self.run(age(self.client.database, "orders", order.id, 1))
            order.lapsed = True
        if swept:
            self.run(sweep(self.services))
            for one in self.orders:
                if one.lapsed and one.status == "PENDING_PAYMENT":
                    one.status = "EXPIRED"

    @precondition(lambda self: self.orders)
    @rule(numbers=st.lists(ORDERS, min_size=1, max_size=4))
    def hear(self, numbers: list[int]) -> None:
        """Inventory hears of ended orders, several at once, again, or of one that lives after all."""
        heard = [self.orders[number % len(self.orders)] for number in numbers]
        self.run(self._hear([order.id for order in heard]))
        for order in heard:
            order.returned = order.ended

    async def _hear(self, ids: list[int]) -> None:
        async def work(transaction: Transaction) -> None:
            context = Context(transaction, await transaction.now(), self.client.settings, None)  # type: ignore[arg-type]  # no Redis here
            envelope = self.client.envelope(cancel(self.buyer, 1))[1]
            events = [
                OrderCancelled(order=an_order(id=one), organizer_id=self.organizer.id)
                for one in ids
            ]
            await give_back(context, [Received(envelope, event, "test") for event in events])

        await self.client.database.run(work)

    @precondition(lambda self: self.said)
    @rule(number=ORDERS)
    def say_again(self, number: int) -> None:
        """A command that comes again is answered as it was."""
        command, uuid, status = self.said[number % len(self.said)]
        assert self.decide(command, uuid).status_code == status

    @invariant()
    def agrees(self) -> None:
        """The database counts as the model does, and the audit has nothing to say."""
        if not hasattr(self, "type_id"):
            return
        database = {str(one): state for one, state in self.run(self._books())}
        assert database.pop("left") == str(self.left)
        orders = {str(one.id): one.status for one in self.orders}
        receipts = {one.tx_hash: "LATE" if one.code else "APPLIED" for one in self.shown}
        assert database == orders | receipts

    async def _books(self) -> list[tuple[object, str]]:
        """What is for sale, the orders, the money."""
        return list(
            await self.client.database.read(
                "SELECT 'left', CAST(available AS CHAR) FROM ticket_types WHERE id = %s "
                "UNION ALL SELECT CAST(id AS CHAR), status FROM orders WHERE event_id = %s "
                "UNION ALL SELECT r.tx_hash, r.status FROM payment_receipts r "
                "JOIN payments p ON p.id = r.payment_id JOIN orders o ON o.id = p.order_id "
                "WHERE o.event_id = %s",
                self.type_id,
                self.event_id,
                self.event_id,
            )
        )

    def teardown(self) -> None:
        """After each history."""
        report = self.run(audit(self.client.database))
        assert report.ok, report.to_text()


LONG_AGO = "2020-01-01"
"""Older than outcomes are kept: what the model did not order needs none."""


async def _event(database: Database, organizer: Person) -> tuple[int, int]:
    """(event, ticket type) as inventory would have made them, long ago."""

    async def work(transaction: Transaction) -> tuple[int, int]:
        event: dict[str, object] = {
            "organizer_id": organizer.id,
            "name": "Concert",
            "start_time": "2030-01-01",
            "end_time": "2030-01-02",
        }
        event_id = await _row(transaction, "events", event)
        seat: dict[str, object] = {
            "event_id": event_id,
            "name": "Seat",
            "price": "49.90",
            "currency": "USD",
            "quota": QUOTA,
            "available": QUOTA,
            "max_per_order": 4,
        }
        type_id = await _row(transaction, "ticket_types", seat)
        await transaction.insert(
            "stock_ledger",
            ("ticket_type_id", "version", "kind", "delta", "quota_delta", "created_at"),
            [(type_id, 1, "CREATE", QUOTA, QUOTA, LONG_AGO)],
        )
        return event_id, type_id

    return await database.run(work)


async def _row(transaction: Transaction, table: str, values: dict[str, object]) -> int:
    command = {"command_id": secrets.token_bytes(16)}
    row = values | command | {"created_at": LONG_AGO, "updated_at": LONG_AGO}
    return await transaction.insert(table, tuple(row), [tuple(row.values())])


def test_the_database_agrees_with_the_model(scratch: Scratch, seed: int) -> None:
    """Ten histories of up to fifteen steps."""
    with asyncio.Runner() as runner:
        runner.run(_prepare(runner, scratch))
        try:
            seeded(seed)(Sale)
            run_state_machine_as_test(
                Sale,
                settings=settings(
                    max_examples=10,
                    stateful_step_count=15,
                    deadline=None,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(Sale.stack.aclose())


async def _prepare(runner: asyncio.Runner, scratch: Scratch) -> None:
    Sale.runner, Sale.stack = runner, AsyncExitStack()
    database = await Database.connect(scratch.mysql_url)
    Sale.stack.push_async_callback(database.close)
    chosen = scratch.settings()
    nothing: Any = None
    Sale.client = CommandClient(
        chosen, database, nothing, nothing, Codec(SECRET), CommandIds(SECRET)
    )
    Sale.services = SimpleNamespace(
        database=database, settings=chosen, redis=None, outbox=Outbox(Codec(SECRET), "test", 4)
    )
    await set_rate(database, "BTC", "50000")
    Sale.deciding = await decider(Sale.stack, chosen, AlwaysGranted())
    Sale.organizer, Sale.buyer = await person(database, "ORGANIZER"), await person(database)
