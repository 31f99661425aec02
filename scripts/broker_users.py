"""Users of the broker, through RabbitMQ's management API.

In: the API's address, the AMQP address (for the virtual host). Out: a user with the least rights, or none.
Must stay true: what is made here may publish to `eventhub.rates` under its own routing keys, and nothing else:
no queue, no other exchange (the default exchange would reach every queue), no configuration, no reading, no
management.

Source: RabbitMQ manual, "Access Control" (permissions, topic authorisation), "Management HTTP API reference".
"""

import re
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import aiohttp
from yarl import URL

from contracts.messaging.topology import RATES_EXCHANGE

SECONDS = 10.0


class BrokerError(Exception):
    """The management API is away or refuses; the text says what was asked."""


class BrokerUsers:
    """One broker's users and their rights in one virtual host. Close it at the end."""

    def __init__(self, management_url: str, amqp_url: str) -> None:
        api, amqp = urlsplit(management_url), urlsplit(amqp_url)
        self._amqp = amqp
        # Where the API's address names nobody, the broker's own account is meant.
        user, password = api.username or amqp.username, api.password or amqp.password
        sign_in = aiohttp.encode_basic_auth(unquote(user or "guest"), unquote(password or "guest"))
        self._headers = {"Authorization": sign_in}
        netloc = (api.hostname or "127.0.0.1") + (f":{api.port}" if api.port else "")
        self._base = urlunsplit((api.scheme, netloc, api.path.rstrip("/"), "", ""))
        self._vhost = quote(unquote(amqp.path.removeprefix("/")) or "/", safe="")
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def url_for(self, user: str, password: str) -> str:
        """The AMQP address with which this user connects."""
        host = (self._amqp.hostname or "127.0.0.1") + (
            f":{self._amqp.port}" if self._amqp.port else ""
        )
        return urlunsplit(
            (self._amqp.scheme, f"{user}:{password}@{host}", f"/{self._vhost}", "", "")
        )

    async def exists(self, user: str) -> bool:
        """Whether the broker knows a user of that name."""
        return await self._ask("GET", f"users/{user}", None, missing_is_fine=True) != 404

    async def put(self, user: str, password: str) -> None:
        """Make the user, or give it this password. It has no tags: it cannot use this API."""
        await self._ask("PUT", f"users/{user}", {"password": password, "tags": ""})

    async def allow_only_rates(self, user: str) -> None:
        """Give the one right."""
        exchange = f"^{re.escape(RATES_EXCHANGE)}$"
        rights = {"configure": "^$", "write": exchange, "read": "^$"}
        await self._ask("PUT", f"permissions/{self._vhost}/{user}", rights)
        own_keys = rf"^rates\.{re.escape(user)}\..*"
        topics = {"exchange": RATES_EXCHANGE, "write": own_keys, "read": "^$"}
        await self._ask("PUT", f"topic-permissions/{self._vhost}/{user}", topics)

    async def cut(self, user: str) -> None:
        """Close the connections that this user has."""
        await self._ask("DELETE", f"connections/username/{user}", None, missing_is_fine=True)

    async def delete(self, user: str) -> None:
        """Remove the user; the broker closes its connections."""
        await self.cut(user)
        await self._ask("DELETE", f"users/{user}", None, missing_is_fine=True)

    async def _ask(
        self, method: str, path: str, body: dict[str, Any] | None, *, missing_is_fine: bool = False
    ) -> int:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=SECONDS)
            self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        url = f"{self._base}/api/{path}"
        try:
            # `encoded`: the name of the default virtual host is %2F, and must stay so.
            async with self._session.request(method, URL(url, encoded=True), json=body) as response:
                if response.status < 300 or (response.status == 404 and missing_is_fine):
                    return response.status
                raise BrokerError(f"{method} {path}: the broker answered {response.status}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise BrokerError(f"{method} {path}: {type(error).__name__}") from error
