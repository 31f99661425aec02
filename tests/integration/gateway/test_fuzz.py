"""Schemathesis against a whole EventHub of its own, as each role: no 5xx, nothing that the document does not say.

Bounded by examples, time and loopback. `scripts/test full` runs the long one.
"""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.models import RoleName
from db.audit import audit
from db.mysql.database import Database
from tests.harness.accounts import person
from tests.harness.scratch import Scratch, scratch_servers
from tests.harness.system import System, running

CHECKS = Path(__file__).with_name("fuzz.toml")
WHO: list[tuple[RoleName, ...]] = [(), ("USER",), ("ORGANIZER",), ("PROVIDER",), ("ADMIN",)]


@pytest.fixture(scope="module")
async def place() -> AsyncIterator[Scratch]:
    """Places that a fuzzer with admin's rights may ruin."""
    async with scratch_servers() as scratch:
        yield scratch


@pytest.fixture(scope="module")
async def prey(place: Scratch) -> AsyncIterator[System]:
    """A gateway and every worker on them."""
    async with running(place, webhook_allow_private=True, log_level="error") as system:
        yield system


async def fuzz(system: System, roles: tuple[RoleName, ...], *options: str) -> str:
    """One run as a fresh account with these roles (nobody for none); what Schemathesis printed."""
    own_database = await Database.connect(system.scratch.mysql_url, size=1)
    header = []
    if roles:
        somebody = await person(own_database, *roles)
        header = ["--header", f"Authorization: Bearer {somebody.token}"]
    await own_database.close()
    fuzzer = ["-m", "schemathesis.cli", "--config-file", str(CHECKS)]
    command = [*fuzzer, "run", f"{system.url}/openapi.json"]
    # One worker: two threads that parse Python at once break each other in CPython before 3.11.9 ("AST constructor
    # recursion depth mismatch"), and Hypothesis parses its strategies' source.
    limits = ["--request-timeout", "40", "--warnings", "off", "--no-color", "--workers", "1"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        *limits,
        *options,
        *header,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    text = output.decode(errors="replace")
    assert process.returncode == 0, text[-6000:]
    return text


async def require_books(system: System) -> None:
    """Whatever was asked: the audit's rules hold."""
    own_database = await Database.connect(system.scratch.mysql_url, size=2)
    try:
        (await audit(own_database)).require_ok()
    finally:
        await own_database.close()


@pytest.mark.parametrize("roles", WHO, ids=lambda roles: "-".join(roles) or "nobody")
async def test_a_role_finds_nothing(prey: System, roles: tuple[RoleName, ...]) -> None:
    """Examples of the document and random data of its shape, right and wrong, on every call."""
    text = await fuzz(
        prey, roles, "--phases", "examples,fuzzing", "-n", "3", "--max-time", "10", "--seed", "17"
    )
    assert re.search(r"\d+ generated", text), text[-2000:]
    await require_books(prey)


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("roles", [*WHO, ("USER", "ORGANIZER", "PROVIDER", "ADMIN")], ids="-".join)
async def test_a_long_run_finds_nothing(prey: System, roles: tuple[RoleName, ...]) -> None:
    """The same with every border of every schema, and a hundred random cases per call."""
    await fuzz(
        prey, roles, "--phases", "examples,coverage,fuzzing", "-n", "100", "--max-time", "240"
    )
    await require_books(prey)
