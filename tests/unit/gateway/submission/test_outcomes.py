"""Deadlines over fakes of time: dead is only who is stored as dead, and nobody is declared so early."""

from datetime import UTC, datetime, timedelta

import pytest

from contracts.command_ids import CommandId
from contracts.outcomes import CommandStatus, Outcome
from gateway.http.problems import Refusal
from gateway.submission.outcomes import Deadlines, Opened

AT = datetime(2026, 5, 1, tzinfo=UTC)
OPENED = Opened(CommandId(b"u" * 16, AT, 1), "text", 7, "request-1", "f" * 32)


class Clock:
    def __init__(self) -> None:
        self.after = 0.0

    def now(self) -> datetime:
        return AT + timedelta(seconds=self.after)


class Table:
    """What is stored; `race` is a worker's outcome that gets in just before a tombstone."""

    def __init__(self) -> None:
        self.stored: dict[bytes, Outcome] = {}
        self.race: Outcome | None = None

    async def find_one(self, uuid: bytes) -> Outcome | None:
        return self.stored.get(uuid)

    async def read(self, uuids: list[bytes]) -> dict[bytes, Outcome]:
        return {uuid: self.stored[uuid] for uuid in uuids if uuid in self.stored}

    async def insert_missing(self, _: object, missing: list[Outcome]) -> None:
        for one in [self.race, *missing]:
            if one is not None:
                self.stored.setdefault(one.command, one)


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Table:
    fake = Table()
    monkeypatch.setattr("db.messages.outcomes.insert_missing", fake.insert_missing)
    return fake


def deadlines(table: Table, clock: Clock) -> Deadlines:
    return Deadlines(None, table, clock, 60, 86_400)  # type: ignore[arg-type]  # fakes


async def test_before_its_deadline_a_command_is_only_undecided(table: Table) -> None:
    """Nothing is stored, also within the grace after it: the worker may be at it."""
    clock = Clock()
    for after in (0.0, 59.9, 60.4):
        clock.after = after
        assert await deadlines(table, clock).settle(OPENED) is None
    assert table.stored == {}


async def test_after_its_deadline_it_has_failed_for_good(table: Table) -> None:
    """503 with everything that the row needs, stored before it is told."""
    clock = Clock()
    clock.after = 60.6
    dead = await deadlines(table, clock).settle(OPENED)
    assert dead is not None
    assert table.stored == {OPENED.id.uuid: dead}
    assert (dead.status, dead.status_code, dead.code) == (CommandStatus.FAILED, 503, "UNAVAILABLE")
    assert (dead.user_id, dead.fingerprint, dead.request_id) == (7, "f" * 32, "request-1")
    assert dead.type == "eventhub.order.place.v1"
    assert dead.accepted_at == AT
    assert not dead.binds
    clock.after = 120
    assert await deadlines(table, clock).settle(OPENED) is dead


async def test_a_worker_that_was_quicker_is_right(table: Table) -> None:
    """What is stored is the answer, not what the gateway was about to say."""
    clock = Clock()
    clock.after = 61
    table.race = Outcome(
        OPENED.id.uuid, 7, OPENED.type, "f" * 32, 201, None, "/api/orders/1", "r", b"{}", AT, AT
    )
    assert await deadlines(table, clock).settle(OPENED) is table.race


async def test_a_forgotten_success_does_not_become_a_failure(table: Table) -> None:
    """Its row may have been deleted by age: 404, and nothing is stored; a row that is there is still shown."""
    clock = Clock()
    clock.after = 86_400.1
    with pytest.raises(Refusal) as refused:
        await deadlines(table, clock).settle(OPENED)
    assert refused.value.problem.code == "NOT_FOUND"
    assert table.stored == {}
    kept = Outcome(
        OPENED.id.uuid, 7, OPENED.type, "f" * 32, 201, None, "/api/orders/1", "r", b"{}", AT, AT
    )
    table.stored[OPENED.id.uuid] = kept
    assert await deadlines(table, clock).settle(OPENED) is kept
