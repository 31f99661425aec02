"""The demo: everybody is counted once, and the summary says the truth, also when it is a sad one."""

import asyncio

from rich.console import Console

from scripts.benching.live_display import Moment, as_promised, plain_line, rendered, summary
from scripts.benching.loads.crowd import Tally, rush
from tests.bench.stub_gateway import stub_gateway


async def test_every_buyer_of_a_crowd_gets_an_answer() -> None:
    """200 buyers for 30 tickets: 30 orders of their own, 170 sold out."""
    async with stub_gateway(30) as gateway:
        tally = Tally(200)
        await rush(gateway.url, [f"t{n}" for n in range(200)], 1, tally, over=0.1)
    assert (tally.accepted, tally.sold_out, tally.unanswered) == (30, 170, 0)
    assert tally.done == tally.offered == 200
    assert len(tally.order_ids) == len(tally.accepted_at) == 30
    assert as_promised(tally, 30, 0)


async def test_a_crowd_that_reaches_no_gateway_is_not_counted_as_refused() -> None:
    """Connections that fail are buyers without an answer."""
    async with stub_gateway(1) as gateway:
        pass
    tally = Tally(5)
    await rush(gateway.url, ["t"] * 5, 1, tally, over=0)
    assert (tally.unanswered, tally.answered, tally.done) == (5, 0, 5)
    assert not as_promised(tally, 1, 1)


def sold(accepted: int, sold_out: int, orders: int) -> Tally:
    """A crowd of 30 at the end of its rush."""
    tally = Tally(30, offered=30, accepted=accepted, order_ids=set(range(orders)))
    tally.refused["SOLD_OUT"] = sold_out
    return tally


def test_a_promise_that_was_broken_is_seen() -> None:
    """One sold too many, one order for two buyers, a ticket left behind: none of them is as promised."""
    assert as_promised(sold(10, 20, 10), 10, 0)
    assert not as_promised(sold(11, 19, 11), 10, 0)
    assert not as_promised(sold(10, 20, 9), 10, 0)
    assert not as_promised(sold(10, 20, 10), 10, 1)
    assert as_promised(sold(30, 0, 30), 50, 20)


def test_the_summary_marks_what_is_broken() -> None:
    """An oversold ticket and a broken rule of the audit cannot be overlooked; a good end has no such mark."""
    good = summary(sold(10, 20, 10), 10, 0, verdicts=[("Stock adds up.", True)])
    assert "BROKEN" not in good
    assert "10 of 10 tickets sold" in good
    bad = summary(sold(11, 19, 11), 10, 0, verdicts=[("Stock adds up.", False)])
    assert bad.count("BROKEN") >= 3
    assert "✗ BROKEN:  Stock adds up." in bad


async def test_the_live_display_shows_the_numbers() -> None:
    """Live or plain, both say how many got a ticket and how many are left."""
    tally, moment = sold(10, 20, 10), Moment(10, 0, 1.0)
    console = Console(width=100, record=True, file=None, quiet=True)
    await asyncio.to_thread(console.print, rendered("Rush", tally, moment))
    line = plain_line(tally, moment)
    assert "tickets got    10" in line
    assert "\x1b" not in line


def test_percentiles_need_no_answers() -> None:
    """Before the first answer there is nothing to rank."""
    tally = Tally(3)
    assert tally.percentile(0.99) == 0.0
    tally.times += [0.1, 0.2, 0.3]
    assert tally.percentile(0.5) == 200.0
