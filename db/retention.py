"""Forgetting: what nobody can ask for any more is deleted, oldest first, in small steps.

In: a database, how long outcomes are kept (EVENTHUB_OUTCOME_RETENTION, seconds). Out: fewer rows.
Must stay true: nothing younger than its time is deleted (by the database's clock), outcomes always the oldest first:
the audit relies on both; one step locks little and is over in milliseconds, so that no sale waits for it. The books
(orders, their lines and history, the ledger, payments, receipts, the catalogue, accounts) are never forgotten.

Deliveries of webhooks (`db.webhooks.delivery_log`) and what providers sent (`db.rates`) are forgotten by
notify and quote. docs/operations.md has the whole list.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from contracts.runtime.times import from_sql
from db import rates
from db.accounts import audit_log, refresh_tokens, sign_ins
from db.messages import dead_letters, leases, outcomes
from db.mysql.database import Database, is_away, is_transient
from db.webhooks import endpoints

log = structlog.get_logger(__name__)

STEP = 500
"""Rows per statement."""
REST_SECONDS = 60.0
BETWEEN_STEPS_SECONDS = 0.05
LETTERS_KEPT = timedelta(days=90)
"""After an operator has ended them; one that waits for a person waits for ever."""
ENDPOINTS_KEPT = timedelta(days=30)
"""After their owner deleted them."""
RATES_KEPT = timedelta(days=30)
"""After a source last said something of an asset."""
LEASES_KEPT = timedelta(days=1)
"""After they lapsed: of processes that never came back."""
TOKENS_KEPT = timedelta(days=1)
"""After they expired, and families with them."""

FAILURES_KEPT = timedelta(days=1)
"""After a network's last wrong password at an account that it never signed in to."""
NETWORKS_KEPT = timedelta(days=400)
"""After an account last signed in from there: who comes once a year is no stranger."""
AUDIT_ADDRESSES_KEPT = timedelta(days=90)
"""Of the audit log's entries, which stay."""


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """One kind of row to forget. step: deletes at most so many; how many went."""

    what: str
    step: Callable[[Database, int], Awaitable[int]]


def retention_rules(retention: int) -> tuple[RetentionRule, ...]:
    """All of them; `retention` in seconds, of outcomes."""
    return (
        RetentionRule("outcomes", lambda db, step: forget_outcomes(db, retention, step=step)),
        RetentionRule(
            "dead letters", lambda db, step: dead_letters.forget_ended(db, LETTERS_KEPT, step)
        ),
        RetentionRule(
            "endpoints", lambda db, step: endpoints.forget_deleted(db, ENDPOINTS_KEPT, step)
        ),
        RetentionRule("webhook secrets", endpoints.forget_old_secrets),
        RetentionRule("webhook pings", endpoints.forget_pings),
        RetentionRule("rates", lambda db, step: rates.forget_old(db, RATES_KEPT, step)),
        RetentionRule("leases", lambda db, step: leases.forget_lapsed(db, LEASES_KEPT, step)),
        RetentionRule(
            "tokens", lambda db, step: refresh_tokens.forget_tokens(db, TOKENS_KEPT, step)
        ),
        RetentionRule(
            "sign-ins", lambda db, step: refresh_tokens.forget_families(db, TOKENS_KEPT, step)
        ),
        RetentionRule(
            "failed sign-ins", lambda db, step: sign_ins.forget_failures(db, FAILURES_KEPT, step)
        ),
        RetentionRule(
            "networks", lambda db, step: sign_ins.forget_networks(db, NETWORKS_KEPT, step)
        ),
        RetentionRule(
            "audit log addresses",
            lambda db, step: audit_log.forget_addresses(db, AUDIT_ADDRESSES_KEPT, step),
        ),
    )


async def forget_outcomes(database: Database, retention: int, *, step: int = STEP) -> int:
    """Delete at most `step` outcomes that are older than `retention` seconds; how many went."""
    [[now]] = await database.read("SELECT UTC_TIMESTAMP(6)")
    return await outcomes.forget_before(
        database, from_sql(now) - timedelta(seconds=retention), step
    )


async def keep_forgetting(database: Database, retention: int, stop: asyncio.Event) -> None:
    """A background job: forget what is over, once a minute, until `stop` is set. Several may do it at once."""
    todo = retention_rules(retention)
    while not stop.is_set():
        more = await forget_once(database, todo)
        try:
            async with asyncio.timeout(BETWEEN_STEPS_SECONDS if more else REST_SECONDS):
                await stop.wait()
        except TimeoutError:
            continue


async def forget_once(database: Database, todo: Sequence[RetentionRule]) -> bool:
    """One step of each rule; whether one of them has more to do. A rule that fails keeps no other from its step."""
    counts = [await _try_step(database, rule) for rule in todo]
    return STEP in counts


async def _try_step(database: Database, rule: RetentionRule) -> int:
    try:
        gone = await rule.step(database, STEP)
    except Exception as error:
        if not (is_away(error) or is_transient(error)):
            raise
        log.warning("not forgotten, trying again", what=rule.what, error=repr(error))
        return 0
    if gone:
        log.info("forgotten", what=rule.what, count=gone)
    return gone
