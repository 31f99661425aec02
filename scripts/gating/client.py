"""EventHub as a gate sees it: two calls over HTTP.

In: the address and the gate's token. Out: results of scans, bundles.
Must stay true: what did not answer in time, or with anything but a decision, is `Unreachable`: the gate decides alone;
a gate that is not let in any more (revoked) says so and lets nobody in.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import aiohttp

ANSWER_SECONDS = 1.5
"""People stand at the door: after so long a gate decides alone."""
BUNDLE_SECONDS = 30.0


class Unreachable(Exception):
    """Nobody answered, or not yet: what became of the question is unknown."""


class Revoked(Exception):
    """The gate's token counts no more."""


class HttpDoor:
    """The two calls, on a session that is closed by whoever opened it."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str) -> None:
        self._session, self._url = session, url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}

    async def scans(self, scans: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Results in order. Raises Unreachable, Revoked."""
        # Somebody stands there, unless all of it has happened already.
        seconds = BUNDLE_SECONDS if all(one["offline"] for one in scans) else ANSWER_SECONDS
        wait = {"Prefer": f"wait={max(1, int(seconds))}"}
        answer = await self._call("POST", "/api/gate/scans", seconds, {"scans": list(scans)}, wait)
        if "results" not in answer:
            raise Unreachable("accepted, not decided yet")
        results: list[dict[str, Any]] = answer["results"]
        return results

    async def bundle(self, since: str | None) -> dict[str, Any]:
        """What has changed since then. Raises Unreachable, Revoked."""
        path = "/api/gate/bundle" + (f"?since={since}" if since else "")
        return await self._call("GET", path, BUNDLE_SECONDS, None, {})

    async def _call(
        self, method: str, path: str, seconds: float, body: object, headers: dict[str, str]
    ) -> dict[str, Any]:
        try:
            async with asyncio.timeout(seconds):
                async with self._session.request(
                    method, self._url + path, json=body, headers=self._headers | headers
                ) as answer:
                    if answer.status in (401, 403):
                        raise Revoked(f"{answer.status}: this gate's token is not let in")
                    if answer.status not in (200, 202):
                        raise Unreachable(f"{answer.status}")
                    said: dict[str, Any] = await answer.json()
                    return said
        except (TimeoutError, OSError, aiohttp.ClientError, ValueError) as error:
            raise Unreachable(repr(error)) from error
