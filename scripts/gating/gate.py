"""The gate: it asks when it can, decides alone when it must, and tells later what it did.

In: codes as they are scanned. Out: a ruling each, within a moment.
Must stay true: nothing is shown before it is on the disk; one question keeps its id until it has an answer, so that a
lost answer and a restart let nobody in twice and leave nobody outside; no question is asked before the server knows
what this gate has decided alone, or it would let the same ticket in again; facts are told until the server knows them.
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
            result = await self._ask(asked)
        except Unreachable:
            return self.alone(asked)
        finally:
            self._in_hand.discard(asked.id)
        return self.memory.answered(asked, result, self._tid(code))

    async def _ask(self, asked: KeptScan) -> dict[str, Any]:
        """The server's word, in one call behind all that this gate has decided alone. Raises Unreachable."""
        facts = self.memory.in_state(FACT, TOLD_AT_ONCE)
        if len(facts) == TOLD_AT_ONCE:
            await self.tell()
            facts = []
        wired = [_wire(one, offline=True) for one in facts]
        results = await self.door.scans([*wired, _wire(asked)])
        self._told(facts, results[:-1])
        return results[-1]

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
            await self.tell()
            await self.ask_again()
        except Unreachable:
            pass  # They stay questions: whoever scans such a code again asks it again.
        return self.memory.unshown()

    async def ask_again(self) -> None:
        """Questions whose answer was lost, under their ids. Raises Unreachable."""
        for asked in self.memory.in_state(ASKING):
            if asked.id not in self._in_hand:
                self.memory.answered(asked, await self._ask(asked), self._tid(asked.code))

    async def tell(self) -> None:
        """Tell what was decided alone. Raises Unreachable."""
        while facts := self.memory.in_state(FACT, TOLD_AT_ONCE):
            self._told(facts, await self.door.scans([_wire(one, offline=True) for one in facts]))

    def _told(self, facts: Sequence[KeptScan], results: Sequence[dict[str, Any]]) -> None:
        for one, result in zip(facts, results, strict=True):
            self.memory.told(one, result)

    async def fetch(self) -> None:
        """Learn what has changed. Raises Unreachable, BadBundle."""
        bundle = await self.door.bundle(self.memory.get("asOf"))
        check_bundle(bundle, bundle["keys"])
        self.memory.learn(bundle)

    async def sync(self) -> None:
        """Tell, ask again, then learn: a bundle may name what this gate's own lost question has used.

        What comes of it that nobody has seen yet (conflicts, answers) is `memory.unshown()`.
        Raises Unreachable, BadBundle.
        """
        await self.tell()
        await self.ask_again()
        await self.fetch()

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
