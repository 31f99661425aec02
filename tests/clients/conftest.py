"""The tools and a running system, once for all of this folder's tests."""

from collections.abc import AsyncIterator

import pytest

from db.audit import audit
from db.mysql.database import Database
from tests.clients.tools import Tools, install
from tests.harness.scratch import scratch_servers
from tests.harness.system import System, running
from tests.harness.waiting import eventually


@pytest.fixture(scope="package")
async def tools() -> Tools:
    """What client developers use."""
    return await install()


@pytest.fixture(scope="package")
async def system() -> AsyncIterator[System]:
    """A whole EventHub that has heard of rates; at the end its books are right."""
    async with scratch_servers() as place, running(place) as started:
        records = await Database.connect(place.mysql_url, size=2)

        async def polled() -> bool:
            return await records.read("SELECT 1 FROM rates WHERE asset = 'BTC' LIMIT 1") != []

        await eventually(polled)
        yield started
        (await audit(records)).require_ok()
        await records.close()
