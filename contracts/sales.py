"""When tickets are on sale, and what is said when there are not enough: for gateways and inventory.

Gateways refuse early what inventory would refuse.

In: a ticket type's and its event's times, what is left, what unpaid orders hold. Out: yes or no, the refusal.
Must stay true: both refuse by the same rule and in the same words. No I/O, no clock.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from contracts.runtime.times import to_wire

ITEMS_MAX: Final = 50
"""Lines of one request for tickets."""
EVENT_CANCELLED: Final = "The event is cancelled."
SALES_PAUSED: Final = "The sale is paused; try again later."


def on_sale(
    now: datetime, sales_start: datetime | None, sales_end: datetime | None, event_end: datetime
) -> bool:
    """Whether `now` lies in the sale window [salesStart, salesEnd); null: at once, until the event's end."""
    started = sales_start is None or sales_start <= now
    return started and now < event_end and (sales_end is None or now < sales_end)


def each_once(type_ids: Iterable[int]) -> bool:
    """Whether a request names each ticket type once."""
    named = list(type_ids)
    return len(set(named)) == len(named)


def left_of(type_id: int, available: int) -> str:
    """The sentence of SOLD_OUT."""
    return f"{available} tickets of type {type_id} are left."


def shortage_members(
    available: int | None, held: int, next_release_at: datetime | None
) -> dict[str, Any]:
    """What SOLD_OUT says beside its sentence: what is left, what unpaid orders hold and when the next may come back."""
    return {
        "available": available,
        "held": held,
        "nextReleaseAt": to_wire(next_release_at) if next_release_at is not None else None,
    }
