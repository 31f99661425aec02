"""Leases: who alone may do a thing for a while. Inventory's shards, the relay's streams and single jobs alike.

In: a kind, the names to share, this process's stable name and its incarnation. Out: calls of
`on_gain` and `on_loss`.
Must stay true: a live name has one holder; present holders share the names fairly (counts differ by
at most one); a name of a process has one live incarnation, the newest; a dead holder's names move
within `LEASE_SECONDS` + one beat, a restarted one takes its own back at once; who was cut off from
the database, or not able to work, for a lease's time gives everything up. Times are the database's.
A lease lowers contention as the lock does: versions guard the stock when one lapses.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from db.mysql.database import (
    Database,
    Transaction,
    is_away,
    is_transient,
    placeholders,
)

log = structlog.get_logger(__name__)

LEASE_SECONDS = 3
BEAT_SECONDS = 0.8

Change = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Lease:
    """One row: `live` says whether it had not lapsed when it was read."""

    name: str
    holder: str
    incarnation: str
    live: bool


def new_incarnation() -> str:
    """32 hex digits that sort by time: of two incarnations of a process the later is the live one."""
    return f"{time.time_ns():016x}{secrets.token_hex(8)}"


def fair_share(names: int, holders: Sequence[str], me: str) -> int:
    """How many of `names` belong to `me`: all get the quotient, the first by name one of the remainder."""
    ranked = sorted(set(holders) | {me})
    quotient, remainder = divmod(names, len(ranked))
    return quotient + (1 if ranked.index(me) < remainder else 0)


class Share:
    """One process's part of the names of a kind."""

    def __init__(
        self,
        database: Database,
        kind: str,
        names: Sequence[str],
        holder: tuple[str, str],
        *,
        on_gain: Change,
        on_loss: Change,
        on_lapse: Callable[[], None] = lambda: None,
        able: Callable[[], bool] = lambda: True,
    ) -> None:
        """`on_lapse`: called once when all names are given up because no beat succeeded in time.

        `able`: whether the work can be done at all (the broker is connected …); who was not able for a
        lease's time gives everything back and stands aside until it is.
        """
        self._database = database
        self._kind, self._names = kind, tuple(names)
        self._me, self._incarnation = holder
        self._on_gain, self._on_loss, self._on_lapse = on_gain, on_loss, on_lapse
        self._able = able
        self._beaten_at = self._able_at = time.monotonic()
        self.held: set[str] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Beat until stopped, then give everything back."""
        while not stop.is_set():
            if self._able():
                self._able_at = time.monotonic()
            if time.monotonic() - self._able_at <= LEASE_SECONDS:
                await self.try_beat()
            elif self.held:
                log.warning("not able to work, leases given back", kind=self._kind)
                await self.release_all()
            try:
                async with asyncio.timeout(BEAT_SECONDS):
                    await stop.wait()
            except TimeoutError:
                continue
        await self.release_all()

    async def try_beat(self) -> None:
        """One beat. Who has had none for a lease's time gives everything up.

        The database may be away for us alone: then others have taken our names by now, and must not
        wait for what we still hold in our hands.
        """
        try:
            await self.beat()
            self._beaten_at = time.monotonic()
        except Exception as error:
            if not (is_away(error) or is_transient(error)):
                raise
            log.warning("lease beat failed", kind=self._kind, error=repr(error))
            if self.held and time.monotonic() - self._beaten_at > LEASE_SECONDS:
                for name in sorted(self.held):
                    await self._lose(name)
                self._on_lapse()

    async def beat(self) -> None:
        """Say that we live, renew what is ours, give up what is too much, take what is free."""
        leases, present = await self._database.run(self._renew)
        if present.get(self._me, self._incarnation) != self._incarnation:
            # Our name lives on in a newer incarnation: whatever we held is its now.
            for name in sorted(self.held):
                await self._lose(name)
            return
        mine = {x.name for x in leases if (x.holder, x.incarnation) == self._identity}
        for name in sorted(self.held - mine):
            await self._lose(name)
        share = fair_share(len(self._names), list(present), self._me)
        for name in sorted(mine)[share:]:
            await self._lose(name)
            await self._give_back(name)
            mine.discard(name)
        for name in sorted(mine - self.held):
            await self._gain(name)
        await self._take(leases, share - len(mine))

    async def release_all(self) -> None:
        """Stop doing, then let others take over without waiting for the lease to lapse."""
        for name in sorted(self.held):
            await self._lose(name)
        try:
            await self._database.write(
                "DELETE FROM leases WHERE kind IN (%s, %s) AND holder = %s AND incarnation = %s",
                self._kind,
                self._presence,
                *self._identity,
            )
        except Exception as error:
            if not (is_away(error) or is_transient(error)):
                raise
            log.warning("leases left to lapse", kind=self._kind, error=repr(error))

    @property
    def _identity(self) -> tuple[str, str]:
        return self._me, self._incarnation

    @property
    def _presence(self) -> str:
        return f"{self._kind}:present"

    def _appear(self, transaction: Transaction) -> None:
        """Say that we live, unless a newer incarnation does under our name. MySQL assigns from left to right."""
        transaction.later(
            "INSERT INTO leases (kind, name, holder, incarnation, expires_at) "
            "VALUES (%s, %s, %s, %s, UTC_TIMESTAMP(6) + INTERVAL %s SECOND) "
            "ON DUPLICATE KEY UPDATE "
            # One that has lapsed is dead, also when its clock was ahead of ours and its name sorts later.
            "incarnation = IF(expires_at <= UTC_TIMESTAMP(6), VALUES(incarnation), "
            "GREATEST(incarnation, VALUES(incarnation))), "
            "expires_at = IF(incarnation = VALUES(incarnation), VALUES(expires_at), expires_at)",
            self._presence,
            self._me,
            *self._identity,
            LEASE_SECONDS,
        )

    async def _renew(self, transaction: Transaction) -> tuple[list[Lease], dict[str, str]]:
        """All in one round trip and one commit: every process does this all day long.

        Names before the presence, each in the order of the primary key: so does `release_all`, and two who lock in one
        order never wait in a circle.
        """
        held = sorted(self.held)
        if held:
            transaction.later(
                "UPDATE leases FORCE INDEX (PRIMARY) "
                "SET expires_at = UTC_TIMESTAMP(6) + INTERVAL %s SECOND "
                f"WHERE kind = %s AND name IN ({placeholders(held)}) "
                "AND holder = %s AND incarnation = %s",
                LEASE_SECONDS,
                self._kind,
                *held,
                *self._identity,
            )
        self._appear(transaction)
        rows = await transaction.fetch(
            "SELECT kind, name, holder, incarnation, expires_at > UTC_TIMESTAMP(6) FROM leases "
            "WHERE kind IN (%s, %s)",
            self._kind,
            self._presence,
        )
        leases = [
            Lease(name, holder, incarnation, bool(live))
            for kind, name, holder, incarnation, live in rows
            if kind == self._kind
        ]
        present = {
            name: incarnation
            for kind, name, _, incarnation, live in rows
            if kind == self._presence and live
        }
        return leases, present

    async def _take(self, leases: Sequence[Lease], wanted: int) -> None:
        known = {lease.name: lease for lease in leases}
        # Our own earlier life's first: they are surely free.
        names = sorted(
            self._names, key=lambda n: (n not in known or known[n].holder != self._me, n)
        )
        for name in names:
            if wanted <= 0:
                return
            if name not in self.held and await self._take_one(name, known.get(name)):
                await self._gain(name)
                wanted -= 1

    async def _take_one(self, name: str, lease: Lease | None) -> bool:
        if lease is None:
            return bool(
                await self._database.write(
                    "INSERT IGNORE INTO leases (kind, name, holder, incarnation, expires_at) "
                    "VALUES (%s, %s, %s, %s, UTC_TIMESTAMP(6) + INTERVAL %s SECOND)",
                    self._kind,
                    name,
                    *self._identity,
                    LEASE_SECONDS,
                )
            )
        if lease.live and lease.holder != self._me:
            return False
        return bool(
            await self._database.write(
                "UPDATE leases SET holder = %s, incarnation = %s, "
                "expires_at = UTC_TIMESTAMP(6) + INTERVAL %s SECOND "
                "WHERE kind = %s AND name = %s AND holder = %s AND incarnation = %s "
                "AND (expires_at <= UTC_TIMESTAMP(6) OR holder = %s)",
                *self._identity,
                LEASE_SECONDS,
                self._kind,
                name,
                lease.holder,
                lease.incarnation,
                self._me,
            )
        )

    async def _give_back(self, name: str) -> None:
        await self._database.write(
            "DELETE FROM leases WHERE kind = %s AND name = %s AND holder = %s AND incarnation = %s",
            self._kind,
            name,
            *self._identity,
        )

    async def _gain(self, name: str) -> None:
        self.held.add(name)
        log.info("lease gained", kind=self._kind, name=name)
        await self._on_gain(name)

    async def _lose(self, name: str) -> None:
        self.held.discard(name)
        log.info("lease lost", kind=self._kind, name=name)
        await self._on_loss(name)


async def forget_lapsed(database: Database, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` leases and presences that lapsed longer than `keep` ago; how many were found."""
    over = "expires_at < UTC_TIMESTAMP(6) - INTERVAL %s SECOND"
    seconds = int(keep.total_seconds())
    # Found without a lock: a scan that locks would stand in the way of every beat.
    rows = await database.read(
        f"SELECT kind, name FROM leases WHERE {over} ORDER BY kind, name LIMIT %s", seconds, limit
    )
    async with database.transaction() as transaction:
        gone = f"DELETE FROM leases WHERE kind = %s AND name = %s AND {over}"
        for kind, name in rows:
            transaction.later(gone, kind, name, seconds)
    return len(rows)


async def holders(database: Database, kind: str) -> dict[str, str]:
    """Who holds which live name of a kind."""
    rows = await database.read(
        "SELECT name, holder FROM leases WHERE kind = %s AND expires_at > UTC_TIMESTAMP(6)", kind
    )
    return dict(rows)
