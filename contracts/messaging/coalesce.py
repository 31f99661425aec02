"""Grouping that keeps each aggregate's order: one algorithm for the relay's messages and the workers' batches.

In: items with a key (what may go together) and an aggregate (whose order must hold). Out: groups, in order.
Must stay true: every item is in exactly one group; two items of one aggregate never change places; a group has one key.
"""

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

T = TypeVar("T")


def coalesce(
    items: Iterable[T], *, key: Callable[[T], Hashable], aggregate: Callable[[T], Hashable]
) -> list[list[T]]:
    """Put each item into the earliest group of its key that is not before its aggregate's last group.

    Greedy list scheduling with precedence: an item may join any group at or after the position of its
    predecessor; a new group is opened at the end when none of its key is there.
    """
    groups: list[list[T]] = []
    keys: dict[Hashable, int] = {}
    positions: dict[Hashable, int] = {}
    for item in items:
        item_key, owner = key(item), aggregate(item)
        # The newest group of a key is the only one that may still grow: earlier ones lie before it.
        position = keys.get(item_key, -1)
        if position < positions.get(owner, 0):
            position = len(groups)
            groups.append([])
            keys[item_key] = position
        groups[position].append(item)
        positions[owner] = position
    return groups
