"""The baseline: the synchronous order flow that a reader of the specification would build first, built decently.

    HTTP request -> seat lock in Redis -> one transaction (version check, order, details, outbox) -> commit -> unlock

In: `POST /api/orders` as EventHub takes it. Out: 201 with the order, or a refusal in EventHub's shape.
Two kinds: `literal` answers 429 when the seat is locked (the client tries again); `patient` waits for it up to 5 s.
Must stay true: same driver, token check, validation and serialisation as EventHub's, uvloop, warm pools, one
transaction per order with the same rows; whatever it leaves out against EventHub (foreign keys, idempotency, outcomes,
ledger, logs) spares it work. A comparison that is won against a straw man says nothing.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Annotated, Any

import click
import orjson
import uvloop
from aiohttp import web
from pydantic import Field
from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from contracts.messaging.envelope import Codec, Envelope, new_event_id
from contracts.models import Id, Quantity
from contracts.problems import CONTENT_TYPE, Code, Problem
from contracts.resources import OrderDetailRow, OrderRow, order_resource
from contracts.runtime.times import to_sql
from db.messages.outbox import stream_of
from db.mysql.database import Database, Transaction, VersionConflict
from gateway.accounts.tokens import BadToken, Tokens, parse_keys
from gateway.http.models import Body
from gateway.http.parsing import parse_body
from gateway.http.problems import Refusal
from scripts.benching.lower_bounds.bare import serve

LEASE_MS = 5000
PATIENCE_SECONDS = 5.0
POLL_SECONDS = 0.001
"""Between two tries of the one request per process and seat that stands first in line."""
POOL = 16
CONNECTIONS_MAX = 4096
_UNLOCK = (
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
)


class BaselineItem(Body):
    """One item of an order."""

    ticket_type_id: Id
    quantity: Quantity


class BaselineOrder(Body):
    """What EventHub takes as well."""

    items: Annotated[tuple[BaselineItem, ...], Field(min_length=1, max_length=1, strict=False)]


@dataclass(frozen=True, slots=True)
class BaselineService:
    """The handler with what it needs."""

    database: Database
    redis: "Redis"
    unlock: AsyncScript
    tokens: Tokens
    codec: Codec
    patient: bool
    lines: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def place(self, request: web.Request) -> web.Response:
        """POST /api/orders."""
        try:
            user_id = self._caller(request)
            item = (await parse_body(request, BaselineOrder)).items[0]
            order = await self._locked(user_id, item)
        except Refusal as refusal:
            return _refused(refusal.problem)
        return web.Response(
            body=orjson.dumps(order),
            status=201,
            content_type="application/json",
            headers={"Location": f"/api/orders/{order['id']}"},
        )

    def _caller(self, request: web.Request) -> int:
        try:
            header = request.headers.get("Authorization", "")
            return self.tokens.verify(header.removeprefix("Bearer ")).principal.user_id
        except BadToken:
            raise Refusal(Problem(Code.UNAUTHENTICATED, "Sign in.")) from None

    async def _locked(self, user_id: int, item: BaselineItem) -> dict[str, Any]:
        seat = f"baseline:seat:{item.ticket_type_id}"
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        # Waiting in line inside the process first: hundreds of requests that poll Redis would cost more than they wait.
        async with self.lines.setdefault(seat, asyncio.Lock()) if self.patient else nullcontext():
            token = secrets.token_hex(8)
            if not await self._lock(seat, token, deadline):
                raise Refusal(Problem(Code.SEAT_LOCKED, "Somebody is buying there.", retry_after=1))
            try:
                async with self.database.transaction() as transaction:
                    return await self._reserve(transaction, user_id, item)
            except VersionConflict:
                raise Refusal(Problem(Code.VERSION_CONFLICT, "Somebody was faster.")) from None
            finally:
                await self.unlock(keys=[seat], args=[token])

    async def _lock(self, seat: str, token: str, deadline: float) -> bool:
        while not await self.redis.set(seat, token, nx=True, px=LEASE_MS):
            if not self.patient or asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True

    async def _reserve(
        self, transaction: Transaction, user_id: int, item: BaselineItem
    ) -> dict[str, Any]:
        rows = await transaction.fetch(
            "SELECT event_id, price, currency, available, max_per_order, version FROM ticket_types "
            "WHERE id = %s",
            item.ticket_type_id,
        )
        if not rows:
            raise Refusal(Problem(Code.NOT_FOUND, "There is no such ticket type."))
        event_id, price, currency, available, most, version = rows[0]
        if item.quantity > most:
            raise Refusal(Problem(Code.LIMIT_EXCEEDED, f"At most {most} per order."))
        if available < item.quantity:
            raise Refusal(Problem(Code.SOLD_OUT, "Sold out.", {"available": available}))
        changed = await transaction.execute(
            "UPDATE ticket_types SET available = available - %s, version = version + 1 "
            "WHERE id = %s AND version = %s AND available >= %s",
            item.quantity,
            item.ticket_type_id,
            version,
            item.quantity,
        )
        if changed != 1:
            raise VersionConflict
        line = OrderDetailRow(item.ticket_type_id, item.quantity, price)
        return await self._write(transaction, (user_id, event_id, currency, version + 1), line)

    async def _write(
        self, transaction: Transaction, head: tuple[int, int, str, int], line: OrderDetailRow
    ) -> dict[str, Any]:
        user_id, event_id, currency, version = head
        now, command = datetime.now(UTC), secrets.token_bytes(16)
        at, expires = to_sql(now), now + timedelta(minutes=15)
        cost: Decimal = line.unit_price * line.quantity
        order_id = await transaction.insert(
            "orders",
            (
                "user_id",
                "event_id",
                "total_cost",
                "currency",
                "expires_at",
                "command_id",
                "created_at",
                "updated_at",
            ),
            [(user_id, event_id, cost, currency, to_sql(expires), command, at, at)],
        )
        await transaction.insert(
            "order_details",
            ("order_id", "ticket_type_id", "quantity", "unit_price", "cost", "taken_version", "command_id",
             "created_at", "updated_at"),
            [(order_id, line.ticket_type_id, line.quantity, line.unit_price, cost, version, command, at, at)],
        )  # fmt: skip
        row = OrderRow(
            order_id, user_id, event_id, "PENDING_PAYMENT", cost, currency, expires, 1, now, now
        )
        order = order_resource(row, [line])
        aggregate = f"order:{order_id}"
        event = Envelope(
            new_event_id(), "eventhub.order.placed.v1", "/baseline", now, order, aggregate
        )
        await transaction.insert(
            "outbox",
            ("stream", "aggregate", "routing_key", "body", "created_at"),
            [
                (
                    stream_of(aggregate),
                    aggregate,
                    "order.placed",
                    self.codec.encode(event).decode(),
                    at,
                )
            ],
        )
        return order


SERVICE = web.AppKey("baseline", BaselineService)


def _refused(problem: Problem) -> web.Response:
    headers = {"Retry-After": str(problem.retry_after)} if problem.retry_after else {}
    return web.Response(
        body=orjson.dumps(problem.to_json(None)),
        status=problem.status,
        content_type=CONTENT_TYPE,
        headers=headers,
    )


async def open_service(app: web.Application, *, patient: bool) -> AsyncIterator[None]:
    """Connections from start to end. Reads MYSQL_URL, REDIS_URL, EVENTHUB_JWT_KEYS."""
    database = await Database.connect(os.environ["MYSQL_URL"], size=POOL)
    redis = Redis.from_url(os.environ["REDIS_URL"], max_connections=CONNECTIONS_MAX)
    tokens = Tokens(parse_keys(os.environ["EVENTHUB_JWT_KEYS"]), 3600)
    codec, unlock = Codec(secrets.token_hex(32)), redis.register_script(_UNLOCK)
    app[SERVICE] = BaselineService(database, redis, unlock, tokens, codec, patient)
    yield
    await redis.aclose()
    await database.close()


async def place(request: web.Request) -> web.Response:
    """POST /api/orders."""
    return await request.app[SERVICE].place(request)


def build(*, patient: bool) -> web.Application:
    app = web.Application()
    app.cleanup_ctx.append(partial(open_service, patient=patient))
    app.router.add_post("/api/orders", place)
    return app


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--patient", is_flag=True)
def main(port: int, patient: bool) -> None:
    """Run one process of the baseline."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(port, build(patient=patient)))


if __name__ == "__main__":
    main()
