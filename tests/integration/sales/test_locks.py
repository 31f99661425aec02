"""Seat locks and shard leases on real servers: they order the work, they never decide it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from db.messages import leases
from db.messages.leases import Share
from db.mysql.database import Database
from db.redis.clients import quick_client
from db.redis.seat_locks import SALES_WITHOUT_LOCK, SeatLocks, seat_key
from scripts.proving.proxy import Proxy
from tests.harness.accounts import Person, person
from tests.harness.command_client import CommandClient, command_client, place
from tests.harness.scratch import Scratch
from tests.harness.waiting import eventually
from tests.harness.workers import running_workers


@pytest.fixture
async def redis(scratch: Scratch) -> AsyncIterator["Redis"]:
    client = quick_client(scratch.redis_url)
    yield client
    await client.aclose()


@pytest.fixture(scope="module")
async def client(scratch: Scratch, database: Database) -> AsyncIterator[CommandClient]:
    async with command_client(scratch, database) as opened:
        yield opened


@pytest.fixture
async def organizer(database: Database) -> Person:
    return await person(database, "ORGANIZER")


@pytest.fixture
async def buyer(database: Database) -> Person:
    return await person(database)


async def test_a_busy_seat_refuses_only_who_needs_it(
    client: CommandClient, organizer: Person, buyer: Person, redis: "Redis"
) -> None:
    """Somebody holds one type's lock: its orders get 429 SEAT_LOCKED, the neighbour type sells on."""
    async with running_workers(client.settings, "inventory"):
        event_id, (locked, free) = await client.sale(organizer, 10, 10)
        await redis.set(seat_key(locked), "somebody", px=60_000)
        sent = await asyncio.gather(
            client.send(place(buyer, event_id, (locked, 1))),
            client.send(place(buyer, event_id, (free, 1))),
            client.send(place(buyer, event_id, (free, 1), (locked, 1))),
        )
        refused, sold, both = [await client.outcome(uuid) for uuid in sent]
        assert (refused.code, sold.code, both.code) == ("SEAT_LOCKED", None, "SEAT_LOCKED")
        assert not refused.binds
        await redis.delete(seat_key(locked))
        assert (await client.ask(place(buyer, event_id, (locked, 1)))).code is None


async def test_a_seat_freed_in_time_is_waited_for(
    client: CommandClient, organizer: Person, buyer: Person, redis: "Redis"
) -> None:
    """A lock that lapses after 60 ms delays the order instead of refusing it."""
    async with running_workers(client.settings, "inventory"):
        event_id, (type_id,) = await client.sale(organizer)
        await redis.set(seat_key(type_id), "somebody", px=60)
        assert (await client.ask(place(buyer, event_id, (type_id, 1)))).code is None


async def test_sales_go_on_without_redis(
    client: CommandClient, organizer: Person, buyer: Person
) -> None:
    """Nobody listens at Redis's address: orders are decided, and counted as sold without a lock."""
    before = SALES_WITHOUT_LOCK._value.get()
    nowhere = client.settings.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:1/0")})
    async with running_workers(nowhere, "inventory"):
        event_id, (type_id,) = await client.sale(organizer, 3)
        sent = [await client.send(place(buyer, event_id, (type_id, 1))) for _ in range(5)]
        codes = [(await client.outcome(uuid)).code for uuid in sent]
    assert codes.count(None) == 3
    assert SALES_WITHOUT_LOCK._value.get() > before


async def test_a_token_frees_only_its_own_lock(redis: "Redis") -> None:
    """Released by one who held it before it was taken by another: it stays."""
    locks = SeatLocks(redis, 5, "a" * 32)
    tokens = await locks.acquire({901: 1})
    await redis.set(seat_key(901), "another", px=5000)
    await locks.release(tokens)
    assert await redis.get(seat_key(901)) == b"another"
    await redis.delete(seat_key(901))


async def test_a_dead_predecessors_lock_on_the_same_shard_is_taken_over(redis: "Redis") -> None:
    """Same shard, earlier incarnation: taken. Another shard's or our own live one: left alone."""
    dead, heir = SeatLocks(redis, 5, "d" * 32), SeatLocks(redis, 5, "h" * 32)
    assert await dead.acquire({902: 3})
    assert await heir.acquire({902: 4}) == {}
    taken = await heir.acquire({902: 3})
    assert set(taken) == {902}
    assert await heir.acquire({902: 3}) == {}
    await heir.release(taken)


async def test_locks_are_taken_all_in_one_round(redis: "Redis") -> None:
    """Of three seats one is busy: the other two are granted at once."""
    await redis.set(seat_key(911), "somebody", px=5000)
    locks = SeatLocks(redis, 5, "e" * 32)
    tokens = await locks.acquire({910: 0, 911: 1, 912: 2})
    assert set(tokens) == {910, 912}
    await locks.release(tokens)
    assert await redis.exists(seat_key(910), seat_key(912)) == 0
    await redis.delete(seat_key(911))


class Holder:
    """A process that shares names, seen from outside."""

    def __init__(
        self,
        database: Database,
        name: str,
        incarnation: str,
        count: int = 6,
        on_lapse: Callable[[], None] = lambda: None,
        able: Callable[[], bool] = lambda: True,
    ) -> None:
        self.names: set[str] = set()
        self.stop = asyncio.Event()

        async def gain(one: str) -> None:
            self.names.add(one)

        async def lose(one: str) -> None:
            self.names.discard(one)

        kind = "test-share"
        names = [str(n) for n in range(count)]
        self.share = Share(
            database,
            kind,
            names,
            (name, incarnation),
            on_gain=gain,
            on_loss=lose,
            on_lapse=on_lapse,
            able=able,
        )

    async def live(self) -> None:
        await self.share.run(self.stop)


async def counts(*holders: Holder) -> tuple[int, ...]:
    return tuple(len(holder.names) for holder in holders)


async def test_leases_are_shared_fairly_and_come_back(database: Database) -> None:
    """One holds all six; with two it is three each; who leaves in order is replaced, who dies as well."""
    first, second = Holder(database, "a", "1" * 32), Holder(database, "b", "2" * 32)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(first.live())
        await eventually(lambda: _is(counts(first), (6,)))
        dying = tasks.create_task(second.live())
        await eventually(lambda: _is(counts(first, second), (3, 3)))
        assert not first.names & second.names
        # Killed: no farewell. Its leases lapse and move.
        dying.cancel()
        await eventually(lambda: _is(counts(first), (6,)))
        first.stop.set()
    assert await leases.holders(database, "test-share") == {}


async def test_a_restarted_holder_takes_its_own_back_at_once(database: Database) -> None:
    """The same name in a new incarnation does not wait for the lapse of its earlier life's leases."""
    before = Holder(database, "c", "3" * 32)
    await before.share.beat()
    assert len(before.names) == 6
    after = Holder(database, "c", "4" * 32)
    await after.share.beat()
    assert len(after.names) == 6
    await before.share.beat()
    assert before.names == set()
    await after.share.release_all()


async def test_a_holder_that_the_database_is_away_from_lets_go(
    database: Database, scratch: Scratch
) -> None:
    """Cut off alone, it gives its names up when their time is over, says so once, and another has them all."""
    async with Proxy(scratch.mysql_url) as way:
        theirs = await Database.connect(way.address)
        lapses: list[int] = []
        alone = Holder(theirs, "a", "1" * 32, on_lapse=lambda: lapses.append(1))
        async with asyncio.TaskGroup() as tasks:
            living = tasks.create_task(alone.live())
            await eventually(lambda: _is(counts(alone), (6,)))
            way.turn("cut")
            other = Holder(database, "b", "2" * 32)
            tasks.create_task(other.live())
            await eventually(lambda: _is(counts(alone, other), (0, 6)))
            assert lapses == [1]
            living.cancel()
            other.stop.set()
        await theirs.close()


async def test_a_holder_that_cannot_work_stands_aside(database: Database) -> None:
    """Without its broker it gives its names back, another has them all; able again it gets its share."""
    broker = {"a": True}
    first = Holder(database, "a", "1" * 32, able=lambda: broker["a"])
    second = Holder(database, "b", "2" * 32)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(first.live())
        tasks.create_task(second.live())
        await eventually(lambda: _is(counts(first, second), (3, 3)))
        broker["a"] = False
        await eventually(lambda: _is(counts(first, second), (0, 6)))
        broker["a"] = True
        await eventually(lambda: _is(counts(first, second), (3, 3)))
        first.stop.set()
        second.stop.set()


async def _is(found: Awaitable[tuple[int, ...]], wanted: tuple[int, ...]) -> bool:
    return await found == wanted


async def test_shards_move_without_losing_or_doubling_an_order(
    client: CommandClient, database: Database, organizer: Person, buyer: Person
) -> None:
    """While 120 orders over 4 events arrive one by one, a worker joins and another leaves: each is decided once."""
    async with running_workers(client.settings, "inventory-1"):
        sales = [await client.sale(organizer, 30) for _ in range(4)]
        sent: list[bytes] = []
        async with AsyncExitStack() as second:
            for number in range(120):
                if number == 40:
                    await second.enter_async_context(
                        running_workers(client.settings, "inventory-2")
                    )
                    await eventually(lambda: _shared(database, 2))
                if number == 80:
                    await second.aclose()
                event_id, (type_id,) = sales[number % 4]
                sent.append(await client.send(place(buyer, event_id, (type_id, 1))))
        found = [await client.outcome(uuid) for uuid in sent]
    assert all(one.status_code == 201 for one in found)
    rows = await database.read("SELECT COUNT(*) FROM orders WHERE user_id = %s", buyer.id)
    assert rows[0][0] == 120


async def _shared(database: Database, workers: int) -> bool:
    holders = await leases.holders(database, "shard")
    return len(holders) == 4 and len(set(holders.values())) == workers
