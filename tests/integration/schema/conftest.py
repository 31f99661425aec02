"""Databases that do not exist yet, removed afterwards."""

import secrets
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import aiomysql
import pytest

from db.mysql.database import connection_arguments
from tests.harness.scratch import server_url


@pytest.fixture
async def new_url() -> AsyncIterator[str]:
    """The URL of a database that is still to be created; its name needs quoting."""
    parts = urlsplit(server_url("MYSQL_URL"))
    name = f"eventhub-test-{secrets.token_hex(6)}"
    url = urlunsplit((parts.scheme, parts.netloc, f"/{name}", "", ""))
    yield url
    connection = await aiomysql.connect(**(connection_arguments(url) | {"db": None}))
    cursor = await connection.cursor()
    await cursor.execute(f"DROP DATABASE IF EXISTS `{name}`")
    connection.close()
