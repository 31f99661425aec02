"""`scripts/bench purchase`: the whole way to a paid ticket: order, quote, confirmation.

In: how many clients, for how long. Out: one JSON object: purchases a second, CPU per purchase by process.
Must stay true: each purchase is an order of its own buyer, quoted and confirmed by that buyer with a hash of its own;
what was begun is finished before the load ends.
"""

import asyncio
from dataclasses import replace
from typing import Any

import click

from scripts.benching.auditing import audit_result
from scripts.benching.machine import heading
from scripts.benching.measuring import figures, measure
from scripts.benching.sale import make_shows
from scripts.benching.sale_options import QUOTA
from scripts.benching.system import System
from scripts.benching.users import make_users
from scripts.benching.wrk import WrkLoad, put_load

USERS = 2000
WARM_UP_SECONDS = 1.0
ORDER_ONLY = ("cpuMicrosPerOrder", "clientCpuMicrosPerOrder", "ordersPerSecond", "accepted")


async def purchase(system: System, *, clients: int, seconds: float) -> dict[str, Any]:
    """Run it. Raises click.ClickException when a step was refused."""
    about = {
        **await heading("purchase", system),
        "load": {"clients": clients, "seconds": seconds, "users": USERS},
    }
    users = await make_users(system, USERS)
    shows = await make_shows(system, 1, QUOTA)
    load = WrkLoad(
        system.gateway_url,
        clients,
        seconds,
        mode="purchase",
        tokens=[(user.id, user.token) for user in users],
        ticket_types=shows[0].ticket_types,
    )
    await asyncio.to_thread(put_load, replace(load, seconds=WARM_UP_SECONDS))
    measured = await measure(system, load)
    answers = measured.answers
    # Orders and quotes are 201, confirmations 200.
    bought = answers.counts.get("200", 0)
    if answers.counts.get("201", 0) != 2 * bought or answers.failed:
        raise click.ClickException(f"not every purchase was finished: {dict(answers.counts)}")
    told = {key: value for key, value in figures(measured).items() if key not in ORDER_ONLY}
    return (
        about
        | told
        | {
            "purchases": bought,
            "purchasesPerSecond": round(answers.per_second(bought), 1),
            "cpuMicrosPerPurchase": measured.cpu_micros_per(bought),
            "clientCpuMicrosPerPurchase": round(answers.client_seconds * 1e6 / max(bought, 1), 1),
            "audit": await audit_result(system),
        }
    )
