"""Models of rates and of the quarantine, for OpenAPI and for the tests that compare real answers with it."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.http.responses import IdNumber, Moment, ResponseModel


class RateResource(ResponseModel):
    """What one unit of an asset costs. `stale`: observed longer ago than rates are fresh."""

    asset: str
    currency: str
    rate: Annotated[str, Field(pattern=r"^\d{1,10}\.\d{8}$", examples=["64000.50000000"])]
    source: str
    observed_at: Moment
    stale: bool


class RatePage(ResponseModel):
    """Rates by asset and currency."""

    data: list[RateResource]
    next_cursor: str | None
    has_more: bool


class QuarantinedRate(ResponseModel):
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
    received_at: Moment
    updated_at: Moment


class QuarantinePage(ResponseModel):
    """Reports that were put aside, the newest first."""

    data: list[QuarantinedRate]
    next_cursor: str | None
    has_more: bool


class ProviderReport(ResponseModel):
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
    received_at: Moment


class ReportPage(ResponseModel):
    """The caller's own reports, the newest first."""

    data: list[ProviderReport]
    next_cursor: str | None
    has_more: bool
