"""The gate: it asks when it can, decides alone when it must, and tells later what it did.

In: codes as they are scanned. Out: a ruling each, within a moment.
Must stay true: nothing is shown before it is on the disk; one question keeps its id until it has an answer, so that a
lost answer and a restart let nobody in twice and leave nobody outside; facts are told until the server knows them, in
any order, as often as needed.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from scripts.gating.client import Unreachable
from scripts.gating.memory import ASKING, FACT, GateMemory, KeptScan
from scripts.gating.offline import Claims, check_bundle, read_code, rule

TOLD_AT_ONCE = 500
"""Scans of one call."""


class Door(Protocol):
    """How a gate reaches EventHub."""

    async def scans(self, scans: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Results in order. Raises Unreachable."""

    async def bundle(self, since: str | None) -> dict[str, Any]:
        """What has changed since then. Raises Unreachable."""


class NoBundle(Exception):
    """Without a network, and without ever having had one: nobody can be let in."""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass(slots=True)
class Gate:
    """One device."""

    memory: GateMemory
    door: Door
    now: Callable[[], str] = _now
    new_id: Callable[[], str] = field(default=lambda: str(uuid.uuid4()))
    _in_hand: set[str] = field(default_factory=set)

    async def scan(self, code: str) -> KeptScan:
        """Rule on a code. Raises NoBundle, Revoked."""
        asked = self.memory.begin(self.new_id(), code, self.now())
        self._in_hand.add(asked.id)
        try:
            [result] = await self.door.scans([_wire(asked)])
        except Unreachable:
            return self.alone(asked)
        finally:
            self._in_hand.discard(asked.id)
        return self.memory.answered(asked, result, self._tid(code))

    def alone(self, asked: KeptScan) -> KeptScan:
        """Rule on a scan without the server. Raises NoBundle."""
        event = self.memory.get("event")
        if event is None:
            raise NoBundle("no bundle was ever fetched: connect the gate once")
        claims = self._claims(asked.code)
        known = self.memory.known(claims.tid if claims else 0)
        ruling = rule(claims, event["id"], known)
        return self.memory.decided(asked, ruling, claims.tid if claims else None)

    async def resume(self) -> list[KeptScan]:
        """After a start: ask again what has no answer. Returns what was decided and never shown."""
        try:
            await self.ask_again()
        except Unreachable:
            pass  # They stay questions: whoever scans such a code again asks it again.
        return self.memory.unshown()

    async def ask_again(self) -> None:
        """Questions whose answer was lost, under their ids. Raises Unreachable."""
        for asked in self.memory.in_state(ASKING):
            if asked.id not in self._in_hand:
                [result] = await self.door.scans([_wire(asked)])
                self.memory.answered(asked, result, self._tid(asked.code))

    async def tell(self) -> list[KeptScan]:
        """Tell what was decided alone. Returns what turned out to be a conflict. Raises Unreachable."""
        conflicts: list[KeptScan] = []
        while facts := self.memory.in_state(FACT, TOLD_AT_ONCE):
            results = await self.door.scans([_wire(one, offline=True) for one in facts])
            for one, result in zip(facts, results, strict=True):
                told = self.memory.told(one, result)
                if told.ruling != "ADMITTED":
                    conflicts.append(told)
        return conflicts

    async def fetch(self) -> None:
        """Learn what has changed. Raises Unreachable, BadBundle."""
        bundle = await self.door.bundle(self.memory.get("asOf"))
        check_bundle(bundle, bundle["keys"])
        self.memory.learn(bundle)

    async def sync(self) -> list[KeptScan]:
        """Ask again, tell, then learn: a bundle may name what this gate's own lost question has used.

        Returns conflicts. Raises Unreachable, BadBundle.
        """
        await self.ask_again()
        conflicts = await self.tell()
        await self.fetch()
        return conflicts

    def _claims(self, code: str) -> Claims | None:
        keys = {key["kid"]: key for key in self.memory.get("keys") or []}
        return read_code(code, keys)

    def _tid(self, code: str) -> int | None:
        claims = self._claims(code)
        return claims.tid if claims else None


def _wire(scan: KeptScan, *, offline: bool = False) -> dict[str, Any]:
    return {
        "id": scan.id,
        "code": scan.code,
        "scannedAt": scan.scanned_at,
        "offline": offline,
    }
