"""CoinGecko's price list: `GET /simple/price`, all assets and currencies in one call.

In: its base address and perhaps a key. Out: a report per pair, as of the source's own `last_updated_at`.
Must stay true: bounded in time and size; no redirect is followed (a key travels in the headers); no float:
numbers are read as decimals; what is missing is left out, what is no number is reported as it came.

Source: CoinGecko API reference, "Coin Price by IDs", "Authentication" (demo and pro keys), "Common Errors &
Rate Limit".
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import structlog

from contracts.runtime.times import to_wire
from workers.quote.feeds import FeedBusy, FeedDown
from workers.quote.judging import RateReport

log = structlog.get_logger(__name__)

IDS = {
    "ADA": "cardano",
    "BNB": "binancecoin",
    "BTC": "bitcoin",
    "DOGE": "dogecoin",
    "DOT": "polkadot",
    "ETH": "ethereum",
    "LTC": "litecoin",
    "SOL": "solana",
    "TRX": "tron",
    "USDC": "usd-coin",
    "USDT": "tether",
    "XRP": "ripple",
}
"""Asset -> CoinGecko's id of it (tickers are not unique there)."""
CURRENCIES = ("EUR", "GBP", "JPY", "TWD", "USD")
SECONDS = 8.0
BODY_BYTES_MAX = 256 * 1024
WAIT_SECONDS, WAIT_SECONDS_MAX = 60.0, 600.0
"""How long to wait when a 429 does not say, and at most."""
PRO_HOST = "pro-api.coingecko.com"


class CoinGecko:
    """A `Feed` over HTTP. Opens its session at the first call."""

    name = "coingecko"

    def __init__(self, url: str, key: str | None = None, *, seconds: float = SECONDS) -> None:
        self._url = url.rstrip("/") + "/simple/price"
        self._headers = {"Accept": "application/json", **_key_header(url, key)}
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, now: datetime) -> Sequence[RateReport]:
        """All pairs. Raises FeedDown, FeedBusy."""
        try:
            async with asyncio.timeout(self._seconds):
                body = await self._get()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise FeedDown(f"{type(error).__name__}: {error}"[:300]) from error
        return list(reports_of(_parse(body)))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _get(self) -> bytes:
        if self._session is None:
            self._session = aiohttp.ClientSession(headers=self._headers)
        asked = {
            "ids": ",".join(IDS.values()),
            "vs_currencies": ",".join(CURRENCIES).lower(),
            "include_last_updated_at": "true",
            "precision": "full",
        }
        async with self._session.get(self._url, params=asked, allow_redirects=False) as response:
            if response.status == 429:
                raise FeedBusy(_retry_after(response.headers))
            if response.status != 200:
                raise FeedDown(f"it answered {response.status}")
            if response.content_type != "application/json":
                raise FeedDown(f"it answered {response.content_type[:60]}, not JSON")
            body = await response.content.read(BODY_BYTES_MAX + 1)
            while len(body) <= BODY_BYTES_MAX and (more := await response.content.read(65536)):
                body += more
        if len(body) > BODY_BYTES_MAX:
            raise FeedDown(f"its answer is over {BODY_BYTES_MAX} bytes")
        return body


def _key_header(url: str, key: str | None) -> dict[str, str]:
    if not key:
        return {}
    pro = urlsplit(url).hostname == PRO_HOST
    return {"x-cg-pro-api-key" if pro else "x-cg-demo-api-key": key}


def _retry_after(headers: Mapping[str, str]) -> float:
    # Only the form in seconds (RFC 9110, 10.2.3) is used there.
    said = headers.get("Retry-After", "")
    seconds = float(said) if said.isascii() and said.isdigit() else WAIT_SECONDS
    return min(max(seconds, 1.0), WAIT_SECONDS_MAX)


def _parse(body: bytes) -> dict[str, Any]:
    """The answer with every number as it was written. Raises FeedDown."""
    try:
        parsed = json.loads(
            body, parse_float=_ExactNumber, parse_int=_ExactNumber, parse_constant=_ExactNumber
        )
    except (ValueError, RecursionError) as error:
        raise FeedDown(f"it answered no JSON: {error}"[:300]) from None
    if not isinstance(parsed, dict):
        raise FeedDown("it answered no JSON object")
    return parsed


class _ExactNumber(str):
    """A JSON number as it was written."""

    __slots__ = ()


def reports_of(answer: Mapping[str, Any]) -> Sequence[RateReport]:
    """The reports in an answer; what it does not say is left out."""
    reports: list[RateReport] = []
    missing: list[str] = []
    for asset, coin in IDS.items():
        prices = answer.get(coin)
        observed = _moment(prices.get("last_updated_at")) if isinstance(prices, dict) else None
        if not isinstance(prices, dict) or observed is None:
            missing.append(asset)
            continue
        for currency in CURRENCIES:
            price = prices.get(currency.lower())
            if price is None:
                missing.append(f"{asset}/{currency}")
            else:
                written = (
                    str(price) if isinstance(price, _ExactNumber) else f"({type(price).__name__})"
                )
                reports.append(RateReport(CoinGecko.name, asset, currency, written, observed))
    if missing:
        log.info("feed leaves prices out", feed=CoinGecko.name, missing=missing)
    return reports


def _moment(value: object) -> str | None:
    """RFC 3339 for Unix seconds; None for anything else."""
    if not isinstance(value, _ExactNumber):
        return None
    try:
        return to_wire(datetime.fromtimestamp(int(Decimal(value)), UTC))
    except (ValueError, OverflowError, ArithmeticError, OSError):
        return None
