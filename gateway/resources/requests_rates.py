"""Bodies and queries of rates.

Must stay true: a rate is a decimal text, never a JSON number. What is no decimal number at all is refused here;
whether a number is a price (positive, in its band, in order) is judged by the quote worker, which keeps what it
refuses.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from contracts.models import Asset, Currency
from gateway.http.models import (
    Body,
    Limit,
    MomentText,
    PageQuery,
    Query,
)

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
