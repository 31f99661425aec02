"""The ends of attempts into the database: whatever has ended since the last time, in one transaction.

In: results. Out: rows, and a call back once a result is safely written.
Must stay true: a result is written before the next of its aggregate goes; while the database is away results wait.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from contracts.webhooks.messages import PING
from db.mysql.database import Database, Transaction, is_away
from db.webhooks.deliveries import (
    ERROR_LENGTH_MAX,
    Closing,
    DueDelivery,
    close,
)
from db.webhooks.endpoints import Health, note_health
from workers.notify.lanes import EndpointQueue
from workers.notify.schedule import DeliveryVerdict, ReceiverResponse

log = structlog.get_logger(__name__)

BATCH_MAX = 200
AWAY_SECONDS = 0.25
SUCCESS_NOTED_SECONDS = 30.0
"""How often the success of an endpoint that never fails is written down."""


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """An attempt that ended. `started_at` aware UTC; `duration` in seconds."""

    lane: EndpointQueue
    delivery: DueDelivery
    url: str
    """Where it went; by now the endpoint may have another."""
    answer: ReceiverResponse
    verdict: DeliveryVerdict
    started_at: datetime
    duration: float

    @property
    def closing(self) -> Closing:
        """What is written of it."""
        verdict = self.verdict
        status = (
            "DELIVERED"
            if verdict.delivered
            else "PENDING"
            if verdict.delay is not None
            else "FAILED"
        )
        error = verdict.error[:ERROR_LENGTH_MAX] if verdict.error else None
        return Closing(
            self.delivery,
            status,
            verdict.delay,
            self.started_at,
            round(self.duration * 1000),
            self.answer.status_code,
            error,
        )

    @property
    def is_ping(self) -> bool:
        """Whether the receiver was only asked whether it agrees."""
        return self.delivery.event_type == PING

    @property
    def exhausted(self) -> bool:
        """Whether three days of trying ended here."""
        return self.verdict.delay is None and not self.verdict.delivered and self.delivery.tries > 0


class Recorder:
    """Writes results down as they come."""

    def __init__(self, database: Database, written: Callable[[AttemptResult], None]) -> None:
        self._database, self._written = database, written
        self._results: deque[AttemptResult] = deque()
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def put(self, result: AttemptResult) -> None:
        """Take a result; it is written soon."""
        self._results.append(result)
        self._idle.clear()
        self._arrived.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._results:
                await self._write_some()
            self._idle.set()

    async def flush(self) -> None:
        """Wait until everything is written."""
        await self._idle.wait()

    async def _write_some(self) -> None:
        batch = [self._results[i] for i in range(min(BATCH_MAX, len(self._results)))]
        now = asyncio.get_running_loop().time()
        closings = [result.closing for result in batch]
        lanes = {result.lane.target.id: result.lane for result in batch}
        healths = [h for lane in lanes.values() if (h := _health(lane, batch, now)) is not None]

        async def work(transaction: Transaction) -> None:
            await close(transaction, closings)
            for health in sorted(healths, key=lambda h: h.endpoint_id):
                await note_health(transaction, health)

        try:
            await self._database.run(work)
        except Exception as error:
            if not is_away(error):
                raise
            log.warning("webhook results wait for the database", results=len(self._results))
            await asyncio.sleep(AWAY_SECONDS)
            return
        for result in batch:
            self._results.popleft()
            self._written(result)


def _health(lane: EndpointQueue, batch: list[AttemptResult], now: float) -> Health | None:
    """What to write of an endpoint, None when nothing worth it has changed."""
    own = [result for result in batch if result.lane is lane]
    succeeded = any(result.verdict.delivered for result in own)
    # What was under way when the receiver said 410 may still succeed: that revives nothing.
    revived = any(r.verdict.delivered and not r.delivery.ordered for r in own)
    agreed = next((r.url for r in own if r.verdict.delivered and r.is_ping), None)
    disable = _disable(lane, own)
    if succeeded:
        lane.succeeded_at = datetime.now(UTC)
    state = (lane.failures, lane.paused_until > now, lane.target.status == "ACTIVE")
    unchanged = state == lane.noted_state == (0, False, True)
    quiet = agreed is None and disable is None
    if unchanged and quiet and now - lane.noted_at < SUCCESS_NOTED_SECONDS:
        return None
    lane.noted_state, lane.noted_at = state, now
    pause = max(0.0, lane.paused_until - now)
    return Health(lane.target.id, lane.failures, pause, succeeded, revived, agreed, disable)


def _disable(lane: EndpointQueue, own: list[AttemptResult]) -> str | None:
    if any(result.verdict.gone for result in own):
        return "GONE"
    for result in own:
        began = result.delivery.first_try_at
        if not (result.exhausted and began):
            continue
        if lane.succeeded_at is None or lane.succeeded_at < began:
            return "FAILING"
    return None
