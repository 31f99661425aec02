"""The sender: pending deliveries out of the database, to their receivers, and how it went back into the database.

In: due rows of `webhook_deliveries`, for endpoints in our slots. Out: signed POSTs, closed or rescheduled rows.
Must stay true: each endpoint has a lane of its own, so that a dead or slow one costs no other anything; one order's
events arrive in order (see `turns`); what was not written down as delivered is sent again by somebody: at least once,
under the same `webhook-id`.
"""

import asyncio
import contextlib
import random
from datetime import UTC, datetime, timedelta

import structlog

from contracts.runtime.tasks import end
from contracts.webhooks.messages import PING
from contracts.webhooks.secrets import SecretSealer, UnreadableSecret
from db.mysql.database import Database, is_away, is_transient
from db.webhooks import deliveries, endpoints
from db.webhooks.deliveries import DueDelivery
from db.webhooks.delivery_log import SWEEP_ROWS, sweep
from workers.notify.lanes import EndpointQueue
from workers.notify.metrics import ATTEMPTS, LATENCY, ON_THE_WAY
from workers.notify.ownership import SLOTS, Slots
from workers.notify.recording import AttemptResult, Recorder
from workers.notify.schedule import Policy, ReceiverResponse, judge
from workers.notify.sending import Poster, signed_headers
from workers.notify.turns import plan

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.2
LANE_IDLE_SECONDS = 60.0
SWEEP_SECONDS = 60.0
STOP_SECONDS = 4.0
"""What attempts under way get to end by themselves when the process stops."""
HANDOVER_SECONDS = 0.25
"""The same when a slot goes to another worker: all slots one after the other stay under the lease."""


class Sender:
    """Sends what is due for the endpoints in this process's slots."""

    def __init__(
        self,
        database: Database,
        poster: Poster,
        sealer: SecretSealer,
        holder: tuple[str, str],
        policy: Policy | None = None,
    ) -> None:
        self._database, self._poster, self._sealer = database, poster, sealer
        self._policy = policy or Policy()
        self._slots = Slots(database, holder, self._slot_lost)
        self._recorder = Recorder(database, self._written)
        self._lanes: dict[int, EndpointQueue] = {}
        self._tasks: dict[asyncio.Task[None], EndpointQueue] = {}
        self._woken = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """There is something new in the database: look now, not at the next poll."""
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Send until stopped; then let attempts end, write them down, give the slots back."""
        released = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            slots = group.create_task(self._slots.run(released))
            recorder = group.create_task(self._recorder.run())
            sweeper = group.create_task(self._sweep())
            loader = group.create_task(self._load_forever())
            await stop.wait()
            self._stopping = True
            await end(loader, sweeper)
            await self._end_attempts(list(self._tasks), STOP_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await self._recorder.flush()
            await end(recorder)
            released.set()
            await slots

    # -- loading ---------------------------------------------------------------------------------

    async def _load_forever(self) -> None:
        while True:
            self._woken.clear()
            try:
                await self._load()
            except Exception as error:
                if not (is_away(error) or is_transient(error)):
                    raise
                log.warning("webhook deliveries not loaded", error=repr(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._woken.wait()

    async def _load(self) -> None:
        now = asyncio.get_running_loop().time()
        due = await deliveries.due_endpoints(self._database)
        ours = [endpoint_id for endpoint_id in due if self._slots.owns(endpoint_id)]
        for target in await endpoints.targets(self._database, ours):
            lane = self._lane(target, now)
            if target.status == "ACTIVE" or not self._slots.owns(target.id):
                await self._fill(lane)
            else:
                await self._fill_closed(lane)
        for lane in list(self._lanes.values()):
            self._pump(lane)
            if not lane.known and now - lane.used_at > LANE_IDLE_SECONDS:
                del self._lanes[lane.target.id]

    def _lane(self, target: endpoints.Target, now: float) -> EndpointQueue:
        lane = self._lanes.get(target.id)
        if lane is None:
            lane = self._lanes[target.id] = EndpointQueue(target, self._policy)
            lane.failures = target.failures
            lane.asked_until = lane.paused_until = now + target.pause
        lane.refresh(target, now)
        return lane

    async def _fill(self, lane: EndpointQueue) -> None:
        """Load what is due and whose turn it is; let the rest wait."""
        at, waiting = await deliveries.due(
            self._database, lane.target.id, sorted(lane.known), lane.room
        )
        if not lane.takes(asyncio.get_running_loop().time()):
            waiting = [one for one in waiting if not one.ordered]
        turns = plan(waiting, at, hold=self._policy.hold, known=lane.known)
        if turns.postponed:
            await deliveries.postpone(self._database, turns.postponed)
        loaded = await deliveries.load(self._database, turns.ready[: lane.room])
        lane.more = len(waiting) >= lane.room
        if self._slots.owns(lane.target.id):
            lane.load(loaded)

    async def _fill_closed(self, lane: EndpointQueue) -> None:
        """A disabled or deleted endpoint hears only what its owner asks for, and nothing once it is deleted."""
        lane.give_up_queue()
        _, waiting = await deliveries.due(
            self._database, lane.target.id, sorted(lane.known), SWEEP_ROWS
        )
        deleted = lane.target.status == "DELETED"
        asked_for = [one.id for one in waiting if not one.ordered and not deleted]
        dropped = [w.id for w in waiting if w.id not in asked_for and w.id not in lane.known]
        await deliveries.abandon(
            self._database, dropped, f"the endpoint is {lane.target.status.lower()}"
        )
        lane.load(await deliveries.load(self._database, asked_for))

    # -- sending ---------------------------------------------------------------------------------

    def _pump(self, lane: EndpointQueue) -> None:
        """Begin as many attempts as the lane allows."""
        if self._stopping or not self._slots.confirmed:
            return
        now = asyncio.get_running_loop().time()
        while len(self._tasks) < self._policy.attempts_max:
            delivery = lane.next(now)
            if delivery is None:
                return
            task = asyncio.create_task(self._send(lane, delivery))
            self._tasks[task] = lane
            ON_THE_WAY.set(len(self._tasks))
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        lane = self._tasks.pop(task)
        ON_THE_WAY.set(len(self._tasks))
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("webhook attempt broke", endpoint_id=lane.target.id, error=repr(error))
        self._pump(lane)

    async def _send(self, lane: EndpointQueue, delivery: DueDelivery) -> None:
        started, started_at = asyncio.get_running_loop().time(), datetime.now(UTC)
        try:
            answer = await self._attempt(lane, delivery, started_at)
        except BaseException:
            # Cancelled (or a defect): nobody knows how it ended; it is still pending, for whoever is next.
            lane.sending -= 1
            lane.written(delivery, delivered=False)
            raise
        ended = asyncio.get_running_loop().time()
        began = delivery.first_try_at or started_at
        verdict = judge(
            answer,
            delivery.tries + 1,
            max(timedelta(0), started_at - began).total_seconds(),
            self._policy,
            jitter=random.random(),  # noqa: S311 - spreads load, guards nothing
            once=delivery.event_type == PING,
        )
        lane.answered(delivered=verdict.delivered, started=started, now=ended, pause=verdict.pause)
        if verdict.gone:
            lane.give_up_queue()
        result = AttemptResult(lane, delivery, answer, verdict, started_at, ended - started)
        _report(result)
        self._recorder.put(result)

    async def _attempt(
        self, lane: EndpointQueue, delivery: DueDelivery, at: datetime
    ) -> ReceiverResponse:
        target = lane.target
        try:
            sealed = [target.secret, target.previous_secret]
            secrets = [self._sealer.open(s, target.user_id) for s in sealed if s is not None]
        except UnreadableSecret as error:
            log.error("webhook not signed", endpoint_id=target.id, error=str(error))
            return ReceiverResponse(None, "the signing secret cannot be read; rotate it")
        headers = signed_headers(secrets, delivery.event_id, at, delivery.body)
        return await self._poster.post(target.url, headers, delivery.body)

    def _written(self, result: AttemptResult) -> None:
        lane = result.lane
        lane.written(result.delivery, delivered=result.verdict.delivered)
        self._pump(lane)
        if lane.more and not lane.queue:
            lane.more = False
            self.wake()

    # -- letting go ------------------------------------------------------------------------------

    async def _slot_lost(self, slot: int) -> None:
        lanes = [lane for lane in self._lanes.values() if lane.target.id % SLOTS == slot]
        for lane in lanes:
            lane.give_up_queue()
        ours = [task for task, lane in self._tasks.items() if lane in lanes]
        await self._end_attempts(ours, HANDOVER_SECONDS)

    async def _end_attempts(self, tasks: "list[asyncio.Task[None]]", seconds: float) -> None:
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=seconds)
        await end(*late)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                more = self._slots.holds(0)
                while more:
                    more = await sweep(self._database) >= SWEEP_ROWS
            except Exception as error:
                if not (is_away(error) or is_transient(error)):
                    raise
                log.warning("old deliveries not swept", error=repr(error))


def _report(result: AttemptResult) -> None:
    delivery, verdict = result.delivery, result.verdict
    if verdict.delivered:
        ATTEMPTS.labels("delivered").inc()
        if delivery.tries == 0:
            LATENCY.observe(max(0.0, (datetime.now(UTC) - delivery.created_at).total_seconds()))
        return
    ATTEMPTS.labels("retried" if verdict.delay is not None else "given up").inc()
    log.info(
        "webhook not delivered",
        endpoint_id=delivery.endpoint_id,
        delivery_id=delivery.id,
        event_id=delivery.event_id,
        attempt=delivery.attempts + 1,
        status_code=result.answer.status_code,
        error=verdict.error,
        next_attempt_in=verdict.delay,
    )
