"""Functions and operators of ranges: bounds, @> <@ && << >> &< &> -|- + - *, constructors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from engine.forms.ranges import made
from engine.functions.registry import operator, scalar
from storage.column import Array, Column, Mask
from storage.errors import DataException, SqlSyntaxError
from storage.ranges import (
    AT,
    Spans,
    as_rows,
    moved,
    places,
    range_column,
    sides,
    spans_of,
    values_of,
)
from storage.types import ANYELEMENT, ANYRANGE, BOOL, BY_OID, INT4, RANGES, TEXT, Type

Test = Callable[[Any, Any], Any]
"""Whether two ranges stand to each other in some way: of columns of them, or of two."""
_FLAGS = {"[]": (True, True), "[)": (True, False), "(]": (False, True), "()": (False, False)}


def _truth(mask: Any) -> Mask:
    return np.asarray(mask, np.bool_)


def _both(left: Spans, right: Spans) -> Mask:
    """Where neither is empty."""
    return ~(left.empty | right.empty)


def contains(left: Spans, right: Spans) -> Mask:
    """Whether the first holds all of the second."""
    inside = _truth(left.lower <= right.lower) & _truth(right.upper <= left.upper)
    return right.empty | (~left.empty & inside)


def overlaps(left: Spans, right: Spans) -> Mask:
    """Whether they have a value in common."""
    return _both(left, right) & _truth(left.lower <= right.upper) & _truth(right.lower <= left.upper)


def before(left: Spans, right: Spans) -> Mask:
    """Whether the first ends before the second begins."""
    return _both(left, right) & _truth(left.upper < right.lower)


def overleft(left: Spans, right: Spans) -> Mask:
    """Whether the first does not go on behind the second."""
    return _both(left, right) & _truth(left.upper <= right.upper)


def overright(left: Spans, right: Spans) -> Mask:
    """Whether the first does not begin before the second."""
    return _both(left, right) & _truth(left.lower >= right.lower)


def _meets(upper: Array, lower: Array) -> Mask:
    """Where nothing lies between where one range ends and another begins."""
    there = _has_value(upper) & _has_value(lower)
    return there & _truth(moved(upper, 1) == lower)


def _has_value(bounds: Array) -> Mask:
    if bounds.dtype == object:
        return np.array([point.value is not None for point in bounds], np.bool_)
    return np.asarray(as_rows(bounds)[:, 0] == 1)


def adjacent(left: Spans, right: Spans) -> Mask:
    """Whether they meet without a value in common."""
    return _both(left, right) & (_meets(left.upper, right.lower) | _meets(right.upper, left.lower))


def comparisons(
    contains: Test, overlaps: Test, before: Test, overleft: Test, overright: Test, adjacent: Test
) -> Iterator[tuple[str, str, Test]]:
    """(symbol, verb, test) of the operators that compare places: six tests, and two of them turned around."""
    yield "@>", "contains", contains
    yield "<@", "contained_by", lambda left, right: contains(right, left)
    yield "&&", "overlaps", overlaps
    yield "<<", "before", before
    yield ">>", "after", lambda left, right: before(right, left)
    yield "&<", "overleft", overleft
    yield "&>", "overright", overright
    yield "-|-", "adjacent", adjacent


def _compare(symbol: str, name: str, test: Callable[[Spans, Spans], Mask]) -> None:
    @operator(symbol, [ANYRANGE, ANYRANGE], BOOL)
    @scalar(name, [ANYRANGE, ANYRANGE], BOOL)
    def compare(left: Column, right: Column) -> Column:
        return Column(BOOL, test(spans_of(left), spans_of(right)))

    compare.__doc__ = test.__doc__


for _symbol, _verb, _test in comparisons(contains, overlaps, before, overleft, overright, adjacent):
    _compare(_symbol, f"range_{_verb}", _test)


@operator("@>", [ANYRANGE, ANYELEMENT], BOOL)
@scalar("range_contains_elem", [ANYRANGE, ANYELEMENT], BOOL)
def contains_element(range: Column, element: Column) -> Column:
    """Whether a value lies in a range."""
    spans = spans_of(range)
    at = places(element.retype(spans.subtype), np.full(len(element), AT, np.uint8), 0)
    return Column(BOOL, ~spans.empty & _truth(spans.lower <= at) & _truth(at <= spans.upper))


@operator("<@", [ANYELEMENT, ANYRANGE], BOOL)
@scalar("elem_contained_by_range", [ANYELEMENT, ANYRANGE], BOOL)
def element_contained(element: Column, range: Column) -> Column:
    """Whether a value lies in a range."""
    return contains_element(range, element)


def _least(left: Array, right: Array) -> Array:
    return np.where(_truth(left <= right), left, right)


def _greatest(left: Array, right: Array) -> Array:
    return np.where(_truth(left >= right), left, right)


def _merged(left: Spans, right: Spans) -> Spans:
    """The smallest range that holds both; what is empty adds nothing."""
    either = np.where(left.empty, right.lower, left.lower), np.where(left.empty, right.upper, left.upper)
    both = _both(left, right)
    lower = np.where(both, _least(left.lower, right.lower), either[0])
    upper = np.where(both, _greatest(left.upper, right.upper), either[1])
    return Spans(left.subtype, left.empty & right.empty, lower, upper)


@scalar("range_merge", [ANYRANGE, ANYRANGE], ANYRANGE)
def range_merge(left: Column, right: Column) -> Column:
    """The smallest range that holds both."""
    return range_column(left.type, _merged(spans_of(left), spans_of(right)))


@operator("+", [ANYRANGE, ANYRANGE], ANYRANGE)
@scalar("range_union", [ANYRANGE, ANYRANGE], ANYRANGE)
def union(left: Column, right: Column) -> Column:
    """What lies in either. Raises DataException where that is no one range."""
    a, b = spans_of(left), spans_of(right)
    if (_both(a, b) & ~overlaps(a, b) & ~adjacent(a, b)).any():
        raise DataException("result of range union would not be contiguous")
    return range_column(left.type, _merged(a, b))


@operator("*", [ANYRANGE, ANYRANGE], ANYRANGE)
@scalar("range_intersect", [ANYRANGE, ANYRANGE], ANYRANGE)
def intersect(left: Column, right: Column) -> Column:
    """What lies in both."""
    a, b = spans_of(left), spans_of(right)
    empty = ~overlaps(a, b)
    return range_column(
        left.type, Spans(a.subtype, empty, _greatest(a.lower, b.lower), _least(a.upper, b.upper))
    )


@operator("-", [ANYRANGE, ANYRANGE], ANYRANGE)
@scalar("range_minus", [ANYRANGE, ANYRANGE], ANYRANGE)
def minus(left: Column, right: Column) -> Column:
    """What lies in the first and not in the second. Raises DataException where that is no one range."""
    a, b = spans_of(left), spans_of(right)
    cut = overlaps(a, b)
    starts, ends = cut & _truth(a.lower < b.lower), cut & _truth(b.upper < a.upper)
    if (starts & ends).any():
        raise DataException("result of range difference would not be contiguous")
    lower = np.where(ends, moved(b.upper, 1), a.lower)
    upper = np.where(starts, moved(b.lower, -1), a.upper)
    return range_column(left.type, Spans(a.subtype, a.empty | (cut & ~starts & ~ends), lower, upper))


@scalar("lower", [ANYRANGE], ANYELEMENT)
def lower(range: Column) -> Column:
    """The lower bound; null of an empty range, and where there is none."""
    return _bound(spans_of(range), low=True)


@scalar("upper", [ANYRANGE], ANYELEMENT)
def upper(range: Column) -> Column:
    """The upper bound."""
    return _bound(spans_of(range), low=False)


def _bound(spans: Spans, *, low: bool) -> Column:
    values = values_of(spans.subtype, spans.lower if low else spans.upper)
    return values.with_valid(values.is_valid() & ~spans.empty)


@scalar("isempty", [ANYRANGE], BOOL)
def isempty(range: Column) -> Column:
    """Whether nothing lies in it."""
    return Column(BOOL, spans_of(range).empty)


@scalar("lower_inc", [ANYRANGE], BOOL)
def lower_inc(range: Column) -> Column:
    """Whether the lower bound belongs to it."""
    spans = spans_of(range)
    return Column(BOOL, ~spans.empty & _has_value(spans.lower) & (sides(spans.lower) == AT))


@scalar("upper_inc", [ANYRANGE], BOOL)
def upper_inc(range: Column) -> Column:
    """Whether the upper bound belongs to it."""
    spans = spans_of(range)
    return Column(BOOL, ~spans.empty & _has_value(spans.upper) & (sides(spans.upper) == AT))


@scalar("lower_inf", [ANYRANGE], BOOL)
def lower_inf(range: Column) -> Column:
    """Whether it has no lower bound."""
    spans = spans_of(range)
    return Column(BOOL, ~spans.empty & ~_has_value(spans.lower))


@scalar("upper_inf", [ANYRANGE], BOOL)
def upper_inf(range: Column) -> Column:
    """Whether it has no upper bound."""
    spans = spans_of(range)
    return Column(BOOL, ~spans.empty & ~_has_value(spans.upper))


def _constructors(type: Type, subtype: Type) -> None:
    @scalar(type.name, [subtype, subtype], type, strict=False)
    def half_open(low: Column, high: Column) -> Column:
        """The range from the first to the second, without the second; null: without an end there."""
        on = np.ones(len(low), np.bool_)
        return range_column(type, made(low, high, on, ~on))

    @scalar(type.name, [subtype, subtype, TEXT], type, strict=False)
    def flagged(low: Column, high: Column, flags: Column) -> Column:
        """The range from the first to the second, with its bounds as the third, such as '[)', tells."""
        marks = [_flags(text) for text in flags.tolist()]
        first = np.array([mark[0] for mark in marks], np.bool_)
        last = np.array([mark[1] for mark in marks], np.bool_)
        return range_column(type, made(low, high, first, last))


def _flags(text: str | None) -> tuple[bool, bool]:
    if text is None:
        raise DataException("range constructor flags argument must not be null")
    if text not in _FLAGS:
        raise SqlSyntaxError("invalid range bound flags", hint='Valid values are "[]", "[)", "(]", and "()".')
    return _FLAGS[text]


for _oid, (_subtype, _) in RANGES.items():
    _constructors(BY_OID[_oid], _subtype)


@scalar("range_cmp", [ANYRANGE, ANYRANGE], INT4)
def range_cmp(left: Column, right: Column) -> Column:
    """-1, 0 or 1: less, equal, greater."""
    a, b = spans_of(left), spans_of(right)
    by_lower = _truth(a.lower > b.lower).astype(np.int32) - _truth(a.lower < b.lower)
    by_upper = _truth(a.upper > b.upper).astype(np.int32) - _truth(a.upper < b.upper)
    inside = np.where(by_lower != 0, by_lower, by_upper)
    empty = b.empty.astype(np.int32) - a.empty
    return Column(INT4, np.where(_both(a, b), inside, empty).astype(np.int32))
