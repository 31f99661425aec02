"""Workers as tasks of this process, without a gateway."""

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator, Callable

from contracts.runtime.settings import Settings
from db.redis.seat_locks import Seats
from workers.runtime import process
from workers.runtime.process import Worker
from workers.runtime.services import Services

Make = Callable[[Services], Worker]


@contextlib.asynccontextmanager
async def staff(
    settings: Settings, *names: str, seats: Seats | None = None, make: Make | None = None
) -> AsyncIterator[None]:
    """Run workers by name (`inventory`, `order-2` …) while the block runs; `make` replaces their own."""
    stop = asyncio.Event()
    tasks = []
    for name in names:
        process_name = name if "-" in name else f"{name}-1"
        mine = settings.model_copy(update={"process": process_name, "health_port": 0})
        made = make or _make(process_name.partition("-")[0])
        tasks.append(asyncio.create_task(process.run(mine, made, seats=seats, stop=stop)))
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)


def _make(kind: str) -> Make:
    make: Make = importlib.import_module(f"workers.{kind}.__main__").make
    return make
