"""Declares the topology and makes each kind of process its broker user: `python -m contracts.messaging.accounts`.

In: AMQP_URL and AMQP_MANAGEMENT_URL (an administrator), and AMQP_URL_GATEWAY … AMQP_URL_RELAY: the user that each kind
is to have. Out: the topology, users with the rights of `contracts.messaging.rights`; exit code 0.
Must stay true: a user that runs keeps its connections; passwords stand in no log and no error.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from urllib.parse import quote, unquote, urlsplit

import aiohttp
from pydantic import ValidationError
from yarl import URL

from contracts.messaging.link import BrokerAway, Link, declare
from contracts.messaging.rights import BROKER_RIGHTS
from contracts.messaging.topology import Topology, topology
from contracts.runtime.settings import load_settings

CONNECT_SECONDS = 30.0
REQUEST_SECONDS = 10.0


class BrokerRefused(Exception):
    """The management API is away or says no; the text says what was asked."""


def urls_of(environment: Mapping[str, str]) -> dict[str, str]:
    """The URL of each user that the environment names, by kind."""
    named = {kind: f"AMQP_URL_{kind.upper()}" for kind in BROKER_RIGHTS}
    return {kind: environment[name] for kind, name in named.items() if environment.get(name)}


async def declare_all(amqp_url: str, wanted: Topology) -> None:
    """Declare everything on a connection of its own. Raises BrokerAway."""
    link = Link(amqp_url, "setup", on_open=lambda channel: declare(channel, wanted))
    await link.start(wait=CONNECT_SECONDS)
    await link.stop()


async def make_users(management_url: str, urls: Mapping[str, str]) -> None:
    """Make or change the users of these URLs, each with its kind's rights. Raises BrokerRefused."""
    api = urlsplit(management_url)
    sign_in = aiohttp.encode_basic_auth(unquote(api.username or ""), unquote(api.password or ""))
    base = f"{api.scheme}://{api.hostname}:{api.port or 15672}/api"
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
    headers = {"Authorization": sign_in}
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        for kind, url in urls.items():
            parts, rights = urlsplit(url), BROKER_RIGHTS[kind]
            user = quote(unquote(parts.username or ""), safe="")
            vhost = quote(unquote(parts.path.removeprefix("/")) or "/", safe="")
            account = {"password": unquote(parts.password or ""), "tags": rights.tag}
            await _put(session, f"{base}/users/{user}", account)
            await _put(session, f"{base}/permissions/{vhost}/{user}", rights.permissions())


async def _put(session: aiohttp.ClientSession, url: str, body: Mapping[str, str]) -> None:
    what = url.partition("/api/")[2]
    try:
        async with session.put(URL(url, encoded=True), json=dict(body)) as answer:
            if answer.status >= 300:
                raise BrokerRefused(f"PUT {what}: the broker answered {answer.status}")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise BrokerRefused(f"PUT {what}: {type(error).__name__}") from error


async def _main(management_url: str, urls: Mapping[str, str]) -> None:
    settings = load_settings()
    wanted = topology(settings.shards, settings.queue_length)
    await declare_all(settings.amqp_url.get_secret_value(), wanted)
    await make_users(management_url, urls)


def main() -> int:
    """The exit code: 0 done, 1 with the reason."""
    try:
        asyncio.run(_main(os.environ["AMQP_MANAGEMENT_URL"], urls_of(os.environ)))
    except KeyError:
        print("AMQP_MANAGEMENT_URL is not set", file=sys.stderr)
        return 1
    except ValidationError:
        print("broker users: the settings are wrong", file=sys.stderr)
        return 1
    except (BrokerAway, BrokerRefused) as error:
        print(f"broker users: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
