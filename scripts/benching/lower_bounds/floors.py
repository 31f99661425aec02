"""`scripts/bench floors`: a budget per order, from what each of its parts costs at its barest on this machine.

In: the size of a batch of commands and of events. Out: microseconds of CPU per order for each part, their sum, and the
floors of a lone order's time. The parts: HTTP request and answer, token, validation; command published, confirmed,
consumed, acknowledged; seat lock, transaction, push; event relayed the same way and consumed by one listener.
Must stay true: measured in one run with whatever is compared to it; a part that is left out makes the budget smaller.
"""

import asyncio
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.benching.baselines.baseline import BaselineOrder
from scripts.benching.baselines.baseline_tables import baseline_tables
from scripts.benching.loads.users import make_users
from scripts.benching.loads.wrk import WrkLoad, put_load
from scripts.benching.lower_bounds.floor_parts import (
    FloorPart,
    broker_parts,
    database_parts,
    meter,
    redis_parts,
    token_checks,
    validation,
)
from scripts.benching.lower_bounds.samples import Samples, samples
from scripts.benching.measurement.cpu import read_cpu
from scripts.benching.measurement.machine import heading
from scripts.benching.systems.children import serving
from scripts.benching.systems.system import System

TOKENS = 2000
ROUNDS = 300
LONE_ROUNDS = 200
HTTP_SECONDS = 3.0
PROCESS_OF = {
    "http": "gateway",
    "tokenFirst": "gateway",
    "tokenAgain": "gateway",
    "validation": "gateway",
    "commandPublishConfirm": "gateway",
    "pushRead": "gateway",
    "commandConsumeAck": "inventory",
    "seatLock": "inventory",
    "transaction": "inventory",
    "push": "inventory",
    "outboxEmptied": "relay",
    "eventPublishConfirm": "relay",
    "eventConsumeAck": "notify",
}
"""Whose Python each part is."""


@dataclass(frozen=True, slots=True)
class FloorOptions:
    """commands, events: in one message; fresh_tokens: share of orders whose token was not seen before."""

    commands: float = 32
    events: float = 64
    fresh_tokens: float = 0.25
    clients: int = 128


async def floors(system: System, options: FloorOptions) -> dict[str, Any]:
    """Measure all parts; a JSON object of its own."""
    return {
        **await heading("floors", system),
    } | await floor_figures(system, options)


async def floor_figures(system: System, options: FloorOptions) -> dict[str, Any]:
    """The figures alone: parts, their sum by process, a lone order's floors."""
    data, gauge = samples(), meter(system)
    commands, events = (max(1, round(size)) for size in (options.commands, options.events))
    await gauge.settle()
    parts = {"http": await http_part(system, data, options.clients)}
    parts |= await token_checks(system, await make_users(system, TOKENS))
    parts["validation"] = await validation(BaselineOrder)
    named = await broker_parts(system, gauge, data.command, commands, ROUNDS)
    parts |= {f"command{name[0].upper()}{name[1:]}": part for name, part in named.items()}
    named = await broker_parts(system, gauge, data.event, events, ROUNDS)
    parts |= {f"event{name[0].upper()}{name[1:]}": part for name, part in named.items()}
    parts |= await redis_parts(system, gauge, data, commands, ROUNDS)
    async with baseline_tables(system.mysql_url, events=1, quota=10_000_000) as tables:
        parts |= await database_parts(tables.url, gauge, data, commands, ROUNDS)
    shares = {"tokenFirst": options.fresh_tokens, "tokenAgain": 1 - options.fresh_tokens}
    return {
        "batches": {"commands": commands, "events": events},
        "floorMicrosPerOrder": {name: part.cpu for name, part in parts.items()},
        "sum": _sum(parts, shares),
        "lone": await lone_floors(system, data),
    }


def _sum(parts: dict[str, FloorPart], shares: dict[str, float]) -> dict[str, float]:
    """Microseconds per order of each kind of process and server, and of all."""
    total: dict[str, float] = {}
    for name, part in parts.items():
        for where, micros in part.cpu.items():
            process = PROCESS_OF[name] if where == "python" else where
            total[process] = total.get(process, 0.0) + micros * shares.get(name, 1.0)
    rounded = {process: round(micros, 1) for process, micros in total.items()}
    return rounded | {"total": round(sum(total.values()), 1)}


async def http_part(system: System, data: Samples, clients: int) -> FloorPart:
    """A bare handler that answers an accepted order's bytes to an order's request."""
    users = [(user.id, user.token) for user in await make_users(system, 1)]
    answer = {"status": 201, "headers": data.answer_headers, "body": data.answer_body.decode()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answer.json"
        path.write_text(json.dumps(answer))
        async with serving("scripts.benching.lower_bounds.bare", ["--answer", str(path)], {}) as (
            port,
            pids,
        ):
            load = WrkLoad(
                f"http://127.0.0.1:{port}", clients, HTTP_SECONDS, tokens=users, ticket_types=[1]
            )
            await asyncio.to_thread(put_load, load)
            before = read_cpu(pids)
            answers = await asyncio.to_thread(put_load, load)
            used = sum(read_cpu(pids).since(before).values())
    return FloorPart({"python": round(used * 1e6 / answers.answered, 2)}, answers.p50)


async def lone_floors(system: System, data: Samples) -> dict[str, float]:
    """What a single order on an idle system has to wait for, in ms (medians): confirm, commit, push."""
    gauge = meter(system)
    broker = await broker_parts(system, gauge, data.command, 1, LONE_ROUNDS)
    redis = await redis_parts(system, gauge, data, 1, LONE_ROUNDS)
    async with baseline_tables(system.mysql_url, events=1, quota=10_000_000) as tables:
        commits = await database_parts(tables.url, gauge, data, 1, LONE_ROUNDS)
    told = {
        "publishConfirmMs": broker["publishConfirm"].p50_ms,
        "commitMs": commits["transaction"].p50_ms,
        "pushMs": round(redis["push"].p50_ms + redis["pushRead"].p50_ms, 3),
    }
    return told | {"sumMs": round(sum(told.values()), 3)}
