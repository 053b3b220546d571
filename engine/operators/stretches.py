"""Stretches: totals of rows that come sorted by a key, so that batches have few groups in common.

A table of all groups would be large, and each batch touch a stretch of it. So a batch has a table of its own
key's range, of which its groups are taken out at once. Where the ranges of two batches overlap, as they do
where one group's rows end a batch and begin the next, a group may be in both: it is shared, and merged with
what others have of it in the end. All other groups are ready as they are.

Where ranges overlap much, rows are not sorted after all, and batches are refused.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from engine.memory import Grant
from engine.operators.fusedtotals import FusedTotals
from engine.operators.tablelayout import FEW, Asked, Layout, layout_of
from storage.column import Mask, Positions
from storage.kernels.plain.totals import Gathered, Totals, Why, gathered, table_bytes

_ROWS = 4  # groups for each row that a batch's table has places for
_OVERLAP = 4  # of the keys of all ranges one in so many may be in a range before
_SOME = 8  # batches that are taken however much they overlap
_LEAST = -(1 << 63)

Groups = tuple[Layout, Gathered]
"""Groups, and what their words mean."""
Some = tuple[Groups, Mask | None]
"""Of these groups those where the mask is true; None: all."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The groups of a batch, and the least and the greatest of its numbers of the key."""

    layout: Layout
    found: Gathered
    least: int
    most: int


class Stretches:
    """The groups of batches that are sorted by the key at `place`. `add` is called by workers."""

    def __init__(self, plan: FusedTotals, place: int, grant: Grant) -> None:
        self._plan, self._place, self._grant = plan, place, grant
        self._lock = threading.Lock()
        self._found: dict[int, Stretch] = {}
        self._layout: Layout | None = None
        self._keys = self._common = 0  # of all ranges together; those in a range before

    def add(self, asked: Asked, number: int) -> bool:
        """Take a batch, whose first row has this number; or not a row of it."""
        if prod(each.limit for each in asked.ranges) > max(FEW, _ROWS * asked.rows):
            return False
        taken = self._gathered(asked, number)
        if taken is None:
            return False
        layout, found = taken
        with self._lock:
            self._layout = layout
            if not len(found.numbers):
                return True
            stretch = self._stretch(layout, found)
            self._keys += max(stretch.most - stretch.least + 1, 0)
            self._common += self._overlap(stretch)
            unlike = len(self._found) >= _SOME and self._common * _OVERLAP > self._keys
            if unlike or not self._grant.room(found.nbytes):
                return False
            self._found[number] = stretch
        return True

    def _gathered(self, asked: Asked, number: int) -> tuple[Layout, Gathered] | None:
        """The groups of a batch out of a table of its own, and what their words mean."""
        layout: Layout | None = layout_of(self._plan, asked, asked.ranges, nulls=asked.nulls)
        assert layout is not None
        before = self._layout
        if before is not None and (before.scales, before.nulls) == (layout.scales, layout.nulls):
            layout = replace(before, ranges=asked.ranges)  # sums may have become too large for a word
        while layout is not None:
            nbytes = table_bytes(layout.groups, layout.slots)
            if not self._grant.room(nbytes):
                return None
            try:
                table = Totals.empty(layout.groups, layout.slots)
                added = asked.add(table, layout, 0, number)
                if added.why is Why.DONE:
                    return layout, gathered([table])
            finally:
                self._grant.give(nbytes)
            layout = layout.changed(added) if added.why in (Why.FULL, Why.BEYOND) else None
        return None

    def _stretch(self, layout: Layout, found: Gathered) -> Stretch:
        values, there = _values(layout, found, self._place)
        some = values if there is None else values[there]
        least, most = (int(some.min()), int(some.max())) if len(some) else (0, _LEAST)
        return Stretch(layout, found, least, most)

    def _overlap(self, stretch: Stretch) -> int:
        """How many of its keys are in the ranges of others, at most all of them."""
        common = sum(
            max(min(stretch.most, other.most) - max(stretch.least, other.least) + 1, 0)
            for other in self._found.values()
        )
        return min(common, max(stretch.most - stretch.least + 1, 0))

    def split(self, tables: Iterable[Groups]) -> tuple[list[Some], list[Groups]]:
        """(the groups that are ready, those that are shared), with those of such tables; once.

        The ready ones come in the order of the batches.
        """
        every = [*(self._stretch(*each) for each in tables), *self._found.values()]
        several = deque(sorted(every, key=lambda each: each.found.firsts.min()))
        self._found = {}
        starts, ends = _common(several)
        ready: list[Some] = []
        shared: list[Groups] = []
        while several:
            each = several.popleft()
            values, there = _values(each.layout, each.found, self._place)
            mask = values <= ends[np.searchsorted(starts, values, side="right") - 1]
            if there is not None:
                mask |= ~there
            own = ~mask
            if own.any():
                ready.append(((each.layout, each.found), None if own.all() else own))
            if mask.any():
                shared.append((each.layout, each.found.take(mask)))
        return ready, shared

    def all(self) -> Iterator[Groups]:
        """All groups, as they are; once."""
        for number in sorted(self._found):
            stretch = self._found.pop(number)
            yield stretch.layout, stretch.found


def _values(layout: Layout, found: Gathered, place: int) -> tuple[Positions, Mask | None]:
    """(the numbers that groups have of a key, where they have one: None is everywhere)."""
    mine = layout.ranges[place]
    digits = found.numbers // prod(each.limit for each in layout.ranges[place + 1 :]) % mine.limit
    return digits + mine.base, digits < mine.limit - 1 if mine.nulls else None


def _common(several: Iterable[Stretch]) -> tuple[Positions, Positions]:
    """Numbers that are in two ranges, stretch by stretch: (the first of each, ascending, the last of those
    until then). A stretch of none comes first."""
    reach = _LEAST
    starts, ends = [reach], [reach]
    for each in sorted(several, key=lambda stretch: stretch.least):
        if each.least <= min(each.most, reach):
            starts.append(each.least)
            ends.append(max(ends[-1], min(each.most, reach)))
        reach = max(reach, each.most)
    return np.array(starts, np.int64), np.array(ends, np.int64)
