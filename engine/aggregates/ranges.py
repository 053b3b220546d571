"""range_agg and range_intersect_agg: all ranges of a group as one multirange, and what lies in each."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from engine.aggregates.collect import Collected
from engine.aggregates.registry import aggregate
from storage.column import Column
from storage.ranges import (
    Pair,
    intersected,
    multirange_column,
    pairs_of,
    range_column,
    spans_of_pairs,
    subtype_of,
    united,
)
from storage.types import ANYMULTIRANGE, ANYRANGE


@aggregate("range_agg", [ANYRANGE], ANYMULTIRANGE)
@aggregate("range_agg", [ANYMULTIRANGE], ANYMULTIRANGE)
class RangeAgg(Collected):
    """The multirange of all ranges; nulls count for nothing, null without rows."""

    def finish(self, count: int) -> Column:
        offsets, (items,) = self.ordered(count)
        pairs, valid = pairs_of(items), items.is_valid()
        rows = [
            united([pair for row in pairs[a:b] for pair in row]) if valid[a:b].any() else None
            for a, b in pairwise(offsets.tolist())
        ]
        return multirange_column(self.result, rows)


@aggregate("range_intersect_agg", [ANYRANGE], ANYRANGE)
@aggregate("range_intersect_agg", [ANYMULTIRANGE], ANYMULTIRANGE)
class RangeIntersectAgg(Collected):
    """What lies in all ranges; nulls count for nothing, null without rows."""

    def finish(self, count: int) -> Column:
        offsets, (items,) = self.ordered(count)
        pairs, valid = pairs_of(items), items.is_valid().tolist()
        rows: list[list[Pair] | None] = []
        for a, b in pairwise(offsets.tolist()):
            known = [pairs[at] for at in range(a, b) if valid[at]]
            common = known[0] if known else None
            for other in known[1:]:
                common = intersected(common or [], other)
            rows.append(common)
        if self.result.declared == "anymultirange":
            return multirange_column(self.result, rows)
        ends = [row[0] if row else None for row in rows]
        there = np.array([row is not None for row in rows], np.bool_)
        return range_column(self.result, spans_of_pairs(subtype_of(self.result), ends), there)
