"""Rates over HTTP: show (reads), report and accept (commands), the quarantine.

In: what a provider saw; a quarantined report's id. Out: rates, or why not.
Must stay true: a rate is shown from the registry's copy (60 s at most, and never an older one than a command
has just set); which of several sources is shown is the rule that quotes use.
"""

import re
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field, StringConstraints

from contracts.commands import AcceptRate, Command, PublishRate
from contracts.models import Asset, Currency, MomentText, Principal
from contracts.problems import Code
from contracts.rates import Rate, RateLimits, RateResource, choose, rate_resource
from contracts.resources import IdNumber, MomentJson
from contracts.runtime.times import to_wire
from contracts.shapes import Answer
from db import rates
from db.accounts import provider_reports, providers
from db.accounts.provider_reports import ReportRow
from db.rates import QuarantineRow
from db.redis.quote_registry import QuoteRegistry
from gateway.http.keys import (
    CLOCK,
    DATABASE,
    SETTINGS,
    body,
    path_id,
    principal,
    query,
)
from gateway.http.models import Body, Limit, PageQuery, Query
from gateway.http.paging import Page, from_cursor, page
from gateway.http.problems import not_found
from gateway.http.replies import json_reply
from gateway.http.routing import (
    ADMIN,
    ANYONE,
    PROVIDER,
    Route,
    RouteAnswer,
)
from gateway.submission.submit import Call, submit

REGISTRY = web.AppKey("registry", QuoteRegistry)
ASSET = re.compile("[A-Z0-9]{2,16}")
CACHING = {"Cache-Control": "public, max-age=5"}
ACCEPT_SECONDS = 10
"""Accepting is answered at once: so long the call waits for the worker, unless its client says otherwise."""


RateText = Annotated[
    str, StringConstraints(pattern=r"^-?[0-9]{1,30}(\.[0-9]{1,30})?$"), Field(examples=["64000.50"])
]
RATES_LIMIT_DEFAULT = 100


class PublishRateBody(Body):
    """What one unit of an asset costs in a currency, and when that was seen."""

    asset: Annotated[Asset, Field(examples=["BTC"])]
    currency: Annotated[Currency, Field(examples=["USD"])]
    rate: RateText
    observed_at: MomentText


class RatesQuery(PageQuery):
    """`?limit=&cursor=`; a page holds the usual pairs at once."""

    limit: Limit = RATES_LIMIT_DEFAULT


class RateQuery(Query):
    """`?currency=`."""

    currency: Currency = "USD"


class QuarantineQuery(PageQuery):
    """`?status=&limit=&cursor=`."""

    status: Literal["QUARANTINED", "ACCEPTED"] | None = None


class ReportsQuery(PageQuery):
    """`?status=&limit=&cursor=`."""

    status: Literal["ACCEPTED", "QUARANTINED", "UNREADABLE"] | None = None


class RatePage(Page):
    """Rates by asset and currency."""

    data: list[RateResource]


class QuarantinedRate(Answer):
    """A report that was put aside, its fields as they came."""

    id: IdNumber
    source: str
    asset: str
    currency: str
    rate: str
    observed_at: str
    reason: str
    detail: str
    status: Literal["QUARANTINED", "ACCEPTED"]
    accepted_by: IdNumber | None
    received_at: MomentJson
    updated_at: MomentJson


class QuarantinePage(Page):
    """Reports that were put aside, the newest first."""

    data: list[QuarantinedRate]


class ProviderReport(Answer):
    """A report of the caller's own, its fields as they came (cut where they were too long)."""

    id: IdNumber
    via: Literal["HTTP", "BROKER"]
    status: Literal["ACCEPTED", "QUARANTINED", "UNREADABLE"]
    asset: str
    currency: str
    rate: str
    observed_at: str
    reason: str | None
    detail: str | None
    message_id: str | None
    quarantine_id: IdNumber | None
    received_at: MomentJson


class ReportPage(Page):
    """The caller's own reports, the newest first."""

    data: list[ProviderReport]


async def list_rates(request: web.Request) -> web.Response:
    """GET /api/market/rates."""
    wanted = query(request, RatesQuery)
    after = from_cursor(wanted.cursor, str, str) if wanted.cursor else ("", "")
    chosen = [rate for rate in await _chosen(request) if rate.pair > after]
    rows = sorted(chosen, key=lambda rate: rate.pair)[: wanted.limit + 1]
    return json_reply(
        page(rows, wanted.limit, lambda rate: rate.pair, lambda rate: _shown(request, rate)),
        headers=CACHING,
    )


async def show_rate(request: web.Request) -> web.Response:
    """GET /api/market/rates/{asset}."""
    pair = request.match_info["asset"], query(request, RateQuery).currency
    # Anything may stand in a path, also what the table's columns cannot be compared with.
    known = await request.app[REGISTRY].of_pair(pair) if ASSET.fullmatch(pair[0]) else []
    chosen = _believed(request, known)
    if chosen is None:
        raise not_found("There is no rate of that asset in that currency.")
    return json_reply(_shown(request, chosen), headers=CACHING)


async def _chosen(request: web.Request) -> list[Rate]:
    """The believed rate of every pair."""
    by_pair: dict[tuple[str, str], list[Rate]] = {}
    for rate in await request.app[REGISTRY].rates():
        by_pair.setdefault(rate.pair, []).append(rate)
    found = (_believed(request, known) for known in by_pair.values())
    return [rate for rate in found if rate is not None]


def _believed(request: web.Request, known: list[Rate]) -> Rate | None:
    """Which of the sources of one pair quotes would use now."""
    return choose(known, request.app[CLOCK].now(), RateLimits.of(request.app[SETTINGS]))


def _shown(request: web.Request, rate: Rate) -> dict[str, Any]:
    return rate_resource(rate, request.app[CLOCK].now(), request.app[SETTINGS].rate_fresh)


async def publish_rate(request: web.Request) -> web.Response:
    """POST /api/provider/rates."""
    wanted = body(request, PublishRateBody)

    async def prepare(caller: Principal, fingerprint: str) -> Command:
        return PublishRate(
            principal=caller,
            fingerprint=fingerprint,
            asset=wanted.asset,
            currency=wanted.currency,
            rate=wanted.rate,
            observed_at=wanted.observed_at,
        )

    return await submit(request, Call(PublishRate, wanted.model_dump(by_alias=True), prepare))


async def list_reports(request: web.Request) -> web.Response:
    """GET /api/provider/reports."""
    wanted = query(request, ReportsQuery)
    below = from_cursor(wanted.cursor, int)[0] if wanted.cursor else None
    database = request.app[DATABASE]
    rows = await provider_reports.listed(
        database,
        await providers.sources_of(database, principal(request).user_id),
        status=wanted.status,
        below=None if below is None else int(below),
        limit=wanted.limit + 1,
    )
    return json_reply(page(rows, wanted.limit, lambda row: (row.id,), report_resource))


def report_resource(row: ReportRow) -> dict[str, Any]:
    """What became of a report, as its provider sees it."""
    said = row.report
    return {
        "id": row.id,
        "via": said.via,
        "status": str(said.status),
        "asset": said.asset,
        "currency": said.currency,
        "rate": said.rate,
        "observedAt": said.observed_at,
        "reason": said.reason and str(said.reason),
        "detail": said.detail,
        "messageId": said.message_id,
        "quarantineId": said.quarantine_id,
        "receivedAt": to_wire(row.received_at),
    }


async def list_quarantine(request: web.Request) -> web.Response:
    """GET /api/admin/rates/quarantine."""
    wanted = query(request, QuarantineQuery)
    below = from_cursor(wanted.cursor, int)[0] if wanted.cursor else None
    rows = await rates.quarantine_page(
        request.app[DATABASE],
        status=wanted.status,
        below=None if below is None else int(below),
        limit=wanted.limit + 1,
    )
    return json_reply(page(rows, wanted.limit, lambda row: (row.id,), quarantined_resource))


def quarantined_resource(row: QuarantineRow) -> dict[str, Any]:
    """A report of the quarantine as admins see it."""
    put = row.report
    return {
        "id": row.id,
        "source": put.source,
        "asset": put.asset,
        "currency": put.currency,
        "rate": put.rate,
        "observedAt": put.observed_at,
        "reason": str(put.reason),
        "detail": put.detail,
        "status": "QUARANTINED" if row.accepted_by is None else "ACCEPTED",
        "acceptedBy": row.accepted_by,
        "receivedAt": to_wire(row.received_at),
        "updatedAt": to_wire(row.updated_at),
    }


async def accept_rate(request: web.Request) -> web.Response:
    """POST /api/admin/rates/quarantine/{quarantineId}/accept."""
    quarantine_id = path_id(request, "quarantineId")

    async def prepare(caller: Principal, fingerprint: str) -> Command:
        if await rates.quarantined(request.app[DATABASE], quarantine_id) is None:
            raise not_found("There is no such report in the quarantine.")
        return AcceptRate(principal=caller, fingerprint=fingerprint, quarantine_id=quarantine_id)

    return await submit(request, Call(AcceptRate, {}, prepare, wait=ACCEPT_SECONDS))


ROUTES = (
    Route(
        method="GET",
        path="/api/market/rates",
        operation_id="listRates",
        summary="What assets cost",
        handler=list_rates,
        access=ANYONE,
        answers={200: RouteAnswer(RatePage, "Rates by asset and currency.")},
        tag="Rates",
        query=RatesQuery,
    ),
    Route(
        method="GET",
        path="/api/market/rates/{asset}",
        operation_id="showRate",
        summary="What one asset costs",
        handler=show_rate,
        access=ANYONE,
        answers={200: RouteAnswer(RateResource, "The rate that quotes use.")},
        tag="Rates",
        query=RateQuery,
        texts={"asset": ASSET.pattern},
    ),
    Route(
        method="POST",
        path="/api/provider/rates",
        operation_id="publishRate",
        summary="Report a rate",
        handler=publish_rate,
        access=PROVIDER,
        answers={200: RouteAnswer(RateResource, "The rate, in use.")},
        tag="Rates",
        body=PublishRateBody,
        is_command=True,
        problems=frozenset({Code.RATE_QUARANTINED}),
        description="A report that is out of band, out of order, repeated or stale, of a pair without a rate or of an "
        "asset that was not given to the provider is put aside: that 409 has `reason` and `quarantineId`, and an admin "
        "may accept some of them.",
    ),
    Route(
        method="GET",
        path="/api/provider/reports",
        operation_id="listReports",
        summary="What became of your reports",
        handler=list_reports,
        access=PROVIDER,
        answers={200: RouteAnswer(ReportPage, "Your own reports, the newest first.")},
        tag="Rates",
        query=ReportsQuery,
        description="Reports by HTTP and over the broker: accepted, quarantined (with the reason), and messages in "
        "which no report could be read. The newest 1,000 are kept, for at most 30 days.",
    ),
    Route(
        method="GET",
        path="/api/admin/rates/quarantine",
        operation_id="listQuarantinedRates",
        summary="Reports that were put aside",
        handler=list_quarantine,
        access=ADMIN,
        answers={200: RouteAnswer(QuarantinePage, "Reports, the newest first.")},
        tag="Administration",
        query=QuarantineQuery,
    ),
    Route(
        method="POST",
        path="/api/admin/rates/quarantine/{quarantineId}/accept",
        operation_id="acceptRate",
        summary="Use a report after all",
        handler=accept_rate,
        access=ADMIN,
        answers={200: RouteAnswer(RateResource, "The rate, in use.")},
        tag="Administration",
        is_command=True,
        problems=frozenset({Code.RATE_QUARANTINED}),
        description="Only what was out of band, from the future, of a new pair or of an asset that was not given to "
        "the provider can be accepted, and only while its source has reported nothing later. "
        "Waits up to 10 s for the decision without a Prefer header.",
    ),
)
