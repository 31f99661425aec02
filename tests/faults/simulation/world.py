"""One simulated world: processes that run the real road and the real rules, a client, deaths, and the books at the end.

In: a seed. Out: nothing, or `Broken` with what is wrong; the same for the same seed, every time.
Must stay true: between the handlers, the road, the relay, the sweep and these fakes nothing is replaced.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import orjson

from contracts.command_ids import CommandId, CommandIds
from contracts.commands import CancelOrder, Command, OrderItem, PlaceOrder
from contracts.envelope import Codec, Envelope
from contracts.models import Principal
from contracts.publisher import Properties
from contracts.settings import Settings
from contracts.topology import COMMANDS_EXCHANGE, inventory_queue, returns_queue, topology
from db.outbox import STREAMS, Outbox
from tests.faults.simulation import statements
from tests.faults.simulation.broker import Broker, Intake
from tests.faults.simulation.loop import PROCESS, SimulatedLoop
from tests.faults.simulation.store import BEGINNING, Database, Store
from tests.faults.simulation.weather import Weather
from workers.deciding import Deciding
from workers.handlers import Decides
from workers.inventory.handlers import HANDLERS
from workers.order import sweep
from workers.order.handlers import cancel_orders
from workers.reacting import Reacting
from workers.relay import publishing
from workers.road import Road

SECRET = "a master secret of a simulated world"
CODEC, IDS = Codec(SECRET), CommandIds(SECRET)
EVENT, BUYER = 1, Principal(user_id=7, roles=("USER",))
QUOTAS = {11: 5, 12: 8}
COMMANDS, DEADLINE_SECONDS, ORDER_TTL = 14, 60.0, 5
REST_SECONDS = 400.0


class Broken(AssertionError):
    """The promise does not hold in this world."""


class Luck:
    """Seat locks that are granted or not by chance, and guard nothing: the version must."""

    def __init__(self, weather: Weather) -> None:
        self._weather = weather

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
    weather: Weather = field(init=False)
    store: Store = field(init=False)
    broker: Broker = field(init=False)
    settings: Settings = field(init=False)
    loop: SimulatedLoop = field(init=False)
    sent: list[bytes] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    deaths: int = 0
    _lives: int = 0

    def __post_init__(self) -> None:
        self.weather = Weather(self.seed)
        self.store = Store(self.weather, (statements.QUERIES, statements.STATEMENTS))
        self.broker = Broker(self.weather, topology(1, 1000))
        self.settings = Settings.model_validate(
            {"MYSQL_URL": "x", "AMQP_URL": "x", "REDIS_URL": "x", "secret": SECRET}
            | {"shards": 1, "order_ttl": ORDER_TTL, "command_deadline": DEADLINE_SECONDS}
        )
        self.loop = SimulatedLoop()
        end = (BEGINNING + timedelta(days=30)).replace(tzinfo=None)
        self.store.tables["events"][EVENT] = {
            "id": EVENT,
            "organizer_id": 3,
            "end_time": end,
            "cancelled": 0,
        }
        for type_id, quota in QUOTAS.items():
            self.store.tables["ticket_types"][type_id] = {
                "id": type_id, "event_id": EVENT, "price": Decimal("49.90"), "currency": "USD", "quota": quota,
                "available": quota, "max_per_order": 10, "sales_start": None, "sales_end": None, "version": 1,
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
            "inventory-1": self._inventory,
            "inventory-2": self._inventory,
            "order-1": self._order,
            "relay-1": self._relay,
            "relay-2": self._relay,
        }
        now: dict[str, int] = {name: self._begin(make) for name, make in lives.items()}
        client = asyncio.create_task(self._client())
        for _ in range(self.weather.random.randint(0, 12)):
            await self.weather.pause(0.6)
            name = self.weather.random.choice(list(lives))
            self._kill(now[name])
            now[name] = self._begin(lives[name])
        await client
        self.weather.is_calm = True
        until = self.loop.time() + REST_SECONDS
        while not self._at_rest() and self.loop.time() < until:
            await asyncio.sleep(0.5)

    def _begin(self, make: Callable[[int], Awaitable[None]]) -> int:
        """Start a life; its number."""
        self._lives += 1
        life = self._lives
        context = contextvars.copy_context()
        context.run(PROCESS.set, life)
        task = self.loop.create_task(make(life), context=context)  # type: ignore[arg-type]  # it is a coroutine
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

    def _road(self, life: int, handlers: Any, queues: tuple[str, ...]) -> Road:
        services = self._services(life)

        async def back() -> None:
            await services.database.read("SELECT 1")

        shared = (services.database, None, self.settings)
        deciding = Deciding(
            *shared,  # type: ignore[arg-type]  # fakes
            outbox=services.outbox,
            seats=Luck(self.weather),
            database_back=back,
        )
        deciding._decided = _Quiet()  # type: ignore[assignment]  # a log that nobody reads
        reacting = Reacting(*shared, outbox=services.outbox, database_back=back)  # type: ignore[arg-type]  # fakes
        intake: Any = Intake(self.broker, life, queues)
        publisher: Any = self.broker
        return Road(
            intake,
            publisher,
            codec=CODEC,
            command_ids=IDS,
            handlers=handlers,
            deciding=deciding,
            reacting=reacting,
        )

    async def _inventory(self, life: int) -> None:
        # Both serve the shard at once, which single active consumer and leases would prevent.
        await self._road(life, HANDLERS, (returns_queue(0), inventory_queue(0))).run()

    async def _order(self, life: int) -> None:
        handlers = {CancelOrder.TYPE: Decides(CancelOrder, cancel_orders)}
        sweeping = asyncio.create_task(self._sweep(self._services(life)))
        await self._road(life, handlers, ("order",)).run()
        await sweeping

    async def _sweep(self, services: Any) -> None:
        while True:
            await sweep._try_sweep(services)
            await self.weather.pause(0.5)

    async def _relay(self, life: int) -> None:
        services = self._services(life)
        while True:
            # Both relay every stream, which leases would prevent.
            await publishing._try_relay(services, range(STREAMS))
            await self.weather.pause(0.1)

    # -- the client --------------------------------------------------------------------------------

    async def _client(self) -> None:
        pick = self.weather.random
        for _ in range(COMMANDS):
            await self.weather.pause(0.3)
            types = pick.sample(sorted(QUOTAS), k=pick.randint(1, 2))
            items = tuple(
                OrderItem(ticket_type_id=one, quantity=pick.randint(1, 2)) for one in types
            )
            place = PlaceOrder(principal=BUYER, fingerprint="0" * 32, event_id=EVENT, items=items)
            self._send(place, inventory_queue(0))
            orders = sorted(self.store.tables["orders"])
            if orders and pick.random() < 0.4:
                cancel = CancelOrder(
                    principal=BUYER, fingerprint="0" * 32, order_id=pick.choice(orders)
                )
                self._send(cancel, "order")

    def _send(self, command: Command, queue: str) -> None:
        """Onto its queue, once or several times; the gateway's part is proven with real ones."""
        uuid = self.weather.random.randbytes(16)
        accepted = self.store.now()
        envelope = Envelope(
            id=IDS.seal(CommandId(uuid, accepted), BUYER.user_id),
            type=command.TYPE,
            source="/simulation",
            time=accepted,
            data=command.to_json(),
            correlationid="simulation",
            expirytime=accepted + timedelta(seconds=DEADLINE_SECONDS),
            partitionkey=f"event:{EVENT}",
        )
        self.sent.append(uuid)
        properties = Properties("application/cloudevents+json")
        for _ in range(self.weather.random.choice((1, 1, 1, 2, 3))):
            self.broker.route(COMMANDS_EXCHANGE, queue, CODEC.encode(envelope), properties)

    # -- the end -----------------------------------------------------------------------------------

    def _at_rest(self) -> bool:
        tables = self.store.tables
        busy = [name for name, parcels in self.broker.queues.items() if parcels and name in _SERVED]
        unpaid = [one for one in tables["orders"].values() if one["status"] == "PENDING_PAYMENT"]
        return not (
            busy or tables["outbox"] or unpaid or len(tables["command_outcomes"]) < len(self.sent)
        )

    def _judge(self) -> None:
        """Every rule of the audit that such a world can break. Raises Broken."""
        tables = self.store.tables
        problems = self.errors + [f"not understood: {sql}" for sql in self.store.not_understood]
        self._expect(not problems, "; ".join(problems))
        outcomes = {row["id"]: row for row in tables["command_outcomes"].values()}
        self._expect(
            set(outcomes) == set(self.sent), "a command has no outcome, or an outcome no command"
        )
        self._expect(
            not self.broker.dead,
            f"dead letters: {[one.properties.headers for one in self.broker.dead]}",
        )
        self._expect(self._at_rest(), "the world does not come to rest")
        placed = {row["command_id"]: row["id"] for row in tables["orders"].values()}
        said = {
            uuid: orjson.loads(row["body"])["id"]
            for uuid, row in outcomes.items()
            if row["status_code"] == 201
        }
        self._expect(placed == said, f"orders {placed} are not what clients were told: {said}")
        for type_id in QUOTAS:
            self._judge_stock(tables["ticket_types"][type_id])
        for order_id, order in tables["orders"].items():
            history = [
                row["version"]
                for row in tables["order_history"].values()
                if row["order_id"] == order_id
            ]
            self._expect(
                sorted(history) == list(range(2, order["version"] + 1)),
                f"history of order {order_id}",
            )

    def _judge_stock(self, row: dict[str, Any]) -> None:
        tables = self.store.tables
        lines = [
            one for one in tables["order_details"].values() if one["ticket_type_id"] == row["id"]
        ]
        held = sum(one["quantity"] for one in lines if one["returned_version"] is None)
        self._expect(row["available"] >= 0, f"oversold: {row}")
        self._expect(row["available"] + held == row["quota"], f"{held} held do not add up: {row}")
        ledger = {
            one["version"]: one["delta"]
            for one in tables["stock_ledger"].values()
            if one["ticket_type_id"] == row["id"]
        }
        self._expect(
            sorted(ledger) == list(range(2, row["version"] + 1)), f"gaps in the ledger of {row}"
        )
        self._expect(row["quota"] + sum(ledger.values()) == row["available"], f"ledger of {row}")

    def _expect(self, holds: bool, what: str) -> None:
        if not holds:
            raise Broken(f"seed {self.seed}: {what}")


_SERVED = ("inventory.0", "inventory.0.returns", "order")
