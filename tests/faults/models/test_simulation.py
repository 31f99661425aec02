"""Thousands of worlds in one process: the real code and rules under duplicates, losses and deaths at any await.

A seed is a history: a failing one is named, and `EVENTHUB_PROVE_SEED` and `scripts/prove --seed` bring it back.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import structlog

from contracts.outcomes import Outcome
from db import orders, stock
from db.tickets import tickets
from gateway.submission.outcomes import Deadlines, Opened
from tests.faults.crowd import note
from tests.faults.simulation import money, statements, store, world
from tests.faults.simulation.store import Session
from tests.faults.simulation.world import Broken, World
from tests.harness.seeds import FIXED
from workers.inventory.overdue import OVERDUE
from workers.runtime.services import Services

FEW, MANY = 12, 1_000


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    """Millions of log lines are nobody's news."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.configure(**before)


def live(first: int, count: int) -> int:
    """Live through worlds; how many deaths there were. Raises Broken naming its seed."""
    deaths = 0
    for seed in range(first, first + count):
        lived = World(seed)
        lived.run()
        deaths += lived.deaths
    return deaths


def test_some_worlds(seed: int) -> None:
    """Twelve worlds: nothing oversold, nothing lost, nothing returned twice, everything decided once."""
    assert live(seed, FEW) > FEW


@pytest.mark.full
@pytest.mark.timeout(900)
def test_thousands_of_worlds(seed: int) -> None:
    """A thousand worlds from each seed on."""
    deaths = live(seed, MANY)
    note(f"{MANY:,} simulated worlds with {deaths:,} deaths", {"ok": MANY}, seed)


def test_a_seed_is_a_history(seed: int) -> None:
    """Lived twice, the same rows at the same virtual times."""
    first, second = World(seed), World(seed)
    first.run()
    second.run()
    assert first.sent == second.sent
    assert _rows(first) == _rows(second)
    assert first.deaths == second.deaths


def _rows(lived: World) -> list[object]:
    tables = lived.store.tables
    return [
        (row["id"], row["status_code"], row["decided_at"])
        for row in tables["command_outcomes"].values()
    ] + [tuple(row.values()) for row in tables["stock_ledger"].values()]


async def _every_line(session: Session, sql: str, ids: list[int]) -> list[tuple[object, ...]]:
    """Lines of orders, whether they came back or not; when they are locked, whoever holds them."""
    if "FOR UPDATE" in sql:
        return [(one,) for one in ids]
    rows = [one for one in session.current("order_details") if one["order_id"] in ids]
    names = ("id", "order_id", "ticket_type_id", "quantity")
    return [tuple(one[name] for name in names) for one in rows]


async def _mark_again(session: Session, values: list[object]) -> int:
    version, _, *ids = values
    for row in session.current("order_details"):
        if row["id"] in ids:
            session.put("order_details", row, returned_version=version)
    return len(ids)


def _without_return_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(statements.QUERIES, stock.unreturned, _every_line)
    monkeypatch.setitem(statements.STATEMENTS, stock.mark_returned, _mark_again)


async def _blind_step(session: Session, values: list[Any]) -> int:
    """What whoever trusts their reading writes: no look at the version, nor at what is there by now."""
    blind = statements.steps(values)
    for type_id, delta, version in blind:
        row = next(one for one in session.plain("ticket_types") if one["id"] == type_id)
        available = max(0, row["available"] + delta)
        session.put("ticket_types", row, available=available, version=version + 1)
    return len(blind)


def _without_version_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(statements.STATEMENTS, stock._write, _blind_step)
    # The ledger's key would notice as well: this build has none.
    monkeypatch.setitem(store.UNIQUE, "stock_ledger", ())


def _without_outcome_key(monkeypatch: pytest.MonkeyPatch) -> None:
    # Of a command that is executed again, the order's own key would notice as well.
    monkeypatch.setattr(store, "UNIQUE", {})


async def _confirm_at_any_rate(session: Session, values: list[Any]) -> int:
    """An order becomes CONFIRMED whatever has become of it since it was read."""
    count = (len(values) - 4) // 3
    for order_id in values[2 : 2 + count]:
        row = next(one for one in session.plain("orders") if one["id"] == order_id)
        session.put("orders", row, status=values[0], version=row["version"] + 1)
    return count


async def _unlocked(session: Session, _: str, ids: list[Any]) -> list[tuple[object, ...]]:
    """Orders as the snapshot has them."""
    return [
        tuple(one[name] for name in statements._ORDER)
        for one in session.plain("orders")
        if one["id"] in ids
    ]


def _without_order_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(statements.QUERIES, orders.lock, _unlocked)
    monkeypatch.setitem(money.STATEMENTS, orders.confirm, _confirm_at_any_rate)
    # The key of the history would notice as well: this build has none.
    monkeypatch.setitem(store.UNIQUE, "order_history", ())


def _without_receipt_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(store.UNIQUE, "payment_receipts", ())


async def _settle_in_words(self: Deadlines, command: Opened) -> Outcome | None:
    """Say that nobody took a command up, and write it nowhere."""
    outcome = await self._reader.find_one(command.id.uuid)
    if outcome is not None or self.seconds_left(command.id.accepted_at) > 0:
        return outcome
    return self._tombstone(command)


def _without_tombstones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Deadlines, "settle", _settle_in_words)


async def _no_look(_: Services) -> int:
    """Who relies on events alone."""
    return 0


def _without_overdue_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "OVERDUE", replace(OVERDUE, sweep=_no_look))


async def _issue_in_words(_: Session, owed: list[Any], __: object) -> list[tuple[int, Any]]:
    """Tell of tickets, and store none."""
    return list(enumerate(owed, 1))


def _without_tickets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tickets, "issue", _issue_in_words)


MUTANTS = {
    "version": (_without_version_check, "add up|ledger|oversold"),
    "returned": (_without_return_guard, "add up"),
    "outcome": (_without_outcome_key, "clients were told|orders .* are not"),
    "order": (_without_order_locks, "add up|paid|history"),
    "tombstone": (_without_tombstones, "told 503"),
    "overdue": (_without_overdue_returns, "come to rest"),
    "tickets": (_without_tickets, "tickets are there for"),
    "receipt": (_without_receipt_key, "two receipts|was said"),
}


@pytest.mark.parametrize("guard", MUTANTS)
def test_a_world_without_a_guard_is_broken(monkeypatch: pytest.MonkeyPatch, guard: str) -> None:
    """The simulation is proven as well: some seed notices each missing guard, for its own reason."""
    remove, notices = MUTANTS[guard]
    remove(monkeypatch)
    with pytest.raises(Broken, match=notices):
        # Always the same worlds: what notices a guard is no matter of luck.
        live(FIXED, 5 * FEW)
