"""Cursor paging, the same for every list: `?limit=&cursor=` in, `{data, nextCursor, hasMore}` out.

A cursor names the last row that was shown (its sort key), so that a page is stable under inserts.
In: the sort key of the last row. Out: an opaque text, and back. A cursor is no secret and gives no right.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import orjson

from contracts.messaging.signing import from_text, to_text
from contracts.problems import Code, Problem
from contracts.shapes import Answer
from gateway.http.problems import Refusal

T = TypeVar("T")
Key = tuple[int | str, ...]
_ID_MAX = 2**63 - 1


class Page(Answer):
    """Base of the models of a list's pages; a list adds its `data`."""

    next_cursor: str | None
    has_more: bool


def to_cursor(key: Key) -> str:
    """The cursor behind a row with this sort key."""
    return to_text(orjson.dumps(key))


def from_cursor(text: str, *kinds: type) -> Key:
    """The sort key of a cursor; `kinds` are the types of its parts (int or str).

    Raises Refusal (400) for anything that `to_cursor` did not make for such a list.
    """
    try:
        parts = orjson.loads(from_text(text))
    except ValueError:
        raise _bad_cursor() from None
    if not isinstance(parts, list) or [type(part) for part in parts] != list(kinds):
        raise _bad_cursor()
    if any(isinstance(part, int) and not 0 <= part <= _ID_MAX for part in parts):
        raise _bad_cursor()
    return tuple(parts)


def page(
    rows: Sequence[T], limit: int, key: Callable[[T], Key], show: Callable[[T], Any]
) -> dict[str, Any]:
    """The list document from `limit` + 1 rows: one more than asked tells whether there is a next page."""
    shown = rows[:limit]
    more = len(rows) > limit
    return {
        "data": [show(row) for row in shown],
        "nextCursor": to_cursor(key(shown[-1])) if more else None,
        "hasMore": more,
    }


def _bad_cursor() -> Refusal:
    problem = Problem(
        Code.INVALID,
        "The cursor is not one that this list gave.",
        errors=(("?cursor", "is not a cursor of this list"),),
    )
    return Refusal(problem)
