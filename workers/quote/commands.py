"""PublishRate and AcceptRate: rates that come by HTTP.

In: commands in the order they came. Out: a decision each; RateUpdated or RateQuarantined.
Must stay true: a report by HTTP is judged like one by the queue and counts as the same source; the account must be
a provider's at this moment, whatever the token says; an accepted report is used only if it is a rate and later than
what its source said since, and what the pair's prices were binds nobody from then on; the registry forgets its copy
before the commit.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from contracts.commands import AcceptRate, PublishRate
from contracts.problems import Code, Problem
from contracts.rates import ACCEPTABLE, PAIRS_MAX, Rate, rate_resource
from contracts.runtime.times import to_wire
from db import rates
from db.accounts import audit_log, provider_reports, providers
from db.accounts.audit_log import AuditAction, AuditOrigin
from db.accounts.providers import Reporter
from db.messages.outbox import NewEvent
from db.rates import QuarantineRow
from db.redis.quote_registry import QuoteRegistry
from workers.quote.judging import NO_GRANT, Faulty, Grant, RateReport, read, too_many
from workers.quote.market import Market
from workers.quote.providers import count
from workers.quote.reports import Quarantined, take, updated
from workers.runtime.handlers import (
    Context,
    Decision,
    Received,
    not_found,
    rejected,
    succeeded,
)
from workers.runtime.services import Services

_NOT_A_PROVIDER = rejected(
    Problem(Code.FORBIDDEN, "Rates are reported by accounts with the role PROVIDER.")
)
_NOT_AN_ADMIN = rejected(Problem(Code.FORBIDDEN, "Rates are accepted by admins."))


def publish_rates(
    services: Services,
) -> Callable[[Context, Sequence[Received[PublishRate]]], Awaitable[list[Decision]]]:
    """The handler of PublishRate."""
    registry = QuoteRegistry(services.redis, services.database)

    async def decide(context: Context, commands: Sequence[Received[PublishRate]]) -> list[Decision]:
        allowed = [one for one in commands if one.message.principal.has(("PROVIDER",))]
        users = {one.message.principal.user_id for one in allowed}
        # The token may be older than a change of roles: the account itself decides.
        able = await providers.reporters(context.transaction, user_ids=users)
        by_user = {one.user_id: one for one in able}
        allowed = [one for one in allowed if one.message.principal.user_id in by_user]
        if not allowed:
            return [_NOT_A_PROVIDER] * len(commands)
        reports = [_report(one, by_user[one.message.principal.user_id]) for one in allowed]
        taken = await take(
            context.transaction,
            reports,
            context.now,
            context.settings,
            via="HTTP",
            reporters=able,
        )
        if taken.good:
            await registry.changing()
        count(taken)
        pairs = zip(taken.results, taken.events, strict=True)
        decisions = iter([_decision(context, result, event) for result, event in pairs])
        return [next(decisions) if one in allowed else _NOT_A_PROVIDER for one in commands]

    return decide


def _report(one: Received[PublishRate], reporter: Reporter) -> RateReport:
    said = one.message
    return RateReport(reporter.source, said.asset, said.currency, said.rate, said.observed_at)


def accept_rates(
    services: Services,
) -> Callable[[Context, Sequence[Received[AcceptRate]]], Awaitable[list[Decision]]]:
    """The handler of AcceptRate."""
    registry = QuoteRegistry(services.redis, services.database)

    async def decide(context: Context, commands: Sequence[Received[AcceptRate]]) -> list[Decision]:
        return [await _accept(context, one, registry) for one in commands]

    return decide


async def _accept(context: Context, one: Received[AcceptRate], registry: QuoteRegistry) -> Decision:
    admin = one.message.principal
    if not admin.has(("ADMIN",)):
        return _NOT_AN_ADMIN
    row = await rates.quarantined(context.transaction, one.message.quarantine_id)
    if row is None:
        return not_found("quarantined rate")
    rate = _rate_of(row, context)
    if isinstance(rate, Problem):
        return rejected(rate)
    resource = rate_resource(rate, context.now, context.settings.rate_fresh)
    if row.accepted_by is not None:
        return succeeded(200, resource)
    refusal, own = await _place(context, rate)
    if refusal:
        return rejected(_refusal(refusal, row))
    accepted = Market().accepting(rate, context.now).of(rate.source)
    assert accepted is not None, "a market holds the rate that was accepted"
    await rates.store(context.transaction, [(accepted, own.observed_at if own else None)])
    await rates.forget_spans_of(context.transaction, rate.pair)
    await rates.mark_accepted(context.transaction, row.id, admin.user_id, context.now)
    await provider_reports.accepted(context.transaction, row.id)
    await audit_log.record(
        context.transaction,
        AuditOrigin(admin.user_id, one.envelope.correlationid),
        AuditAction.RATE_ACCEPTED,
        f"quarantine:{row.id}",
        before=_logged(own) if own else None,
        after=_logged(rate),
    )
    await registry.changing()
    event = updated(rate, context.now, context.settings)
    return succeeded(200, resource, events=(event,))


def _logged(rate: Rate) -> dict[str, str]:
    return {
        "asset": rate.asset,
        "currency": rate.currency,
        "source": rate.source,
        "rate": str(rate.rate),
        "observedAt": to_wire(rate.observed_at),
    }


async def _place(context: Context, rate: Rate) -> tuple[str | None, Rate | None]:
    """Why a rate cannot take its source's place, if it cannot; the rate that it replaces, if there is one."""
    transaction, grant = context.transaction, NO_GRANT
    if rate.from_provider:
        if await providers.reporter_of(transaction, rate.source) is None:
            return "Its provider was removed, or may report no longer.", None
        pairs = await rates.pairs_of(transaction, [rate.source])
        grant = Grant(pairs=pairs[rate.source])
    known = await rates.of_pairs(transaction, [rate.pair])
    market = Market(tuple(known[rate.pair]))
    own = market.of(rate.source)
    if own is not None and own.observed_at >= rate.observed_at:
        return "Its source has reported a later rate since.", None
    if rate.from_provider and too_many(rate, market, grant):
        return f"Its provider has rates of {PAIRS_MAX} pairs.", None
    return None, own


def _rate_of(row: QuarantineRow, context: Context) -> Rate | Problem:
    """The rate in a quarantined report, if it is one. From the future: as of the moment it came."""
    put = row.report
    if put.reason not in ACCEPTABLE:
        return _refusal(f"What was put aside as {put.reason} is no rate to use.", row)
    report = RateReport(put.source, put.asset, put.currency, put.rate, put.observed_at)
    rate = read(report, context.now)
    if isinstance(rate, Faulty):
        return _refusal(rate.detail, row)
    rate = replace(rate, observed_at=min(rate.observed_at, row.received_at))
    if row.accepted_by is None and not rate.younger_than(
        context.settings.rate_max_age, context.now
    ):
        return _refusal("It is too old by now to be quoted.", row)
    return rate


def _decision(context: Context, result: Rate | Quarantined, event: NewEvent) -> Decision:
    if isinstance(result, Rate):
        resource = rate_resource(result, context.now, context.settings.rate_fresh)
        return succeeded(200, resource, events=(event,))
    extra = {"reason": str(result.faulty.reason), "quarantineId": result.id}
    problem = Problem(Code.RATE_QUARANTINED, f"Put aside: {result.faulty.detail}.", extra)
    return rejected(problem, events=(event,))


def _refusal(detail: str, row: QuarantineRow) -> Problem:
    extra = {"reason": str(row.report.reason), "quarantineId": row.id}
    return Problem(Code.RATE_QUARANTINED, detail, extra)
