"""Functions and operators of multiranges, and of multiranges beside ranges, a row at a time.

A range is taken for the multirange of its one range, or of none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine.functions.ranges import comparisons
from engine.functions.registry import operator, scalar
from storage.column import Column
from storage.errors import NullValueNotAllowed
from storage.ranges import (
    AT,
    Pair,
    intersected,
    is_adjacent,
    less,
    multirange_column,
    pairs_of,
    places,
    range_column,
    sides,
    spans_of_pairs,
    subtype_of,
    united,
    values_of,
)
from storage.types import (
    ANYELEMENT,
    ANYMULTIRANGE,
    ANYRANGE,
    BOOL,
    BY_OID,
    INT4,
    RANGE_OF,
    RANGES,
    Type,
)

Ranges = Sequence[Pair]


def contains(left: Ranges, right: Ranges) -> bool:
    """Whether the first holds all of the second."""
    return all(any(a[0] <= b[0] and b[1] <= a[1] for a in left) for b in right)


def overlaps(left: Ranges, right: Ranges) -> bool:
    """Whether they have a value in common."""
    return any(a[0] <= b[1] and b[0] <= a[1] for a in left for b in right)


def before(left: Ranges, right: Ranges) -> bool:
    """Whether the first ends before the second begins."""
    return bool(left and right and left[-1][1] < right[0][0])


def overleft(left: Ranges, right: Ranges) -> bool:
    """Whether the first does not go on behind the second."""
    return bool(left and right and left[-1][1] <= right[-1][1])


def overright(left: Ranges, right: Ranges) -> bool:
    """Whether the first does not begin before the second."""
    return bool(left and right and left[0][0] >= right[0][0])


def adjacent(left: Ranges, right: Ranges) -> bool:
    """Whether they meet without a value in common."""
    if not left or not right:
        return False
    return is_adjacent(left[-1][1], right[0][0]) or is_adjacent(right[-1][1], left[0][0])


_KINDS = ((ANYMULTIRANGE, ANYMULTIRANGE), (ANYMULTIRANGE, ANYRANGE), (ANYRANGE, ANYMULTIRANGE))
_NAMES = {ANYMULTIRANGE: "multirange", ANYRANGE: "range"}


def _compare(symbol: str, verb: str, test: Callable[[Ranges, Ranges], bool]) -> None:
    for left, right in _KINDS:

        @operator(symbol, [left, right], BOOL)
        @scalar(f"{_NAMES[left]}_{verb}_{_NAMES[right]}", [left, right], BOOL)
        def compare(a: Column, b: Column) -> Column:
            rows = zip(pairs_of(a), pairs_of(b), strict=True)
            return Column(BOOL, np.array([test(x, y) for x, y in rows], np.bool_))

        compare.__doc__ = test.__doc__


for _symbol, _verb, _test in comparisons(contains, overlaps, before, overleft, overright, adjacent):
    _compare(_symbol, _verb, _test)


@operator("@>", [ANYMULTIRANGE, ANYELEMENT], BOOL)
@scalar("multirange_contains_elem", [ANYMULTIRANGE, ANYELEMENT], BOOL)
def contains_element(multirange: Column, element: Column) -> Column:
    """Whether a value lies in one of the ranges."""
    subtype = subtype_of(multirange.type)
    at = places(element.retype(subtype), np.full(len(element), AT, np.uint8), 0)
    rows = zip(pairs_of(multirange), at.tolist(), strict=True)
    return Column(BOOL, np.array([any(a <= x <= b for a, b in pairs) for pairs, x in rows], np.bool_))


@operator("<@", [ANYELEMENT, ANYMULTIRANGE], BOOL)
@scalar("elem_contained_by_multirange", [ANYELEMENT, ANYMULTIRANGE], BOOL)
def element_contained(element: Column, multirange: Column) -> Column:
    """Whether a value lies in one of the ranges."""
    return contains_element(multirange, element)


def _combined(symbol: str, name: str, combine: Callable[[Ranges, Ranges], list[Pair]]) -> None:
    @operator(symbol, [ANYMULTIRANGE, ANYMULTIRANGE], ANYMULTIRANGE)
    @scalar(name, [ANYMULTIRANGE, ANYMULTIRANGE], ANYMULTIRANGE)
    def both(left: Column, right: Column) -> Column:
        rows = zip(pairs_of(left), pairs_of(right), strict=True)
        return multirange_column(left.type, [combine(a, b) for a, b in rows])

    both.__doc__ = combine.__doc__


def _joined(left: Ranges, right: Ranges) -> list[Pair]:
    """What lies in either."""
    return united([*left, *right])


_combined("+", "multirange_union", _joined)
_combined("-", "multirange_minus", less)
_combined("*", "multirange_intersect", intersected)


def _ends(column: Column, side: int) -> Column:
    """The first lower bound, or the last upper one; null where there is none."""
    ends = [(pairs[-side][0], pairs[-side][1]) if pairs else None for pairs in pairs_of(column)]
    spans = spans_of_pairs(subtype_of(column.type), ends)
    values = values_of(spans.subtype, spans.upper if side else spans.lower)
    return values.with_valid(values.is_valid() & ~spans.empty)


@scalar("lower", [ANYMULTIRANGE], ANYELEMENT)
def lower(multirange: Column) -> Column:
    """The lower bound of the first range; null without one."""
    return _ends(multirange, 0)


@scalar("upper", [ANYMULTIRANGE], ANYELEMENT)
def upper(multirange: Column) -> Column:
    """The upper bound of the last range; null without one."""
    return _ends(multirange, 1)


@scalar("isempty", [ANYMULTIRANGE], BOOL)
def isempty(multirange: Column) -> Column:
    """Whether there is no range."""
    return Column(BOOL, np.array([not pairs for pairs in pairs_of(multirange)], np.bool_))


def _about_end(name: str, side: int, finite: bool) -> None:
    @scalar(name, [ANYMULTIRANGE], BOOL)
    def about(multirange: Column) -> Column:
        """Whether the outermost bound belongs to the range, or is missing."""
        subtype = subtype_of(multirange.type)
        pairs = [row[-side] if row else None for row in pairs_of(multirange)]
        spans = spans_of_pairs(subtype, pairs)
        bounds = spans.upper if side else spans.lower
        there = values_of(subtype, bounds).is_valid()
        found = there & (sides(bounds) == AT) if finite else ~there
        return Column(BOOL, ~spans.empty & found)


_about_end("lower_inc", 0, True)
_about_end("upper_inc", 1, True)
_about_end("lower_inf", 0, False)
_about_end("upper_inf", 1, False)


@scalar("range_merge", [ANYMULTIRANGE], ANYRANGE)
def range_merge(multirange: Column) -> Column:
    """The smallest range that holds all."""
    ends = [(pairs[0][0], pairs[-1][1]) if pairs else None for pairs in pairs_of(multirange)]
    return range_column(RANGE_OF[multirange.type.oid], spans_of_pairs(subtype_of(multirange.type), ends))


@scalar("multirange", [ANYRANGE], ANYMULTIRANGE)
def multirange(range: Column) -> Column:
    """The multirange of one range."""
    return multirange_column(RANGES[range.type.oid][1], list(pairs_of(range)))


@scalar("unnest", [ANYMULTIRANGE], ANYRANGE, returns_set=True)
def unnest(multirange: Column) -> Column:
    """The ranges, a row each."""
    pairs: list[Any] = pairs_of(multirange)[0]
    return range_column(RANGE_OF[multirange.type.oid], spans_of_pairs(subtype_of(multirange.type), pairs))


@scalar("multirange_cmp", [ANYMULTIRANGE, ANYMULTIRANGE], INT4)
def multirange_cmp(left: Column, right: Column) -> Column:
    """-1, 0 or 1: less, equal, greater."""
    rows = zip(pairs_of(left), pairs_of(right), strict=True)
    return Column(INT4, np.array([(a > b) - (a < b) for a, b in rows], np.int32))


def _constructors(type: Type, range_type: Type) -> None:
    @scalar(type.name, [], type, rows=True)
    def empty(rows: int) -> Column:
        """The empty multirange."""
        return multirange_column(type, [[]] * rows)

    @scalar(type.name, [range_type], type)
    def single(range: Column) -> Column:
        """The multirange of one range."""
        return multirange_column(type, list(pairs_of(range)))

    @scalar(type.name, [range_type, range_type], type, variadic=True, strict=False)
    def several(*ranges: Column) -> Column:
        """The multirange of these ranges."""
        if not all(range.is_valid().all() for range in ranges):
            raise NullValueNotAllowed("multirange values cannot contain null members")
        rows = zip(*(pairs_of(range) for range in ranges), strict=True)
        return multirange_column(type, [united([pair for pairs in row for pair in pairs]) for row in rows])


for _oid, (_, _multirange) in RANGES.items():
    _constructors(_multirange, BY_OID[_oid])
