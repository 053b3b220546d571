"""Ordered-set aggregates: percentile_cont, percentile_disc, mode; hypothetical-set ones: rank and its kin.

An ordered set's rows come sorted within their group, without nulls; of values of fixed width percentiles are
found without that (engine.aggregates.selection). A hypothetical set's rows come in any
order; how many would stand before and beside the hypothetical row is counted by comparing order words of
both. Direct arguments have one row a group and come before `finish`.

Where rows are too many to be held they come sorted (State.expect), and of them only those at the places that
fractions name are kept, or the most frequent values, or counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from typing import Any, ClassVar

import numpy as np

from engine.aggregates.collect import Collected
from engine.aggregates.registry import HYPOTHETICAL, aggregate
from engine.aggregates.selection import Selection, is_selectable
from engine.functions.calls import call
from engine.groups import number
from engine.lists import bounds, list_column, lists
from engine.orders import order_words
from storage.column import Array, Column, Positions
from storage.errors import NumericValueOutOfRange
from storage.indexes.comparable import Words
from storage.types import ANY, ANYARRAY, ANYELEMENT, FLOAT8, INT8, INTERVAL, Type, array_of

Take = Callable[[Positions], Column]
"""Values by their places in the order."""


class _Percentiles(Collected):
    """Values at fractions of each group's sorted rows: one fraction a group, or an array of them."""

    strict: ClassVar[bool] = True
    picks: ClassVar[bool] = True

    @classmethod
    def needs_order(cls, arguments: Sequence[Type]) -> bool:
        return not is_selectable(arguments[-1])

    def prepare(self) -> None:
        super().prepare()
        type = self.arguments[-1]
        self.selection = Selection(type, self.run) if is_selectable(type) else None
        self.offsets: Array | None = None  # of the rows that `expect` speaks of
        self.wanted = np.zeros(0, np.int64)  # the places whose values are kept, ascending
        self.seen = 0

    def expect(self, rows: Positions) -> None:
        self.offsets = np.append(0, np.cumsum(rows))
        self.wanted = self._asked(self.offsets, len(rows))

    def _asked(self, offsets: Array, count: int) -> Positions:
        """The places whose values are asked for, ascending, of groups whose rows stand at `offsets`."""
        asked: list[Positions] = []

        def noted(places: Positions) -> Column:
            asked.append(places)
            return Column.nulls(self.arguments[-1], len(places))

        self._answers(offsets, noted, count)
        return np.unique(np.concatenate([*asked, np.zeros(0, np.int64)]))

    def _selected(self, selection: Selection, count: int) -> Column:
        """The results, of rows that came in any order."""
        offsets = selection.offsets(count)
        wanted = self._asked(offsets, count)
        groups = np.searchsorted(offsets, wanted, side="right") - 1
        descending = bool(self.directions) and self.directions[0][0]
        there = offsets[groups] + offsets[groups + 1] - 1 - wanted if descending else wanted
        order = np.argsort(there)
        values = selection.at(there[order], count)
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return self._answers(
            offsets, lambda places: values.take(back[np.searchsorted(wanted, places)]), count
        )

    def add(self, groups: Positions, columns: Sequence[Column]) -> None:
        if self.offsets is None and self.selection is not None:
            self.selection.add(groups, columns[-1], self.count)
            return
        if self.offsets is None:
            super().add(groups, columns)
            return
        first, last = np.searchsorted(self.wanted, (self.seen, self.seen + len(groups)))
        rows = self.wanted[first:last] - self.seen
        self.seen += len(groups)
        if len(rows):
            super().add(groups[rows], [column.take(rows) for column in columns])

    def merge(self, other: Any, groups: Positions, count: int) -> None:
        super().merge(other, groups, count)
        if self.selection is not None:
            self.selection.merge(other.selection, groups)

    def rows_kept(self) -> tuple[Positions, Sequence[Column]]:
        if self.selection is None or self.offsets is not None:
            return super().rows_kept()
        groups, column = self.selection.rows()
        return groups, [column]

    def finish(self, count: int) -> Column:
        if self.offsets is None and self.selection is not None:
            return self._selected(self.selection, count)
        if self.offsets is None:
            offsets, (values,) = self.ordered(count)
            return self._answers(offsets, values.take, count)
        _, (values,) = self.ordered(count)
        return self._answers(
            self.offsets, lambda places: values.take(np.searchsorted(self.wanted, places)), count
        )

    def _answers(self, offsets: Array, take: Take, count: int) -> Column:
        """The results, of groups whose rows stand at `offsets`."""
        given = self.direct[0].spread(count)
        if given.type.element is None:
            return self._at(given, np.arange(count), offsets, take)
        starts, fractions = lists(given)
        groups = np.repeat(np.arange(count), np.diff(starts))
        some = np.diff(offsets) > 0
        # the fractions of an array are not looked at where there are no rows
        fractions = fractions.with_valid(fractions.is_valid() & some[groups])
        items = self._at(fractions, groups, offsets, take)
        return list_column(self.result, starts, items, given.is_valid() & some, bounds=bounds(given))

    def _at(self, fractions: Column, groups: Positions, offsets: Array, take: Take) -> Column:
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
        found = self.value(shares[open_rows], offsets[groups[open_rows]], rows[open_rows], take)
        if len(open_rows) == len(groups):
            return found
        if not len(open_rows):
            return Column.nulls(found.type, len(groups))
        valid = np.zeros(len(groups), np.bool_)
        valid[open_rows] = True
        spread = found.take(np.maximum(np.cumsum(valid) - 1, 0))
        return spread.with_valid(valid & spread.is_valid())

    def value(self, shares: Array, firsts: Array, rows: Array, take: Take) -> Column:
        """The value at each share of `rows` rows, at least one, that stand from `firsts` on."""
        raise NotImplementedError


def _shown(value: float) -> str:
    return "NaN" if np.isnan(value) else f"{value:g}"


class PercentileDisc(_Percentiles):
    """The first value whose place in the order is at or behind the fraction."""

    def value(self, shares: Array, firsts: Array, rows: Array, take: Take) -> Column:
        places = np.maximum(np.ceil(shares * rows).astype(np.int64), 1) - 1
        return take(firsts + places)


class PercentileCont(_Percentiles):
    """The value at the fraction of the way through the order, between its neighbours where it meets none."""

    def value(self, shares: Array, firsts: Array, rows: Array, take: Take) -> Column:
        places = shares * (rows - 1)
        below = np.floor(places)
        low = take(firsts + below.astype(np.int64))
        high = take(firsts + np.ceil(places).astype(np.int64))
        part = Column(FLOAT8, places - below)
        if low.type.oid == FLOAT8.oid:
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
    picks: ClassVar[bool] = True

    def prepare(self) -> None:
        super().prepare()
        # if rows come in order: of each group the most frequent value, and the last one, which may go on
        self.runs: _ValueRuns | None = None

    def expect(self, rows: Positions) -> None:
        self.runs = _ValueRuns.of(np.zeros(0, np.int64), Column.of(self.arguments[-1], []))

    def add(self, groups: Positions, columns: Sequence[Column]) -> None:
        if self.runs is None:
            super().add(groups, columns)
            return
        more = _ValueRuns.of(groups, columns[0])
        self.runs = self.runs.followed_by(more) if len(self.runs.groups) else more
        last = len(self.runs.groups) - 1
        self.runs = self.runs.take(np.union1d(self.runs.longest(), [last]))

    def finish(self, count: int) -> Column:
        runs = self.runs
        if runs is None:
            offsets, (values,) = self.ordered(count)
            runs = _ValueRuns.of(np.repeat(np.arange(count), np.diff(offsets)), values)
        if not len(runs.groups):
            return Column.nulls(self.result, count)
        best = runs.take(runs.longest())
        valid = np.zeros(count, np.bool_)
        valid[best.groups] = True
        chosen = best.values.take(np.maximum(np.cumsum(valid) - 1, 0))
        return chosen if valid.all() else chosen.with_valid(valid)


@dataclass(frozen=True)
class _ValueRuns:
    """Sorted rows by group and value: each pair once, and how often it came."""

    groups: Positions
    values: Column
    often: Positions

    @classmethod
    def of(cls, groups: Positions, values: Column) -> _ValueRuns:
        """Those of rows."""
        return cls(groups, values, np.ones(len(groups), np.int64))._united()

    def followed_by(self, other: _ValueRuns) -> _ValueRuns:
        """These and others behind them, whose first may be the last of these."""
        return _ValueRuns(
            np.concatenate([self.groups, other.groups]),
            Column.concat([self.values, other.values]),
            np.concatenate([self.often, other.often]),
        )._united()

    def _united(self) -> _ValueRuns:
        numbers, firsts = number([Column(INT8, self.groups), self.values], len(self.groups))
        often = np.zeros(len(firsts), np.int64)
        np.add.at(often, numbers, self.often)
        return _ValueRuns(self.groups[firsts], self.values.take(firsts), often)

    def take(self, rows: Positions) -> _ValueRuns:
        """Those of them."""
        return _ValueRuns(self.groups[rows], self.values.take(rows), self.often[rows])

    def longest(self) -> Positions:
        """The most frequent of each group, of several the first; ascending."""
        if not len(self.groups):
            return np.zeros(0, np.int64)
        starts = np.flatnonzero(np.diff(self.groups, prepend=-1))
        most = np.repeat(
            np.maximum.reduceat(self.often, starts), np.diff(np.append(starts, len(self.groups)))
        )
        best = np.flatnonzero(self.often == most)
        return best[np.flatnonzero(np.diff(self.groups[best], prepend=-1))]


class Hypothetical(Collected):
    """Where a row of the direct arguments would stand among its group's."""

    picks: ClassVar[bool] = True
    counts_different: ClassVar[bool] = False

    def prepare(self) -> None:
        super().prepare()
        # if rows come in order: what has been counted of each group, and the last row
        self.counts: _Places | None = None
        self.last: tuple[Positions, list[Column]] | None = None

    def expect(self, rows: Positions) -> None:
        nothing = np.zeros(len(rows), np.int64)
        self.counts = _Places(nothing, nothing, nothing, nothing)

    def add(self, groups: Positions, columns: Sequence[Column]) -> None:
        if self.counts is None:
            super().add(groups, columns)
            return
        last, count = self.last, len(self.counts.rows)
        both = groups, list(columns)
        if last is not None:
            both = (
                np.concatenate([last[0], groups]),
                [Column.concat(pair) for pair in zip(last[1], columns, strict=True)],
            )
        found = self._counted(*both, count)
        if last is not None:
            found = found.plus(self._counted(*last, count), -1)
        self.counts = self.counts.plus(found)
        self.last = groups[-1:], [column.slice(len(groups) - 1, len(groups)) for column in columns]

    def finish(self, count: int) -> Column:
        if self.counts is not None:
            return self.answer(self.counts)
        offsets, columns = self.ordered(count)
        groups = np.repeat(np.arange(count), np.diff(offsets))
        return self.answer(self._counted(groups, columns, count))

    def _counted(self, groups: Positions, columns: Sequence[Column], count: int) -> _Places:
        """What these rows say of their groups, of `count`."""
        some, mine = np.unique(groups, return_inverse=True)
        rows = len(groups)
        words = self._words(columns, some, count)
        before, same = np.zeros(rows, np.bool_), np.ones(rows, np.bool_)
        for each in words:
            theirs = each[rows:][mine]
            before |= same & (each[:rows] < theirs)
            same &= each[:rows] == theirs
        different = np.zeros(count, np.int64)
        if self.counts_different:
            different = _distinct(groups[before], [each[:rows][before] for each in words], count)
        before_of, same_of = (np.bincount(groups[kept], minlength=count) for kept in (before, same))
        return _Places(before_of, same_of, np.bincount(groups, minlength=count), different)

    def _words(self, columns: Sequence[Column], groups: Positions, count: int) -> list[Words]:
        """The order words of all rows, and behind them of the hypothetical ones of these groups."""
        words: list[Words] = []
        for column, given, (descending, nulls_first) in zip(
            columns, self.direct, self.directions, strict=True
        ):
            theirs = given.spread(count).take(groups).retype(column.type)
            words += order_words(Column.concat([column, theirs]), descending, nulls_first)[0]
        return words

    def answer(self, places: _Places) -> Column:
        """The result."""
        raise NotImplementedError


@dataclass(frozen=True)
class _Places:
    """(groups,) each: rows before the hypothetical one, beside it, in all; how many different ones before."""

    before: Positions
    same: Positions
    rows: Positions
    different: Positions

    def plus(self, other: _Places, times: int = 1) -> _Places:
        """With the rows of another, or, -1 times, without them."""
        return _Places(
            *(mine + times * more for mine, more in zip(astuple(self), astuple(other), strict=True))
        )


def _distinct(groups: Positions, words: Sequence[Words], count: int) -> Array:
    """How many different words each group has."""
    columns = [Column(INT8, groups), *(Column(INT8, each.view(np.int64)) for each in words)]
    _, firsts = number(columns, len(groups))
    return np.bincount(groups[firsts], minlength=count)


class Rank(Hypothetical):
    """One more than the rows before it."""

    def answer(self, places: _Places) -> Column:
        return Column(INT8, places.before + 1)


class DenseRank(Hypothetical):
    """One more than the different rows before it."""

    counts_different: ClassVar[bool] = True

    def answer(self, places: _Places) -> Column:
        return Column(INT8, places.different + 1)


class PercentRank(Hypothetical):
    """The part of the rows that stands before it; 0 without rows."""

    def answer(self, places: _Places) -> Column:
        return Column(FLOAT8, places.before / np.maximum(places.rows, 1))


class CumeDist(Hypothetical):
    """The part of the rows, itself among them, that stands before or beside it."""

    def answer(self, places: _Places) -> Column:
        return Column(FLOAT8, (places.before + places.same + 1) / (places.rows + 1))


for _name, _result, _place in (
    ("rank", INT8, Rank),
    ("dense_rank", INT8, DenseRank),
    ("percent_rank", FLOAT8, PercentRank),
    ("cume_dist", FLOAT8, CumeDist),
):
    aggregate(_name, [ANY], _result, table=HYPOTHETICAL, direct=1)(_place)
