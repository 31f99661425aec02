"""What a load needs of EventHub's HTTP interface before it can begin: an organizer's events and ticket types.

In: an organizer's token. Out: ids. Must stay true: everything is made through the public API, nothing behind its back.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import click

from contracts.runtime.times import to_wire

AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Show:
    """An event with what is for sale there."""

    event_id: int
    ticket_types: tuple[int, ...]


class Api:
    """One signed-in caller."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str) -> None:
        self._session, self._url = session, url
        self._headers = {"Authorization": f"Bearer {token}", "Prefer": "wait=30"}

    async def call(self, method: str, path: str, body: object = None) -> Any:
        """The JSON of a 2xx answer that is no 202. Raises click.ClickException with what else was said."""
        async with self._session.request(
            method, self._url + path, json=body, headers=self._headers
        ) as answer:
            text = await answer.text()
            if answer.status >= 300 or answer.status == 202:
                raise click.ClickException(f"{method} {path}: {answer.status} {text[:500]}")
            return await answer.json()

    async def make_show(self, name: str, *, quotas: Sequence[int], per_order: int = 10) -> Show:
        """An event in 30 days with one ticket type per quota."""
        start = datetime.now(UTC) + timedelta(days=30)
        event = await self.call(
            "POST",
            "/api/events",
            {
                "name": name,
                "venue": "Main hall",
                "startTime": to_wire(start),
                "endTime": to_wire(start + timedelta(hours=3)),
            },
        )
        types = []
        for number, quota in enumerate(quotas, 1):
            body = {
                "name": f"Type {number}",
                "price": "49.90",
                "quota": quota,
                "maxPerOrder": per_order,
            }
            made = await self.call("POST", f"/api/events/{event['id']}/ticket-types", body)
            types.append(made["id"])
        return Show(event["id"], tuple(types))

    async def make_shows(self, count: int, *, quotas: Sequence[int]) -> list[Show]:
        """Several, some at once."""
        some = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> Show:
            async with some:
                return await self.make_show(f"Load test {number}", quotas=quotas)

        return list(await asyncio.gather(*(one(number) for number in range(1, count + 1))))
