"""The reference gate as people use it: killed at any moment, without a network; and verify-ticket."""

import asyncio
import json
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from db.mysql.database import Database
from tests.harness.accounts import Person
from tests.harness.processes import ROOT, free_port
from tests.harness.system import System
from tests.harness.waiting import eventually
from tests.integration.tickets.door import Concert, Gate, concert, gate, scan

TICKETS = 4


async def start(url: str, token: str, file: Path, *arguments: str) -> asyncio.subprocess.Process:
    """`scripts/gate`, as a process of its own."""
    command = ("-m", "scripts.gating.main", "--url", url, "--file", str(file), *arguments)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=ROOT,
        env={**os.environ, "EVENTHUB_GATE_TOKEN": token, "PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def run(
    url: str, token: str, file: Path, *codes: str, json_lines: bool = True
) -> tuple[int, list[Any], str]:
    """Read these codes to their end: (exit code, results, errors)."""
    process = await start(url, token, file, "run", *(["--json"] if json_lines else []))
    output, errors = await process.communicate("".join(f"{one}\n" for one in codes).encode())
    assert process.returncode is not None
    lines = output.decode().splitlines()
    results = [json.loads(line) for line in lines] if json_lines else lines
    return process.returncode, results, errors.decode()


async def test_online_it_says_what_the_server_says(
    hub: System, north: Gate, show: Concert, tmp_path: Path
) -> None:
    """A ruling a line; in words for people."""
    file = tmp_path / "gate.sqlite"
    code, results, errors = await run(
        hub.url, north.token, file, show.codes[0], show.codes[0], "no code"
    )
    assert (code, errors) == (0, "")
    assert [one["ruling"] for one in results] == ["ADMITTED", "ALREADY_USED", "UNKNOWN"]
    assert results[0]["ticket"]["id"] == show.tickets[0]["id"]
    _, lines, _ = await run(hub.url, north.token, file, show.codes[0], json_lines=False)
    assert lines[0].startswith("STOP: used before")
    assert "North" in lines[0]


async def test_without_a_network_it_decides_alone_and_tells_later(
    hub: System, organizer: Person, north: Gate, south: Gate, show: Concert, tmp_path: Path
) -> None:
    """Its bundle and its own memory; what it let in is told, what two let in is a conflict."""
    file, nowhere = tmp_path / "gate.sqlite", f"http://127.0.0.1:{free_port()}"
    foreign = await concert(hub, organizer, show.buyer)
    assert (await run(hub.url, north.token, file))[0] == 0
    assert await south.rulings(scan(show.codes[1])) == ["ADMITTED"]
    code, results, errors = await run(
        nowhere, north.token, file, show.codes[0], show.codes[0], show.codes[1], foreign.codes[0]
    )
    assert code == 0
    rulings = [one["ruling"] for one in results]
    assert rulings == ["ADMITTED", "ALREADY_USED", "ADMITTED", "WRONG_EVENT"]
    assert "2 entries are not told yet" in errors
    code, results, _ = await run(hub.url, north.token, file)
    assert [one["ruling"] for one in results] == ["CONFLICT"]
    assert results[0]["firstGate"]["name"] == "South"
    assert await south.rulings(scan(show.codes[0])) == ["ALREADY_USED"]
    status = await start(hub.url, north.token, file, "status")
    told = json.loads((await status.communicate())[0])
    assert (told["event"], told["TOLD"]) == (show.sale.event_id, 2)


async def test_a_gate_that_was_never_online_lets_nobody_in(north: Gate, tmp_path: Path) -> None:
    """It says what to do."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    code, results, errors = await run(nowhere, north.token, tmp_path / "gate.sqlite", "x")
    assert (code, results) == (1, [])
    assert "connect the gate once" in errors


async def test_bytes_that_are_no_text_stop_no_gate(
    hub: System, north: Gate, show: Concert, tmp_path: Path
) -> None:
    """A picture with broken UTF-8 is no ticket, and the next guest comes in."""
    process = await start(hub.url, north.token, tmp_path / "gate.sqlite", "run", "--json")
    codes = b"\xff\xfe\n\xed\xa0\x80\n" + show.codes[0].encode() + b"\n"
    output, errors = await process.communicate(codes)
    assert (process.returncode, errors) == (0, b"")
    rulings = [json.loads(line)["ruling"] for line in output.splitlines()]
    assert rulings == ["UNKNOWN", "UNKNOWN", "ADMITTED"]


async def test_a_file_is_of_one_event(
    hub: System, organizer: Person, north: Gate, show: Concert, tmp_path: Path
) -> None:
    """With another event's token it tells nothing, so that no entry is lost; another gate of its event goes on."""
    file, nowhere = tmp_path / "gate.sqlite", f"http://127.0.0.1:{free_port()}"
    other = await concert(hub, organizer, show.buyer)
    there = await gate(hub, organizer, other.sale.event_id)
    assert (await run(hub.url, north.token, file))[0] == 0
    _, [let_in], _ = await run(nowhere, north.token, file, show.codes[0])
    assert let_in["ruling"] == "ADMITTED"
    code, results, errors = await run(hub.url, there.token, file, other.codes[0])
    assert (code, results) == (1, [])
    assert f"the file is of event {show.sale.event_id}" in errors
    assert (await run(nowhere, there.token, file, other.codes[0]))[0] == 1, "it cannot be looked up"
    spare = await gate(hub, organizer, show.sale.event_id, "Spare")
    assert (await run(hub.url, spare.token, file))[0] == 0
    assert await north.rulings(scan(show.codes[0])) == ["ALREADY_USED"]


async def test_a_revoked_gate_lets_nobody_in(
    hub: System, organizer: Person, north: Gate, show: Concert, tmp_path: Path
) -> None:
    """401 is no lost network."""
    file = tmp_path / "gate.sqlite"
    assert (await run(hub.url, north.token, file))[0] == 0
    path = f"/api/events/{show.sale.event_id}/gates/{north.id}"
    assert (await hub.api(organizer).delete(path)).status == 204
    code, results, errors = await run(hub.url, north.token, file, show.codes[0])
    assert (code, results, "Revoked" in errors) == (1, [], True)


def kept(file: Path) -> list[tuple[str, str]]:
    """(code, state) of each scan in a gate's file."""
    if not file.exists():
        return []
    reading = sqlite3.connect(file)
    try:
        return list(reading.execute("SELECT code, state FROM scans"))
    except sqlite3.OperationalError:
        return []
    finally:
        reading.close()


async def test_killed_at_any_moment_it_loses_no_scan(
    hub: System, database: Database, organizer: Person, buyer: Person, tmp_path: Path
) -> None:
    """kill -9 as soon as a scan is in its file: the next start asks and shows it."""
    shown = await concert(hub, organizer, buyer, TICKETS)
    north = await gate(hub, organizer, shown.sale.event_id)
    file = tmp_path / "gate.sqlite"
    seen: list[str] = []
    for code in shown.codes:
        process = await start(hub.url, north.token, file, "run", "--json")
        assert process.stdin is not None
        process.stdin.write(f"{code}\n".encode())
        await process.stdin.drain()

        async def begun(code: str = code) -> bool:
            return code in {one for one, _ in kept(file)}

        await eventually(begun, every=0.001)
        process.kill()
        assert process.stdout is not None
        seen += (await process.stdout.read()).decode().splitlines()
        await process.wait()
    _, results, _ = await run(hub.url, north.token, file)
    seen += [json.dumps(one) for one in results]
    rulings = [json.loads(line)["ruling"] for line in seen if line.endswith("}")]
    assert rulings == ["ADMITTED"] * TICKETS
    assert {state for _, state in kept(file)} == {"ADMITTED"}
    rows = await database.read(
        "SELECT COUNT(*) FROM scans WHERE event_id = %s AND ruling = 'ADMITTED'",
        shown.sale.event_id,
    )
    assert rows[0][0] == TICKETS


@pytest.mark.parametrize("by_file", [False, True])
async def test_verify_ticket_knows_the_public_keys_alone(
    hub: System, show: Concert, tmp_path: Path, by_file: bool
) -> None:
    """0 and the claims; 1 for anything else."""
    keys = hub.url
    if by_file:
        published = await hub.api().get("/.well-known/eventhub-tickets.json")
        file = tmp_path / "keys.json"
        await asyncio.to_thread(file.write_text, json.dumps(published.body))
        keys = str(file)

    async def verify(code: str) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "scripts.gating.verify", "-", "--keys", keys),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate(code.encode())
        return process.returncode, output.decode()

    code, told = await verify(show.codes[0])
    assert code == 0
    assert json.loads(told) == {"tid": show.tickets[0]["id"], "eid": show.sale.event_id, "ver": 1}
    for forged in (show.codes[0][:-4], "x", show.codes[0].swapcase()):
        assert (await verify(forged))[0] == 1
