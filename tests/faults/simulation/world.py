"""One simulated world: processes that run the real code and rules, a client, deaths, and the audit at the end.

In: a seed. Out: nothing, or `Broken` with what is wrong; the same for the same seed, every time.
Must stay true: between the handlers, message processing, the relay, the sweep and these fakes nothing is replaced.
"""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from contracts.command_ids import CommandId, CommandIds
from contracts.commands import (
    KINDS,
    CancelOrder,
    Command,
    ConfirmPayment,
    CreateQuote,
    OrderItem,
    PlaceOrder,
)
from contracts.messaging.envelope import Codec, Envelope
from contracts.messaging.publisher import Properties
from contracts.messaging.topology import (
    COMMANDS_EXCHANGE,
    inventory_queue,
    returns_queue,
    topology,
)
from contracts.models import Principal
from contracts.runtime.settings import Settings
from db.messages.outbox import STREAMS, Outbox
from gateway.submission.outcomes import Opened
from tests.faults.simulation import money, statements, verdict, waiting_clients
from tests.faults.simulation.broker import Broker, Intake
from tests.faults.simulation.chance import Chance
from tests.faults.simulation.loop import PROCESS, SimulatedLoop
from tests.faults.simulation.store import BEGINNING, Database, Language, Store
from workers.inventory.handlers import HANDLERS
from workers.inventory.overdue import OVERDUE
from workers.order.handlers import cancel_orders
from workers.order.sweep import EXPIRY
from workers.payment.handlers import HANDLERS as PAYMENT
from workers.payment.quote_expiry import OLD_QUOTES
from workers.relay import publishing
from workers.runtime.deciding import CommandProcessor
from workers.runtime.handlers import CommandHandler
from workers.runtime.processing import MessageProcessor
from workers.runtime.reacting import EventProcessor
from workers.runtime.sweeps import Sweeper

SECRET = "a master secret of a simulated world"
CODEC, IDS = Codec(SECRET), CommandIds(SECRET)
EVENT, BUYER = 1, Principal(user_id=7, roles=("USER",))
QUOTAS = {11: 5, 12: 8}
COMMANDS, ORDER_TTL, QUOTE_TTL = 14, 5, 3
DEADLINES = (0.3, 3.0, 60.0)
"""Seconds to take a command up: in some worlds most come too late."""
POWER_CUTS, LONGEST_START = 0.1, 5.0
"""How many of the deaths are everybody's, and how long it takes then until they are back."""
HASHES = 12
OVERDUE_SECONDS, NEVER = 30, 10**6
CALLER: dict[str, Any] = {"principal": BUYER, "fingerprint": "0" * 32}
REST_SECONDS = 400.0


class Broken(AssertionError):
    """The promise does not hold in this world."""


class Luck:
    """Seat locks that are granted or not by chance, and guard nothing: the version must."""

    def __init__(self, chance: Chance) -> None:
        self._weather = chance

    async def acquire(self, seats: Any) -> dict[int, str]:
        """Some of them."""
        await self._weather.pause()
        return {seat: "" for seat in seats if not self._weather.happens("busy")}

    async def release(self, _: Any) -> None:
        """Nothing was held."""

    def releasing(self, _: Any) -> list[Any]:
        """Nothing to send."""
        return []


class _Quiet:
    """Takes the lines that decisions leave in the log."""

    def write(self, _: object) -> None:
        """Nobody reads them."""


@dataclass(slots=True)
class World:
    """Everything there is."""

    seed: int
    chance: Chance = field(init=False)
    store: Store = field(init=False)
    broker: Broker = field(init=False)
    settings: Settings = field(init=False)
    loop: SimulatedLoop = field(init=False)
    sent: dict[bytes, Command] = field(default_factory=dict)
    clients: waiting_clients.Clients = field(
        default_factory=lambda: waiting_clients.Clients({}, [])
    )
    errors: list[str] = field(default_factory=list)
    deaths: int = 0
    _lives: int = 0

    def __post_init__(self) -> None:
        self.chance = Chance(self.seed)
        language = Language(
            {World._road: statements.alive} | money.QUERIES | statements.QUERIES,
            waiting_clients.STATEMENTS | money.STATEMENTS | statements.STATEMENTS,
            statements.AHEAD,
        )
        self.store = Store(self.chance, language)
        self.broker = Broker(self.chance, topology(1, 1000))
        self.settings = Settings.model_validate(
            {"MYSQL_URL": "x", "AMQP_URL": "x", "REDIS_URL": "x", "secret": SECRET}
            | {
                "shards": 1,
                "order_ttl": ORDER_TTL,
                "unpaid_orders": 0,
                "hold_cooldown": 0,
                "command_deadline": self.chance.random.choice(DEADLINES),
            }
            | {"quote_ttl": QUOTE_TTL, "max_hold": 2 * ORDER_TTL}
            # Where no queue is purged tickets must come back by their events alone.
            | {"returns_overdue": OVERDUE_SECONDS if self.chance.purges else NEVER}
        )
        self.loop = SimulatedLoop()
        end = (BEGINNING + timedelta(days=30)).replace(tzinfo=None)
        self.store.tables["events"][EVENT] = {
            "id": EVENT,
            "organizer_id": 3,
            "end_time": end,
            "cancelled": 0,
            "name": "Concert",
        }
        for type_id, quota in QUOTAS.items():
            self.store.tables["ticket_types"][type_id] = {
                "id": type_id, "event_id": EVENT, "price": Decimal("49.90"), "currency": "USD", "quota": quota,
                "available": quota, "max_per_order": 10, "max_per_user": None,
                "sales_start": None, "sales_end": None, "version": 1, "name": "Seat",
            }  # fmt: skip
        self.store.tables["rates"][1] = {
            "id": 1, "asset": "BTC", "currency": "USD", "source": "feed", "rate": Decimal(50000),
            "observed_at": BEGINNING.replace(tzinfo=None), "received_at": BEGINNING.replace(tzinfo=None),
            "accepted_at": None,
        }  # fmt: skip

    def run(self) -> None:
        """Live it through. Raises Broken."""
        try:
            self.loop.run_until_complete(self._live())
            self._judge()
        finally:
            self.loop.thaw()
            tasks = asyncio.all_tasks(self.loop)
            for task in tasks:
                task.cancel()
            self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self.loop.close()

    async def _live(self) -> None:
        lives = {
            "gateway-1": self._gateway,
            "inventory-1": self._inventory,
            "inventory-2": self._inventory,
            "order-1": self._order,
            "payment-1": self._payment,
            "payment-2": self._payment,
            "relay-1": self._relay,
            "relay-2": self._relay,
        }
        now: dict[str, int] = {name: self._begin(make) for name, make in lives.items()}
        client = asyncio.create_task(self._client())
        for _ in range(self.chance.random.randint(0, 12)):
            await self.chance.pause(0.6)
            dying = [self.chance.random.choice(list(lives))]
            if self.chance.random.random() < POWER_CUTS:
                dying = list(lives)
            for name in dying:
                self._kill(now[name])
            await self.chance.pause(LONGEST_START if len(dying) > 1 else 0.0)
            now |= {name: self._begin(lives[name]) for name in dying}
        await client
        self.chance.is_calm = True
        until = self.loop.time() + REST_SECONDS
        while not self._at_rest() and self.loop.time() < until:
            await asyncio.sleep(0.5)

    def _begin(self, make: Callable[[int], Coroutine[Any, Any, None]]) -> int:
        """Start a life; its number."""
        self._lives += 1
        life = self._lives
        context = contextvars.copy_context()
        context.run(PROCESS.set, life)
        task = self.loop.create_task(make(life), context=context)
        task.add_done_callback(self._ended)
        return life

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """No process ends by itself: a death freezes it, the end of the world cancels it."""
        if not task.cancelled():
            self.errors.append(f"a process ended: {task.exception()!r}")

    def _kill(self, life: int) -> None:
        """SIGKILL: no step of it ever runs again; what it held is free."""
        self.deaths += 1
        self.loop.dead.add(life)
        self.store.forget(life)
        self.broker.cut(life)

    # -- the processes -----------------------------------------------------------------------------

    def _services(self, life: int) -> Any:
        return SimpleNamespace(
            database=Database(self.store, life),
            publisher=self.broker,
            settings=self.settings,
            redis=None,
            outbox=Outbox(CODEC, "simulation", self.settings.shards),
        )

    def _road(self, life: int, handlers: Any, queues: tuple[str, ...]) -> MessageProcessor:
        services = self._services(life)

        async def back() -> None:
            await services.database.read("SELECT 1")

        shared = (services.database, None, self.settings)
        deciding = CommandProcessor(
            *shared,  # type: ignore[arg-type]  # fakes
            outbox=services.outbox,
            seats=Luck(self.chance),
            database_back=back,
        )
        deciding._decided = _Quiet()  # type: ignore[assignment]  # a log that nobody reads
        reacting = EventProcessor(*shared, outbox=services.outbox, database_back=back)  # type: ignore[arg-type]  # fakes
        intake: Any = Intake(self.broker, life, queues)
        publisher: Any = self.broker
        return MessageProcessor(
            intake,
            publisher,
            codec=CODEC,
            command_ids=IDS,
            handlers=handlers,
            deciding=deciding,
            reacting=reacting,
        )

    async def _gateway(self, life: int) -> None:
        database = Database(self.store, life)
        gateway = waiting_clients.Gateway(database, self.chance, self.settings.command_deadline)
        await gateway.serve(self.clients)

    async def _inventory(self, life: int) -> None:
        # Both serve the shard at once, which single active consumer and leases would prevent.
        looking = asyncio.create_task(self._keep(OVERDUE, self._services(life)))
        await self._road(life, HANDLERS, (returns_queue(0), inventory_queue(0))).run()
        await looking

    async def _order(self, life: int) -> None:
        handlers = {CancelOrder.TYPE: CommandHandler(CancelOrder, cancel_orders)}
        sweeping = asyncio.create_task(self._keep(EXPIRY, self._services(life)))
        await self._road(life, handlers, ("order",)).run()
        await sweeping

    async def _keep(self, sweeping: Sweeper, services: Any) -> None:
        while True:
            # Several sweep at once, which leases would prevent.
            await sweeping.once(services)
            await self.chance.pause(0.5)

    async def _payment(self, life: int) -> None:
        sweeping = asyncio.create_task(self._keep(OLD_QUOTES, self._services(life)))
        await self._road(life, PAYMENT, ("payment", "payment.events")).run()
        await sweeping

    async def _relay(self, life: int) -> None:
        services = self._services(life)
        while True:
            # Both relay every stream, which leases would prevent.
            await publishing._try_relay(services, range(STREAMS))
            await self.chance.pause(0.1)

    # -- the client --------------------------------------------------------------------------------

    async def _client(self) -> None:
        pick = self.chance.random
        for _ in range(COMMANDS):
            await self.chance.pause(0.3)
            types = pick.sample(sorted(QUOTAS), k=pick.randint(1, 2))
            items = tuple(
                OrderItem(ticket_type_id=one, quantity=pick.randint(1, 2)) for one in types
            )
            self._send(PlaceOrder(event_id=EVENT, items=items, **CALLER), inventory_queue(0))
            self._cancel_or_pay()
        for _ in range(COMMANDS):
            await self.chance.pause(0.9)
            self._cancel_or_pay()

    def _cancel_or_pay(self) -> None:
        """Something about an order, whatever has become of it; hashes come again, for other payments as well."""
        pick = self.chance.random
        orders, payments = (sorted(self.store.tables[name]) for name in ("orders", "payments"))
        if orders and pick.random() < 0.2:
            self._send(CancelOrder(order_id=pick.choice(orders), **CALLER), "order")
        if orders and pick.random() < 0.6:
            quote = CreateQuote(order_id=pick.choice(orders), asset="BTC", **CALLER)
            self._send(quote, "payment")
        if payments and pick.random() < 0.6:
            tx_hash = f"0x{pick.randint(1, HASHES):064x}"
            confirm = ConfirmPayment(payment_id=pick.choice(payments), tx_hash=tx_hash, **CALLER)
            self._send(confirm, "payment")

    def _send(self, command: Command, queue: str) -> None:
        """Onto its queue, once or several times; accepting it is proven with real gateways."""
        accepted = self.store.now()
        command_id = CommandId(self.chance.random.randbytes(16), accepted, KINDS[command.TYPE])
        sealed = IDS.seal(command_id, BUYER.user_id)
        envelope = Envelope(
            id=sealed,
            type=command.TYPE,
            source="/simulation",
            time=accepted,
            data=command.to_json(),
            correlationid="simulation",
            expirytime=accepted + timedelta(seconds=self.settings.command_deadline),
            partitionkey=f"event:{EVENT}",
        )
        self.sent[command_id.uuid] = command
        opened = Opened(command_id, sealed, BUYER.user_id, "simulation")
        self.clients.accepted[command_id.uuid] = opened
        properties = Properties("application/cloudevents+json")
        for _ in range(self.chance.random.choice((1, 1, 1, 2, 3))):
            self.broker.route(COMMANDS_EXCHANGE, queue, CODEC.encode(envelope), properties)

    # -- the end -----------------------------------------------------------------------------------

    def _at_rest(self) -> bool:
        tables = self.store.tables
        busy = [name for name, parcels in self.broker.queues.items() if parcels and name in _SERVED]
        unpaid = [one for one in tables["orders"].values() if one["status"] == "PENDING_PAYMENT"]
        quoted = [one for one in tables["payments"].values() if one["status"] == "PENDING"]
        undecided = len(tables["command_outcomes"]) < len(self.sent)
        asked = undecided or not self.clients.satisfied
        waiting = tables["outbox"] or tables["pending_returns"]
        return not (busy or waiting or unpaid or quoted or asked)

    def _judge(self) -> None:
        """Every rule of the audit that such a world can break. Raises Broken."""
        problems = self.errors + [f"not understood: {sql}" for sql in self.store.not_understood]
        problems += [f"dead letter: {one.properties.headers}" for one in self.broker.dead]
        if not self._at_rest():
            problems.append("the world does not come to rest")
        # Also of a world without rest: what keeps it busy is often a broken rule.
        problems += verdict.problems(self.store.tables, self.sent, QUOTAS)
        problems += verdict.untrue(self.store.tables, self.clients.told)
        if problems:
            raise Broken(f"seed {self.seed}: {'; '.join(problems)}")


_SERVED = ("inventory.0", "inventory.0.returns", "order", "payment", "payment.events")
