"""PublishRate and AcceptRate: rates that come by HTTP.

In: commands in the order they came. Out: a decision each; RateUpdated or RateQuarantined.
Must stay true: a report by HTTP is judged like one by the queue and counts as the same source; an accepted
report is used only if it is a rate and later than what its source said since; the registry forgets its copy
before the commit.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from contracts.commands import AcceptRate, PublishRate
from contracts.problems import Code, Problem
from contracts.rates import ACCEPTABLE, PROVIDER_PREFIX, Rate, rate_resource
from db import rates
from db.accounts import providers
from db.messages.outbox import NewEvent
from db.rates import QuarantineRow
from db.redis.quote_registry import QuoteRegistry
from workers.quote.judging import Faulty, RateReport, read
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
        if not allowed:
            return [_NOT_A_PROVIDER] * len(commands)
        users = (one.message.principal.user_id for one in allowed)
        names = await providers.names_of(context.transaction, users)
        reports = [_report(one, names) for one in allowed]
        taken = await take(context.transaction, reports, context.now, context.settings)
        if taken.good:
            await registry.changing()
        count(taken)
        pairs = zip(taken.results, taken.events, strict=True)
        decisions = iter([_decision(context, result, event) for result, event in pairs])
        return [next(decisions) if one in allowed else _NOT_A_PROVIDER for one in commands]

    return decide


def _report(one: Received[PublishRate], names: dict[int, str]) -> RateReport:
    command = one.message
    user_id = command.principal.user_id
    # An account may have the role without a name on the broker: an admin gave it.
    source = PROVIDER_PREFIX + names.get(user_id, f"account-{user_id}")
    return RateReport(source, command.asset, command.currency, command.rate, command.observed_at)


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
    provider = await providers.find(context.transaction, rate.source.removeprefix(PROVIDER_PREFIX))
    if provider is not None and not provider.active:
        return rejected(_refusal("Its provider was removed.", row))
    known = await rates.of_pairs(context.transaction, [rate.pair])
    own = next((one for one in known[rate.pair] if one.source == rate.source), None)
    if own is not None and own.observed_at >= rate.observed_at:
        return rejected(_refusal("Its source has reported a later rate since.", row))
    await rates.store(context.transaction, [(rate, own.observed_at if own else None)])
    await rates.mark_accepted(context.transaction, row.id, admin.user_id, context.now)
    await registry.changing()
    event = updated(rate, context.now, context.settings)
    return succeeded(200, resource, events=(event,))


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
