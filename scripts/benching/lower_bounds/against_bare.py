"""`scripts/bench http` and `scripts/bench door`: answers that need no worker, beside a handler that does nothing.

In: the running system. Out: JSON: rate and CPU per answer of the gateway and of a bare aiohttp handler that gives the
same bytes to the same requests, in the same run, and their ratios.
Must stay true: same client, same number of connections, one process each; a run in which anything but the expected
answer came back is an error, not a figure.
"""

import asyncio
import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import click

from scripts.benching.benches.sale import make_shows
from scripts.benching.loads.users import LoadUser, make_users
from scripts.benching.loads.wrk import Answers, WrkLoad, put_load
from scripts.benching.measurement.cpu import read_cpu
from scripts.benching.measurement.machine import heading
from scripts.benching.systems.children import serving
from scripts.benching.systems.system import System

WARM_UP_SECONDS = 1.0
OF_THE_CONNECTION = frozenset({"Content-Length", "Date", "Server", "Transfer-Encoding"})
"""Headers that the bare handler's own framework writes."""
USERS = 2000


async def http(system: System, *, clients: int, seconds: float) -> dict[str, Any]:
    """GET /api/events from the cache."""
    await make_shows(system, 20, 100)
    load = WrkLoad(system.gateway_url, clients, seconds, mode="get", path="/api/events")
    return await _compared(system, "http", load, "200", await _sample(system, "GET", load.path))


async def door(system: System, *, clients: int, seconds: float) -> dict[str, Any]:
    """POST /api/orders for a type that is sold out."""
    show = (await make_shows(system, 1, 1))[0]
    users = await make_users(system, USERS)
    load = WrkLoad(
        system.gateway_url,
        clients,
        seconds,
        tokens=[(user.id, user.token) for user in users],
        ticket_types=show.ticket_types,
    )
    order = {"items": [{"ticketTypeId": show.ticket_types[0], "quantity": 1}]}
    await _sample(system, "POST", load.path, order, users[0])
    sold_out = await _sample(system, "POST", load.path, order, users[1])
    return await _compared(system, "door", load, "409 SOLD_OUT", sold_out)


async def _sample(
    system: System, method: str, path: str, body: object = None, user: LoadUser | None = None
) -> dict[str, Any]:
    """One answer as the gateway gives it."""
    headers = {"Prefer": "wait=10"} | (
        {"Authorization": f"Bearer {user.token}"} if user is not None else {}
    )
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, system.gateway_url + path, json=body, headers=headers) as answer,
    ):
        kept = {k: v for k, v in answer.headers.items() if k not in OF_THE_CONNECTION}
        return {"status": answer.status, "headers": kept, "body": await answer.text()}


async def _compared(
    system: System, name: str, load: WrkLoad, expected: str, sample: Mapping[str, Any]
) -> dict[str, Any]:
    about = {
        **await heading(name, system),
        "load": {
            "clients": load.clients,
            "seconds": load.seconds,
            "answerBytes": len(sample["body"]),
        },
    }
    gateways = {n: pid for n, pid in system.pids().items() if n.startswith("gateway-")}
    ours = await _loaded(load, gateways, expected)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answer.json"
        path.write_text(json.dumps(sample))
        async with serving("scripts.benching.lower_bounds.bare", ["--answer", str(path)], {}) as (
            port,
            pids,
        ):
            bare = await _loaded(replace(load, url=f"http://127.0.0.1:{port}"), pids, expected)
    ratios = {
        "rate": round(ours["answersPerSecond"] / bare["answersPerSecond"], 3),
        "cpu": round(ours["cpuMicrosPerAnswer"] / bare["cpuMicrosPerAnswer"], 2),
    }
    return about | ours | {"bare": bare, "toBare": ratios}


async def _loaded(load: WrkLoad, pids: Mapping[str, int], expected: str) -> dict[str, Any]:
    await asyncio.to_thread(put_load, replace(load, seconds=WARM_UP_SECONDS))
    before = read_cpu(pids)
    answers = await asyncio.to_thread(put_load, load)
    cpu = sum(read_cpu(pids).since(before).values())
    _require_only(answers, expected)
    return {
        "answers": answers.answered,
        "answersPerSecond": round(answers.per_second(answers.answered), 1),
        "cpuMicrosPerAnswer": round(cpu * 1e6 / answers.answered, 1),
        "clientCpuMicrosPerAnswer": round(answers.client_seconds * 1e6 / answers.answered, 1),
        "p50Ms": round(answers.p50, 2),
        "p99Ms": round(answers.p99, 2),
    }


def _require_only(answers: Answers, expected: str) -> None:
    if set(answers.counts) != {expected} or answers.failed:
        raise click.ClickException(
            f"expected nothing but {expected}: {dict(answers.counts)}, {answers.failed} failed"
        )
