"""The rush as a picture: live in a terminal, as plain lines anywhere else, and the summary at its end.

In: a `Tally`, the stock as the API shows it. Out: what a person sees.
Must stay true: pure rendering: nothing is measured or decided here; without a terminal no control character is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from scripts.benching.loads.crowd import Tally

BAR_WIDTH = 46


@dataclass(frozen=True, slots=True)
class Moment:
    """What is to be shown now. left: tickets for sale as the API says, None before it was asked."""

    tickets: int
    left: int | None
    seconds: float


def rendered(title: str, tally: Tally, moment: Moment) -> RenderableType:
    """The live picture."""
    sold = moment.tickets - moment.left if moment.left is not None else tally.accepted
    rows = Table.grid(padding=(0, 2))
    rows.add_column(justify="right", style="bold", min_width=12)
    rows.add_column(justify="right", min_width=7)
    rows.add_column()
    for name, count, total, style in (
        ("asked", tally.offered, tally.buyers, "cyan"),
        ("got a ticket", tally.accepted, moment.tickets, "green"),
        ("sold out", tally.sold_out, tally.buyers - moment.tickets, "yellow"),
        ("tickets left", moment.tickets - sold, moment.tickets, "magenta"),
    ):
        bar = ProgressBar(
            total=max(total, 1), completed=count, width=BAR_WIDTH, complete_style=style
        )
        rows.add_row(name, f"{count:,}", bar)
    footer = Text.assemble(
        ("   half answered within ", "dim"), (f"{tally.percentile(0.5):,.0f} ms", "bold"),
        (" · 99 % within ", "dim"), (f"{tally.percentile(0.99):,.0f} ms", "bold"),
        (f" · {moment.seconds:4.1f} s", "dim"),
    )  # fmt: skip
    return Panel(Group(rows, Text(), footer), title=f"[bold]{title}[/bold]", width=78)


def plain_line(tally: Tally, moment: Moment) -> str:
    """The same in one line without colour."""
    left = "?" if moment.left is None else f"{moment.left:,}"
    return (
        f"{moment.seconds:5.1f} s  asked {tally.offered:>6,}  tickets got {tally.accepted:>5,}  "
        f"sold out {tally.sold_out:>6,}  left {left:>5}  p99 {tally.percentile(0.99):>6,.0f} ms"
    )


def summary(tally: Tally, tickets: int, left: int, *, verdicts: Sequence[tuple[str, bool]]) -> str:
    """What happened, for a person; verdicts: (rule of the audit, whether it holds)."""
    wanted, rest = min(tickets, tally.buyers), max(tally.buyers - tickets, 0)
    lines = [
        _fact(tally.accepted == wanted, f"{tally.accepted:,} of {tickets:,} tickets sold"),
        _fact(tally.sold_out == rest, f"{tally.sold_out:,} buyers were told that it is sold out"),
        _fact(
            tally.answered == tally.buyers,
            f"{tally.answered:,} of {tally.buyers:,} buyers got their answer",
        ),
        _fact(
            len(tally.order_ids) == tally.accepted, "every accepted buyer has an order of their own"
        ),
        _fact(left == tickets - tally.accepted, f"the API says {left:,} tickets are left"),
    ]
    other = {code: count for code, count in tally.refused.items() if code != "SOLD_OUT"}
    if other or tally.unanswered:
        lines.append(_fact(False, f"unexpected: {other}, without an answer: {dict(tally.lost)}"))
    if tally.accepted_at:
        lines.append(
            f"     first ticket after {min(tally.accepted_at) * 1000:,.0f} ms, "
            f"the last after {max(tally.accepted_at) * 1000:,.0f} ms"
        )
    lines.append(
        f"     half of the answers within {tally.percentile(0.5):,.0f} ms, "
        f"99 % within {tally.percentile(0.99):,.0f} ms"
    )
    lines += ["", "The audit, from the database alone:"]
    lines += [_fact(holds, sentence) for sentence, holds in verdicts]
    return "\n".join(lines)


def as_promised(tally: Tally, tickets: int, left: int) -> bool:
    """Whether everybody got what EventHub promises."""
    wanted = min(tickets, tally.buyers)
    return (
        tally.accepted == wanted == len(tally.order_ids)
        and tally.sold_out == tally.buyers - wanted
        and left == tickets - wanted
    )


def _fact(holds: bool, sentence: str) -> str:
    return f"  {'✓' if holds else '✗ BROKEN:'}  {sentence}"
