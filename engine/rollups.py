"""Rollups: which grouping sets are grouped from the rows, and which from the groups of another set.

The groups of a set are unions of the groups of any set that has all of its keys and more; so the rows
are grouped by the widest sets only, and what they gave is merged for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Set = frozenset[int]
G = TypeVar("G")


def roots(sets: Sequence[Set]) -> list[Set]:
    """The distinct sets that are in no other, in the order in which they are named."""
    return [each for each in dict.fromkeys(sets) if not any(each < other for other in sets)]


def rolled_up(
    sets: Sequence[Set], grouped: dict[Set, G], count: Callable[[G], int], roll: Callable[[G, Set], G]
) -> dict[Set, G]:
    """The groups of all sets, from those of the roots: each from the set above it with the fewest groups."""
    result = dict(grouped)
    for each in sorted(dict.fromkeys(sets), key=len, reverse=True):
        if each not in result:
            above = [groups for other, groups in result.items() if each < other]
            result[each] = roll(min(above, key=count), each)
    return result
