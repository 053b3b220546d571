"""Ordered-set aggregates: percentile_cont, percentile_disc, mode; hypothetical-set ones: rank and its kin.

An ordered set's rows come sorted within their group, without nulls. A hypothetical set's rows come in any
order; how many would stand before and beside the hypothetical row is counted by comparing order words of
both. Direct arguments have one row a group and come before `finish`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from engine.aggregates.collect import Collected
from engine.aggregates.registry import HYPOTHETICAL, aggregate
from engine.functions.calls import call
from engine.groups import number
from engine.lists import list_column, lists
from engine.orders import order_words
from storage.column import Array, Column, Positions
from storage.errors import NumericValueOutOfRange
from storage.indexes.comparable import Words
from storage.types import ANY, ANYARRAY, ANYELEMENT, FLOAT8, INT8, INTERVAL, Type, array_of


class _Percentiles(Collected):
    """Values at fractions of each group's sorted rows: one fraction a group, or an array of them."""

    strict: ClassVar[bool] = True

    def finish(self, count: int) -> Column:
        offsets, (values,) = self.ordered(count)
        given = self.direct[0].spread(count)
        if given.type.element is None:
            return self._at(given, np.arange(count), offsets, values)
        starts, fractions = lists(given)
        groups = np.repeat(np.arange(count), np.diff(starts))
        some = np.diff(offsets) > 0
        # the fractions of an array are not looked at where there are no rows
        fractions = fractions.with_valid(fractions.is_valid() & some[groups])
        items = self._at(fractions, groups, offsets, values)
        return list_column(self.result, starts, items, given.is_valid() & some)

    def _at(self, fractions: Column, groups: Positions, offsets: Array, values: Column) -> Column:
        """The value of each group at the fraction beside it; null where either is missing."""
        known = fractions.is_valid()
        shares = np.where(known, fractions.values, 0.0)
        rows = np.diff(offsets)[groups]
        wrong = np.flatnonzero(known & ~((shares >= 0) & (shares <= 1)))
        if len(wrong):
            raise NumericValueOutOfRange(
                f"percentile value {_shown(shares[wrong[0]])} is not between 0 and 1"
            )
        open_rows = np.flatnonzero(known & (rows > 0))
        found = self.value(shares[open_rows], offsets[groups[open_rows]], rows[open_rows], values)
        if len(open_rows) == len(groups):
            return found
        if not len(open_rows):
            return Column.nulls(found.type, len(groups))
        valid = np.zeros(len(groups), np.bool_)
        valid[open_rows] = True
        spread = found.take(np.maximum(np.cumsum(valid) - 1, 0))
        return spread.with_valid(valid & spread.is_valid())

    def value(self, shares: Array, firsts: Array, rows: Array, values: Column) -> Column:
        """The value at each share of `rows` rows, at least one, that stand from `firsts` on."""
        raise NotImplementedError


def _shown(value: float) -> str:
    return "NaN" if np.isnan(value) else f"{value:g}"


class PercentileDisc(_Percentiles):
    """The first value whose place in the order is at or behind the fraction."""

    def value(self, shares: Array, firsts: Array, rows: Array, values: Column) -> Column:
        places = np.maximum(np.ceil(shares * rows).astype(np.int64), 1) - 1
        return values.take(firsts + places)


class PercentileCont(_Percentiles):
    """The value at the fraction of the way through the order, between its neighbours where it meets none."""

    def value(self, shares: Array, firsts: Array, rows: Array, values: Column) -> Column:
        places = shares * (rows - 1)
        below = np.floor(places)
        low = values.take(firsts + below.astype(np.int64))
        high = values.take(firsts + np.ceil(places).astype(np.int64))
        part = Column(FLOAT8, places - below)
        if values.type.oid == FLOAT8.oid:
            with np.errstate(invalid="ignore", over="ignore"):
                between = low.values + part.values * (high.values - low.values)
            return Column(FLOAT8, np.where(part.values == 0, low.values, between))
        count = len(places)
        step = call("operator -(interval,interval)", [high, low], count, self.run, INTERVAL)
        step = call("operator *(interval,float8)", [step, part], count, self.run, INTERVAL)
        return call("operator +(interval,interval)", [low, step], count, self.run, INTERVAL).spread(count)


_ARRAY = array_of(FLOAT8)
for _fraction, _wrapped in ((FLOAT8, False), (_ARRAY, True)):
    _rest: list[tuple[Type, type[_Percentiles], str]] = [
        (FLOAT8, PercentileCont, "percentile_cont"),
        (INTERVAL, PercentileCont, "percentile_cont"),
        (ANYELEMENT, PercentileDisc, "percentile_disc"),
    ]
    for _value, _state, _name in _rest:
        _result = _value if not _wrapped else ANYARRAY if _value is ANYELEMENT else array_of(_value)
        aggregate(_name, [_fraction, _value], _result, ordered=True, direct=1)(_state)


@aggregate("mode", [ANYELEMENT], ANYELEMENT, ordered=True, direct=0)
class Mode(Collected):
    """The most frequent value, the first in the order of those that are; null without values."""

    strict: ClassVar[bool] = True

    def finish(self, count: int) -> Column:
        offsets, (values,) = self.ordered(count)
        groups = np.repeat(np.arange(count), np.diff(offsets))
        if not len(groups):
            return Column.nulls(self.result, count)
        numbers, firsts = number([Column(INT8, groups), values], len(groups))
        often = np.bincount(numbers)
        owners = groups[firsts]
        most = np.zeros(count, np.int64)
        np.maximum.at(most, owners, often)
        best = firsts[often == most[owners]]
        owners, places = np.unique(groups[best], return_index=True)
        valid = np.zeros(count, np.bool_)
        valid[owners] = True
        # the first of a group is the least row: `best` ascends within each
        chosen = values.take(best[places][np.maximum(np.cumsum(valid) - 1, 0)])
        return chosen if valid.all() else chosen.with_valid(valid)


class Hypothetical(Collected):
    """Where a row of the direct arguments would stand among its group's."""

    def finish(self, count: int) -> Column:
        offsets, columns = self.ordered(count)
        groups = np.repeat(np.arange(count), np.diff(offsets))
        words = self._words(columns, count)
        rows = len(groups)
        before, same = np.zeros(rows, np.bool_), np.ones(rows, np.bool_)
        for each in words:
            mine, theirs = each[:rows], each[rows:][groups]
            before |= same & (mine < theirs)
            same &= mine == theirs
        return self.answer(
            np.bincount(groups[before], minlength=count),
            np.bincount(groups[same], minlength=count),
            np.diff(offsets),
            lambda: _distinct(groups[before], [each[:rows][before] for each in words], count),
        )

    def _words(self, columns: Sequence[Column], count: int) -> list[Words]:
        """The order words of all rows, and behind them of each group's hypothetical one."""
        words: list[Words] = []
        for column, given, (descending, nulls_first) in zip(
            columns, self.direct, self.directions, strict=True
        ):
            both = Column.concat([column, given.spread(count).retype(column.type)])
            words += order_words(both, descending, nulls_first)[0]
        return words

    def answer(self, before: Array, same: Array, rows: Array, distinct: Any) -> Column:
        """The result, of how many rows stand before, beside, in all; `distinct` counts those before once."""
        raise NotImplementedError


def _distinct(groups: Positions, words: Sequence[Words], count: int) -> Array:
    """How many different words each group has."""
    columns = [Column(INT8, groups), *(Column(INT8, each.view(np.int64)) for each in words)]
    _, firsts = number(columns, len(groups))
    return np.bincount(groups[firsts], minlength=count)


class Rank(Hypothetical):
    """One more than the rows before it."""

    def answer(self, before: Array, same: Array, rows: Array, distinct: Any) -> Column:
        return Column(INT8, before + 1)


class DenseRank(Hypothetical):
    """One more than the different rows before it."""

    def answer(self, before: Array, same: Array, rows: Array, distinct: Any) -> Column:
        return Column(INT8, distinct() + 1)


class PercentRank(Hypothetical):
    """The part of the rows that stands before it; 0 without rows."""

    def answer(self, before: Array, same: Array, rows: Array, distinct: Any) -> Column:
        return Column(FLOAT8, before / np.maximum(rows, 1))


class CumeDist(Hypothetical):
    """The part of the rows, itself among them, that stands before or beside it."""

    def answer(self, before: Array, same: Array, rows: Array, distinct: Any) -> Column:
        return Column(FLOAT8, (before + same + 1) / (rows + 1))


for _name, _result, _place in (
    ("rank", INT8, Rank),
    ("dense_rank", INT8, DenseRank),
    ("percent_rank", FLOAT8, PercentRank),
    ("cume_dist", FLOAT8, CumeDist),
):
    aggregate(_name, [ANY], _result, table=HYPOTHETICAL, direct=1)(_place)
