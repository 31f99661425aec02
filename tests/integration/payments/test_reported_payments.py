"""The history checker on real rows: a true history of what happened has no lie, each wrong word about it is one."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.command_ids import CommandId
from contracts.commands import Command
from db.messages import outcomes
from db.mysql.database import Database
from scripts.proving.checking import check
from scripts.proving.effects import uuid_of
from scripts.proving.history import End, Kind, Operation
from tests.harness.accounts import Person
from tests.harness.command_client import CommandClient, result
from tests.integration.payments.payment_client import (
    Sold,
    add,
    cancel,
    confirm,
    fresh_hash,
    quote,
    set_rate,
    unpaid,
)

QUANTITY = 2


@dataclass(slots=True)
class Ledger:
    """What a buyer was told, as a load client writes it down."""

    client: CommandClient
    buyer: Person
    operations: list[Operation]

    def named(self, uuid: bytes, age: float = 0.0) -> str:
        """The id of a command that was accepted so long ago."""
        accepted = datetime.now(UTC) - timedelta(seconds=age)
        return self.client.command_ids.seal(CommandId(uuid, accepted), self.buyer.id)

    async def ask(self, kind: Kind, command: Command, **what: Any) -> int:
        """Send it, note its success; the id of what it made."""
        uuid = await self.client.send(command)
        outcome = await self.client.outcome(uuid)
        made = int(str(result(outcome)["id"]))
        self.note(kind, uuid, made, outcome.status_code, **what)
        return made

    def note(self, kind: Kind, uuid: bytes, made: int, status: int, **what: Any) -> None:
        number = len(self.operations) + 1
        told = Operation(number, kind, self.buyer.id, **what)
        named = self.named(uuid)
        self.operations.append(told.ended("ok", status=status, made=made, command_id=named))

    def saying(self, kind: Kind, end: End, **told: Any) -> list[Operation]:
        """The same history, but of this kind they were told something else."""
        return [one.ended(end, **told) if one.kind == kind else one for one in self.operations]


async def _bought(client: CommandClient) -> tuple[Ledger, Sold]:
    await set_rate(client.database, "BTC", "64000")
    sold = await unpaid(client, QUANTITY)
    rows = await client.database.read("SELECT command_id FROM orders WHERE id = %s", sold.order_id)
    ledger = Ledger(client, sold.buyer, [])
    items = ((sold.ticket_type, QUANTITY),)
    ledger.note("place", bytes(rows[0][0]), sold.order_id, 201, items=items)
    return ledger, sold


@pytest.fixture
async def paid(client: CommandClient) -> Ledger:
    """A buyer who ordered, added a ticket, asked for a quote and paid."""
    ledger, sold = await _bought(client)
    buyer, order = sold.buyer, sold.order_id
    one_more = add(buyer, sold.event_id, order, sold.ticket_type)
    await ledger.ask("add", one_more, target=order, items=((sold.ticket_type, 1),))
    payment = await ledger.ask("quote", quote(buyer, order), target=order)
    shown = fresh_hash()
    paying = confirm(buyer, payment, shown)
    await ledger.ask("confirm", paying, target=payment, tx_hash=shown.upper().replace("X", "x"))
    return ledger


@pytest.fixture
async def cancelled(client: CommandClient) -> Ledger:
    """A buyer who ordered and cancelled."""
    ledger, sold = await _bought(client)
    await ledger.ask("cancel", cancel(sold.buyer, sold.order_id), target=sold.order_id)
    return ledger


async def test_a_true_history(database: Database, paid: Ledger, cancelled: Ledger) -> None:
    """Told as it was: whether they were told the success, or only that it was accepted, or nothing."""
    assert await check(database, [*paid.operations]) == []
    assert await check(database, [*cancelled.operations]) == []
    for end in ("accepted", "unknown"):
        for kind in ("place", "add", "quote", "confirm"):
            told = paid.saying(kind, end, status=202)
            assert await check(database, told) == []
        assert await check(database, cancelled.saying("cancel", end, status=202)) == []


@pytest.mark.parametrize(
    ("kind", "lie"),
    [
        ("place", "told 503 None, has order"),
        ("add", "added"),
        ("quote", "that nobody was told of"),
        ("confirm", "the money was taken"),
    ],
)
async def test_a_refusal_that_had_its_effect(
    database: Database, paid: Ledger, kind: Kind, lie: str
) -> None:
    """Told that nothing was done, without a command's id: the row itself says otherwise."""
    told = paid.saying(kind, "refused", status=503, command_id=None)
    assert lie in " ".join(await check(database, told))


async def test_a_refused_cancel_that_cancelled(database: Database, cancelled: Ledger) -> None:
    """The order's own history says who ended it."""
    told = cancelled.saying("cancel", "refused", status=409, command_id=None)
    [lie] = await check(database, told)
    assert "was cancelled" in lie


@pytest.mark.parametrize("kind", ["place", "add", "quote", "confirm"])
async def test_an_effect_without_its_outcome(database: Database, paid: Ledger, kind: Kind) -> None:
    """A command whose outcome is missing has done nothing, however its call ended; past its deadline as well."""
    [one] = [one for one in paid.operations if one.kind == kind]
    assert one.command_id is not None
    uuid = uuid_of(one.command_id)
    row = (await outcomes.find(database, [uuid]))[uuid]
    await database.write("DELETE FROM command_outcomes WHERE id = %s", uuid)
    try:
        for end in ("unknown", "accepted"):
            told = paid.saying(kind, end, status=202)
            found = await check(database, told, deadline=-1)
            assert "its outcome is None, and order" in " ".join(found)
    finally:
        await outcomes.insert_missing(database, [row])


async def test_a_command_that_was_lost(
    client: CommandClient, database: Database, cancelled: Ledger
) -> None:
    """Accepted and gone: a lie, unless commands may be lost and its deadline is past."""
    lost = Operation(9, "cancel", cancelled.buyer.id, target=0, end="accepted", status=202)
    for age, deadline, said in ((30, None, 1), (10, 20, 1), (30, 20, 0)):
        named = cancelled.named(client.command_ids.fresh(), age)
        told = [*cancelled.operations, replace(lost, command_id=named)]
        found = await check(database, told, deadline=deadline)
        assert ["never decided" in one for one in found] == [True] * said
