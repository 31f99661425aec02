"""The audit runs after every integration test on the session's database: no test may leave the books wrong."""

from collections.abc import AsyncIterator

import pytest

from db.audit import audit
from db.mysql.database import Database


@pytest.fixture(autouse=True)
async def audited(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """After a test that used the session's database: every rule of the audit holds."""
    yield
    if "database" in request.fixturenames:
        database: Database = request.getfixturevalue("database")
        (await audit(database)).require_ok()
