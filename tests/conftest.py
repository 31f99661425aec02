"""Fixtures for tests on real servers, one scratch system per session; the seeds of a run.

Must stay true: workers that run on the session's place are a fixture of a module or package, never of the
session: two sets of the same workers would share its shards.
"""

from collections.abc import AsyncIterator

import pytest

from db.mysql.database import Database
from tests.harness.scratch import Scratch, scratch_servers
from tests.harness.seeds import ASKED, seeds


@pytest.fixture(scope="session")
async def scratch() -> AsyncIterator[Scratch]:
    """Scratch database, virtual host and Redis database of this session, migrated."""
    async with scratch_servers() as scratch:
        yield scratch


@pytest.fixture(scope="session")
async def database(scratch: Scratch) -> AsyncIterator[Database]:
    """A pool on the session's database."""
    opened = await Database.connect(scratch.mysql_url)
    yield opened
    await opened.close()


def pytest_configure() -> None:
    """Draw the seeds before anybody else does: the processes of pytest-xdist inherit them."""
    seeds()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what takes `seed` once for each, unless it says for which."""
    said = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    if "seed" in metafunc.fixturenames and "seed" not in said:
        metafunc.parametrize("seed", seeds())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say the seeds, also when nothing failed."""
    drawn = ",".join(map(str, seeds()))
    terminalreporter.write_line(f"seeds {drawn} (one of them again: {ASKED}=N)")
