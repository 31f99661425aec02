"""What the feeds say: the walk of FakePrice, and CoinGecko's answers read without a float."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.quote.coingecko import CURRENCIES, IDS, CoinGecko, _parse, reports_of
from workers.quote.fake_price import BASE_USD, PER_USD, FakePrice, price_at
from workers.quote.feeds import FeedDown

MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2040, 1, 1)).map(
    lambda moment: moment.replace(tzinfo=UTC)
)


@given(MOMENTS, st.sampled_from(sorted(BASE_USD)), st.sampled_from(sorted(PER_USD)))
def test_the_walk_is_the_same_everywhere_and_never_leaves_its_band(
    moment: datetime, asset: str, currency: str
) -> None:
    """Within 5 % of the base, and less than 1 % from the price a minute before."""
    price = price_at(asset, currency, moment)
    base = BASE_USD[asset] * PER_USD[currency]
    assert abs(price - base) <= base * Decimal("0.05")
    before = price_at(asset, currency, moment - timedelta(minutes=1))
    assert abs(price - before) < base * Decimal("0.01")
    assert price == price_at(asset, currency, moment)


async def test_fake_price_reports_every_pair_as_of_now() -> None:
    """All assets in all currencies."""
    reports = await FakePrice().fetch(datetime(2026, 5, 1, tzinfo=UTC))
    assert len(reports) == len(BASE_USD) * len(PER_USD)
    assert {report.observed_at for report in reports} == {"2026-05-01T00:00:00.000000Z"}


def test_an_answer_becomes_a_report_per_pair() -> None:
    """Digits as written, the source's own time, all currencies."""
    text = b'{"bitcoin": {"usd": 67187.3358936566, "eur": 61e3, "last_updated_at": 1711356300}}'
    reports = {one.currency: one for one in reports_of(_parse(text))}
    assert set(reports) == {"USD", "EUR"}
    assert reports["USD"].rate == "67187.3358936566"
    assert reports["EUR"].rate == "61e3"
    assert reports["USD"].observed_at == "2024-03-25T08:45:00.000000Z"
    assert reports["USD"].source == "coingecko"


@pytest.mark.parametrize(
    "prices",
    [
        "soon",
        None,
        [],
        {"usd": 1},
        {"usd": 1, "last_updated_at": "1711356300"},
        {"usd": 1, "last_updated_at": True},
        {"usd": None, "last_updated_at": 1711356300},
        {"last_updated_at": 1711356300},
    ],
)
def test_what_an_answer_does_not_say_is_left_out(prices: object) -> None:
    """No price, no time, or no object: no report, and no error."""
    assert reports_of(_parse(json.dumps({"bitcoin": prices}).encode())) == []


@pytest.mark.parametrize("time", ["1e400", "-1e30", "NaN", "99999999999999"])
def test_a_time_that_is_none_is_left_out(time: str) -> None:
    """Beyond the calendar in either direction."""
    text = f'{{"bitcoin": {{"usd": 1, "last_updated_at": {time}}}}}'
    assert reports_of(_parse(text.encode())) == []


@pytest.mark.parametrize(
    ("price", "written"), [("1e400", "1e400"), ("NaN", "NaN"), ('"7"', "(str)"), ("true", "(bool)")]
)
def test_a_price_that_is_none_is_reported_as_it_came(price: str, written: str) -> None:
    """For the judgement to refuse, and the admin to see."""
    text = f'{{"bitcoin": {{"usd": {price}, "last_updated_at": 1711356300}}}}'
    assert [one.rate for one in reports_of(_parse(text.encode()))] == [written]


@pytest.mark.parametrize("body", [b"<html>", b"", b"[]", b"1", b"[" * 100_000, b"\xff"])
def test_what_is_no_price_list_is_a_feed_that_is_down(body: bytes) -> None:
    """HTML, nothing, another shape, nested without end."""
    with pytest.raises(FeedDown):
        _parse(body)


def test_the_key_travels_in_the_header_of_its_plan() -> None:
    """Demo keys to the public host, pro keys to the pro host, none without a key."""
    demo = CoinGecko("https://api.coingecko.com/api/v3", "k")
    pro = CoinGecko("https://pro-api.coingecko.com/api/v3", "k")
    assert demo._headers["x-cg-demo-api-key"] == "k"
    assert pro._headers["x-cg-pro-api-key"] == "k"
    assert not [name for name in CoinGecko("http://127.0.0.1")._headers if "key" in name]


def test_both_feeds_know_the_same_assets() -> None:
    """Whoever develops against the fake finds the same names in the real one."""
    assert set(BASE_USD) == set(IDS)
    assert set(PER_USD) == set(CURRENCIES)
