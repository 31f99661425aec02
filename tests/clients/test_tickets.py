"""Codes and bundles are what npm's jose takes them for: real ones verify by the published keys, changed ones do not."""

import json
import shutil
from pathlib import Path
from typing import Any

import jwt
import pytest

from db.mysql.database import Database
from tests.clients.tools import HERE, Tools, run
from tests.harness.accounts import person
from tests.harness.system import System
from tests.integration.tickets.door import Concert, Gate, concert, gate, scan

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]
CHECK = "check_with_jose.mjs"


@pytest.fixture
async def door(system: System) -> tuple[Concert, Gate]:
    """Two paid tickets, and a gate that knows one of them as used."""
    records = await Database.connect(system.scratch.mysql_url, size=1)
    organizer, buyer = await person(records, "ORGANIZER"), await person(records)
    await records.close()
    show = await concert(system, organizer, buyer, 2)
    north = await gate(system, organizer, show.sale.event_id, "Nord – Tür Ä")
    assert await north.rulings(scan(show.codes[0])) == ["ADMITTED"]
    return show, north


async def checked(
    system: System, tools: Tools, folder: Path, codes: list[str], bundles: list[dict[str, Any]]
) -> dict[str, list[Any]]:
    """What jose says of them."""
    shutil.copy(HERE / "gates" / CHECK, folder)
    (folder / "node_modules").symlink_to(tools.home / "node_modules")
    (folder / "asked.json").write_text(json.dumps({"codes": codes, "bundles": bundles}))
    said: dict[str, list[Any]] = json.loads(
        await run("node", CHECK, system.url, "asked.json", cwd=folder)
    )
    return said


async def test_jose_takes_our_codes_and_no_others(
    system: System, tools: Tools, door: tuple[Concert, Gate], tmp_path: Path
) -> None:
    """By the remote key set; a changed payload, another algorithm, an unknown key and a bundle's type are refused."""
    show, north = door
    code = show.codes[1]
    header, payload, signature = code.split(".")
    kid = jwt.get_unverified_header(code)["kid"]
    claims: dict[str, Any] = jwt.decode(code, options={"verify_signature": False})
    hs256 = jwt.encode(claims, kid * 8, "HS256", headers={"kid": kid, "typ": "ticket+jwt"})
    bundles = (await north.bundle())["signature"].partition(".")[0]
    changed = [
        f"{header}.{show.codes[0].split('.')[1]}.{signature}",
        hs256,
        f"{bundles}.{payload}.{signature}",
        code[:-4],
    ]
    told = await checked(system, tools, tmp_path, [*show.codes, *changed], [])
    for ticket, one in zip(show.tickets, told["codes"][:2], strict=True):
        assert one["kid"] == kid
        assert one["payload"] == {
            "tid": ticket["id"],
            "eid": ticket["eventId"],
            "tty": ticket["ticketTypeId"],
            "ver": 1,
        }
    assert [set(one) for one in told["codes"][2:]] == [{"refused"}] * len(changed)


async def test_jose_takes_our_bundles_and_no_others(
    system: System, tools: Tools, door: tuple[Concert, Gate], tmp_path: Path
) -> None:
    """Over the RFC 8785 form as npm's canonicalize has it."""
    bundle = await door[1].bundle()
    assert bundle["used"] == [door[0].tickets[0]["id"]]
    told = await checked(system, tools, tmp_path, [], [bundle, bundle | {"used": []}])
    assert told["bundles"] == [True, False]
