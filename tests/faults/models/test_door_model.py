"""The door as Hypothesis plays it: gates that lose their network, their answers, their lives and their files.

The gates are the reference gate's own code on SQLite files, admission is the worker's own on the real database; the
model is a set: whose scans let somebody in. Once everybody is online again that set is what the books say, each ticket
was admitted once and every further entry is a conflict, and the audit is clean.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from contracts.command_ids import CommandIds
from contracts.commands import Command, RecordScans, Scan, TransferTicket
from contracts.messaging.envelope import Codec
from contracts.models import GatePrincipal
from db.audit import audit
from db.messages import outcomes
from db.mysql.database import Database
from db.redis.seat_locks import AlwaysGranted
from db.tickets.keyring import Keyring
from db.tickets.keys import key_sealer
from scripts.gating.client import Unreachable
from scripts.gating.gate import Gate, NoBundle
from scripts.gating.memory import GateMemory, KeptScan
from tests.faults.models.test_sale_model import DEALT_WITH as SALE
from tests.faults.models.test_sale_model import _event
from tests.harness.accounts import Person, person
from tests.harness.command_client import FINGERPRINT, CommandClient, place
from tests.harness.deciders import decider, items
from tests.harness.scratch import SECRET, Scratch
from tests.harness.seeds import FIXED
from tests.integration.audit.entries import bundle_of, code_of, new_gate
from tests.integration.payments.payment_client import confirm, fresh_hash, quote, set_rate
from workers.admission import ruling
from workers.admission.handlers import handlers as admission
from workers.order.transferring import transfer_tickets
from workers.runtime.deciding import CommandProcessor
from workers.runtime.handlers import CommandHandler, Handler

PLACES, GATES = 3, 2
ENTERED = ("ADMITTED", "CONFLICT", "VOID_ADMITTED")
NUMBERS = st.integers(0, 5)
ONLINE, OFFLINE, LOSING, DYING = "online", "offline", "losing answers", "dying with the answer"


class Died(BaseException):
    """The gate is killed while it waits for its answer."""


@dataclass(slots=True)
class Device:
    """A gate's hardware: its file, its network, and a copy that somebody made of the file."""

    principal: GatePrincipal
    path: Path
    network: str = ONLINE
    gate: Gate | None = None
    copy: Path | None = None


class Wire:
    """A gate's way to EventHub in this process."""

    def __init__(self, door: "Door", device: Device) -> None:
        self._door, self._device = door, device

    async def scans(self, scans: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Decided by the real worker; the answer may be lost, and the gate's life with it."""
        if self._device.network == OFFLINE:
            raise Unreachable("cut")
        asked = tuple(Scan.model_validate(one) for one in scans)
        command = RecordScans(
            principal=self._device.principal, fingerprint=FINGERPRINT, scans=asked
        )
        outcome = await self._door.decided(command)
        if self._device.network == LOSING:
            raise Unreachable("the answer is lost")
        if self._device.network == DYING:
            raise Died
        results: list[dict[str, Any]] = outcome["results"]
        return results

    async def bundle(self, _: str | None) -> dict[str, Any]:
        """What the gateway would give."""
        if self._device.network != ONLINE:
            raise Unreachable("cut")
        return await bundle_of(self._door.client, self._device.principal.event_id)


class Door(RuleBasedStateMachine):
    """Three tickets, two gates."""

    runner: asyncio.Runner
    stack: AsyncExitStack
    client: CommandClient
    deciding: CommandProcessor
    dealt_with: dict[str, Handler]
    organizer: Person
    buyer: Person
    folder: Path

    @initialize()
    def open(self) -> None:
        """A paid order of three; one gate has its bundle, the other has never been online."""
        self.entered: set[str] = set()
        self.lost: list[Device] = []
        self.event_id, type_id = self.run(_event(self.client.database, self.organizer))
        order = self.run(self.decided(place(self.buyer, self.event_id, (type_id, PLACES))))["id"]
        payment = self.run(self.decided(quote(self.buyer, order)))["id"]
        self.run(self.decided(confirm(self.buyer, payment, fresh_hash())))
        rows = self.run(
            self.client.database.read(
                "SELECT id FROM tickets WHERE order_id = %s ORDER BY id", order
            )
        )
        self.tickets = [row[0] for row in rows]
        assert len(self.tickets) == PLACES
        self.codes = [[self.run(code_of(self.client, one))] for one in self.tickets]
        self.holders = [self.buyer] * PLACES
        self.devices = [self._device(number) for number in range(GATES)]
        self.sync(0)

    def _device(self, number: int) -> Device:
        principal = self.run(new_gate(self.client, self.organizer, self.event_id, f"Gate {number}"))
        path = Path(tempfile.mkdtemp(dir=self.folder)) / "gate.sqlite"
        device = Device(principal, path)
        self._boot(device)
        return device

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run to its end."""
        return self.runner.run(work)

    async def decided(self, command: Command) -> dict[str, Any]:
        """What the worker says of a command that must succeed."""
        [item] = items(self.client, [command])
        await self.deciding.decide(self.dealt_with[command.TYPE], [item])  # type: ignore[arg-type]  # commands' handlers
        await self.deciding.settle()
        found = await outcomes.find(self.client.database, [item.received.uuid])
        assert found, f"{command.TYPE} has no outcome: {item.end}"
        outcome = found[item.received.uuid]
        assert outcome.status_code < 300, outcome.body
        said: dict[str, Any] = orjson.loads(outcome.body)
        return said

    # -- what gates do -----------------------------------------------------------------------------

    def _boot(self, device: Device) -> None:
        """The gate starts on its file; what it decided and never showed is shown now."""
        device.gate = Gate(GateMemory(device.path), Wire(self, device))
        try:
            for forgotten in self.run(device.gate.resume()):
                self._show(device, forgotten)
        except Died:
            self._killed(device)

    def _killed(self, device: Device) -> None:
        """The process is gone; its file stays. Its network is cut until somebody looks after it."""
        assert device.gate is not None, "it was booted"
        device.gate.memory.close()
        device.network = OFFLINE
        self._boot(device)

    def _show(self, device: Device, scan: KeptScan) -> None:
        assert device.gate is not None, "it was booted"
        if scan.ruling in ENTERED:
            self.entered.add(scan.id)
        device.gate.memory.shown(scan)

    @rule(device=NUMBERS, ticket=NUMBERS, version=NUMBERS, seen=st.booleans())
    def scan(self, device: int, ticket: int, version: int, seen: bool) -> None:
        """Somebody shows a code of now or of before; perhaps the gate dies before anybody sees its ruling."""
        chosen, codes = self.devices[device % GATES], self.codes[ticket % PLACES]
        assert chosen.gate is not None, "it was booted"
        try:
            ruled = self.run(chosen.gate.scan(codes[version % len(codes)]))
        except NoBundle:
            return
        except Died:
            self._killed(chosen)
            return
        if seen:
            self._show(chosen, ruled)
        else:
            self._killed(chosen)

    @rule(
        device=NUMBERS,
        ticket=NUMBERS,
        network=st.sampled_from([OFFLINE, LOSING, DYING]),
        seen=st.booleans(),
    )
    def scan_in_trouble(self, device: int, ticket: int, network: str, seen: bool) -> None:
        """The network goes when somebody comes."""
        self.devices[device % GATES].network = network
        self.scan(device, ticket, 0, seen)

    @rule(device=NUMBERS, network=st.sampled_from([ONLINE, OFFLINE, LOSING, DYING]))
    def change_network(self, device: int, network: str) -> None:
        """It comes and goes."""
        self.devices[device % GATES].network = network

    @rule(device=NUMBERS)
    def sync(self, device: int) -> None:
        """A gate tells and learns, as far as it gets."""
        chosen = self.devices[device % GATES]
        assert chosen.gate is not None, "it was booted"
        try:
            self.run(chosen.gate.sync())
        except Unreachable:
            pass  # it tries again some day
        except Died:
            self._killed(chosen)
            return
        for forgotten in chosen.gate.memory.unshown():
            self._show(chosen, forgotten)

    @rule(device=NUMBERS)
    def back_up(self, device: int) -> None:
        """Somebody copies a gate's file."""
        chosen = self.devices[device % GATES]
        assert chosen.gate is not None, "it was booted"
        chosen.gate.memory.close()
        chosen.copy = Path(tempfile.mkdtemp(dir=self.folder)) / "gate.sqlite"
        shutil.copytree(chosen.path.parent, chosen.copy.parent, dirs_exist_ok=True)
        self._boot(chosen)

    @rule(device=NUMBERS)
    def fall_to_the_backup(self, device: int) -> None:
        """The device breaks, its backup comes instead; its own file is found again in the end."""
        number = device % GATES
        broken = self.devices[number]
        if broken.copy is None or broken.gate is None:
            return
        broken.gate.memory.close()
        self.lost.append(replace(broken, gate=None))
        self.devices[number] = replace(broken, path=broken.copy, copy=None, gate=None)
        self._boot(self.devices[number])

    @rule(ticket=NUMBERS)
    def transfer(self, ticket: int) -> None:
        """The ticket gets another code, unless it has been used."""
        number = ticket % PLACES
        command = TransferTicket(
            principal=self.buyer.principal,
            fingerprint=FINGERPRINT,
            ticket_id=self.tickets[number],
            to_user_id=self.buyer.id,
        )
        try:
            self.run(self.decided(command))
        except AssertionError:
            return  # TICKET_USED
        self.codes[number].append(self.run(code_of(self.client, self.tickets[number])))

    # -- what must be true -------------------------------------------------------------------------

    def teardown(self) -> None:
        """Everybody comes online, every file is found: the books say who was let in, and nothing else."""
        if not hasattr(self, "devices"):
            return
        for device in [*self.devices, *self.lost]:
            if device.gate is not None:
                device.gate.memory.close()
            device.network = ONLINE
            self._boot(device)
        for device in [*self.devices, *self.lost] * 2:
            assert device.gate is not None, "it was booted"
            self.run(device.gate.sync())
            for forgotten in device.gate.memory.unshown():
                self._show(device, forgotten)
        for device in [*self.devices, *self.lost]:
            assert device.gate is not None, "it was booted"
            device.gate.memory.close()
        rows = self.run(
            self.client.database.read(
                "SELECT LOWER(HEX(id)), ruling, ticket_id FROM scans WHERE event_id = %s",
                self.event_id,
            )
        )
        books = {row[0] for row in rows if row[1] in ENTERED}
        assert books == {one.replace("-", "") for one in self.entered}, (
            "the books are not who is in"
        )
        admitted = [row[2] for row in rows if row[1] == "ADMITTED"]
        report = self.run(audit(self.client.database))
        assert report.ok, report.to_text()
        assert len(set(admitted)) <= PLACES


def play(scratch: Scratch, folder: Path, seed: int, *, examples: int = 10) -> None:
    """Some histories of up to twenty steps."""
    with asyncio.Runner() as runner:
        runner.run(_prepare(runner, scratch, folder))
        try:
            seeded(seed)(Door)
            run_state_machine_as_test(
                Door,
                settings=settings(
                    max_examples=examples,
                    stateful_step_count=20,
                    deadline=None,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                    phases=[Phase.generate, Phase.shrink] if examples == 10 else [Phase.generate],
                ),
            )
        finally:
            runner.run(Door.stack.aclose())


def test_the_books_are_who_is_in(scratch: Scratch, tmp_path: Path, seed: int) -> None:
    """Ten histories."""
    play(scratch, tmp_path, seed)


async def _prepare(runner: asyncio.Runner, scratch: Scratch, folder: Path) -> None:
    Door.runner, Door.stack, Door.folder = runner, AsyncExitStack(), folder
    database = await Database.connect(scratch.mysql_url)
    Door.stack.push_async_callback(database.close)
    chosen = scratch.settings()
    nothing: Any = None
    Door.client = CommandClient(
        chosen, database, nothing, nothing, Codec(SECRET), CommandIds(SECRET)
    )
    await set_rate(database, "BTC", "50000")
    Door.deciding = await decider(Door.stack, chosen, AlwaysGranted())
    Door.dealt_with = {
        **SALE,
        **admission(Keyring(database, key_sealer(SECRET))),
        TransferTicket.TYPE: CommandHandler(TransferTicket, transfer_tickets),
    }
    Door.organizer, Door.buyer = await person(database, "ORGANIZER"), await person(database)


def _asks_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate that forgets its questions: a lost answer leaves somebody outside with a used ticket."""
    begin = GateMemory.begin

    def anew(self: GateMemory, id_: str, code: str, scanned_at: str) -> KeptScan:
        self._file.execute("UPDATE scans SET state = 'REFUSED', shown = 1 WHERE state = 'ASKING'")
        return begin(self, id_, code, scanned_at)

    monkeypatch.setattr(GateMemory, "begin", anew)


def _tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate that takes what it decided alone for told."""

    def decided(self: GateMemory, scan: KeptScan, said: str, tid: int | None) -> KeptScan:
        state = "TOLD" if said == "ADMITTED" else "REFUSED"
        return self._end(scan, state, said, {"id": scan.id, "ruling": said}, tid)

    monkeypatch.setattr(GateMemory, "decided", decided)


def _facts_are_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Admission that refuses what has happened."""
    monkeypatch.setattr(ruling, "_FACTS", {})


MUTANTS = {
    "one id to a question": (_asks_anew, "the books are not who is in"),
    "facts are told": (_tells_nothing, "the books are not who is in"),
    "facts are kept": (_facts_are_questions, "the books are not who is in|BROKEN"),
}


@pytest.mark.parametrize("guard", MUTANTS)
def test_a_door_without_a_guard_is_noticed(
    scratch: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guard: str
) -> None:
    """The model is proven as well, on servers of its own: what it breaks there nobody audits."""
    remove, notices = MUTANTS[guard]
    remove(monkeypatch)
    with pytest.raises(AssertionError, match=notices):
        play(scratch, tmp_path, FIXED, examples=20)
