"""count, sum and avg."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from engine.aggregates.exact import ExactSums
from engine.aggregates.registry import State, aggregate, grown
from engine.forms import vectors
from engine.frames import Pieces, differences, sizes
from engine.mixedscales import MixedScales
from engine.values import decimals
from engine.values.intervals import divided
from engine.values.units import largest
from engine.wordnumerics import WordNumerics, numerics
from storage import kernels
from storage.column import Array, Column, Positions
from storage.encodings.packedcolumn import PackedColumn
from storage.errors import DataException, NumericValueOutOfRange
from storage.types import (
    ANY,
    FLOAT4,
    FLOAT8,
    HALFVEC,
    INT2,
    INT4,
    INT8,
    INTERVAL,
    INTERVAL_DTYPE,
    MONEY,
    NUMERIC,
    VECTOR,
    Form,
)

_ZERO = Decimal(0)
_TOTAL = 1 << 63
_HIGH = 10**18 >> 32  # the upper half of a sum that counts in units is below it


class Counting(State):
    """A state that knows how many rows each group has."""

    def prepare(self) -> None:
        self.rows = np.zeros(0, np.int64)

    def grow(self, count: int) -> None:
        self.rows = grown(self.rows, count)

    def add(self, groups: Positions, columns: Sequence[Column]) -> None:
        kernels.count_groups(groups, self.rows)

    def take_counts(self, rows: Positions) -> None:
        """Have so many rows in each group: of an empty state."""
        self.count = len(rows)
        self.rows = rows

    def merge(self, other: Any, groups: Positions, count: int) -> None:
        self.reserve(count)
        np.add.at(self.rows, groups[: other.count], other.rows)

    def slide(self, columns: Sequence[Column], rows: int, pieces: Pieces, core: Any = None) -> Column | None:
        """A group a row and one for the core, then their differences."""
        groups, count = rows + (core is not None), len(pieces[0][0])
        self.reserve(groups)
        if rows:
            self.update(np.arange(rows), columns, groups)
        if core is not None:
            self.merge(core, np.full(1, rows), groups)
            pieces = (*pieces, (np.full(count, rows), np.full(count, groups)))
        if not self.slides():
            return None
        self.over(pieces)
        self.count = count
        return self.finish(count)

    def slides(self) -> bool:
        """Whether all that was added can be taken away again."""
        return True

    def over(self, pieces: Pieces) -> None:
        """Make frame i of the groups group i."""
        self.rows = differences(self.rows, pieces)

    def some(self, count: int) -> Array | None:
        """Groups with rows; None: all."""
        self.reserve(count)
        valid = self.rows[:count] > 0
        return None if valid.all() else valid


@aggregate("count", [], INT8)
@aggregate("count", [ANY], INT8)
class Count(Counting):
    """How many rows there are, or values that are not null."""

    def finish(self, count: int) -> Column:
        self.reserve(count)
        return Column(INT8, self.rows[:count])


class WholeSums(Counting):
    """Exact sums of integers, in two halves so that 2^31 rows of any bigint fit."""

    def prepare(self) -> None:
        super().prepare()
        self.high = np.zeros(0, np.int64)
        self.low = np.zeros(0, np.int64)

    def grow(self, count: int) -> None:
        super().grow(count)
        self.high, self.low = grown(self.high, count), grown(self.low, count)

    def add(self, groups: Positions, columns: Sequence[Column]) -> None:
        self.add_integers(groups, columns[0])

    def take_sums(self, rows: Positions, high: Positions, low: Positions, scale: int) -> None:
        """Have so many rows and these sums in each group: of an empty state. `scale`: of the units."""
        self.take_counts(rows)
        self.high, self.low = high, low

    def add_integers(self, groups: Positions, column: Column) -> None:
        """Add each value, or what counts its units, to its group; of packed blocks without unpacking them."""
        if self.count == 1 and isinstance(column, PackedColumn):
            high, low = column.total()
            self.rows[0] += len(groups)
            self.high[0] += high
            self.low[0] += low
            return
        values = column.values if column.units is None else column.units
        kernels.sum_integers(groups, values, self.rows, self.high, self.low)

    def merge(self, other: Any, groups: Positions, count: int) -> None:
        super().merge(other, groups, count)
        np.add.at(self.high, groups[: other.count], other.high)
        np.add.at(self.low, groups[: other.count], other.low)

    def over(self, pieces: Pieces) -> None:
        super().over(pieces)
        self.high, self.low = differences(self.high, pieces), differences(self.low, pieces)

    def slide(self, columns: Sequence[Column], rows: int, pieces: Pieces, core: Any = None) -> Column | None:
        """Off running totals, where one word is enough for them."""
        values = None if core is not None else self.whole(columns[0])
        if values is None or rows * largest(values) >= _TOTAL:
            return super().slide(columns, rows, pieces, core)
        count = len(pieces[0][0])
        self.reserve(count)
        self.rows = sizes(pieces)
        for first, stop in pieces:
            self.add_frames(values, first, stop)
        return self.finish(count)

    def whole(self, column: Column) -> Array | None:
        """A column's values as whole numbers, to be added to a state without rows; None: they are none."""
        values: Array = column.values
        return values

    def add_frames(self, values: Array, first: Positions, stop: Positions) -> None:
        """Add rows first[i] to stop[i] of the values to group i: see kernels.plain.slides."""
        kernels.slide_sums(values, first, stop, self.high, self.low)

    def averages(self, count: int, scale: int) -> Column:
        """The means, of units of 10^-scale, as numeric; null without values."""
        self.reserve(count)
        found = kernels.mean_words(self.rows[:count], self.high[:count], self.low[:count], scale)

        def exact(group: int) -> Decimal:
            total = (int(self.high[group]) << 32) + int(self.low[group])
            return decimals.divide(
                Decimal(total).scaleb(-scale, decimals.EXACT), Decimal(int(self.rows[group]))
            )

        return numerics(*found, exact)

    def totals(self, count: int) -> list[int]:
        """The sums as Python integers."""
        self.reserve(count)
        halves = zip(self.high[:count].tolist(), self.low[:count].tolist(), strict=True)
        return [(high << 32) + low for high, low in halves]

    def counted(self, count: int) -> Positions | None:
        """The sums as units of a column; None where one has too many digits for that."""
        self.reserve(count)
        low = self.low[:count]
        high = self.high[:count] + (low >> 32)
        if len(high) and (high.min() < -_HIGH or high.max() >= _HIGH):
            return None
        found: Positions = (high << 32) + (low & 0xFFFF_FFFF)
        return found


@aggregate("sum", [INT2], INT8)
@aggregate("sum", [INT4], INT8)
class SumSmall(WholeSums):
    """The sum, as bigint; null without values."""

    def finish(self, count: int) -> Column:
        valid = self.some(count)
        return Column(INT8, (self.high[:count] << 32) + self.low[:count], valid)


@aggregate("sum", [MONEY], MONEY)
class SumMoney(WholeSums):
    """The sum, as money; null without values."""

    def finish(self, count: int) -> Column:
        totals = self.totals(count)
        if any(not -(1 << 63) <= total < 1 << 63 for total in totals):
            raise NumericValueOutOfRange("money out of range")
        return Column(MONEY, np.array(totals, np.int64), self.some(count))


@aggregate("sum", [INT8], NUMERIC)
class SumBig(WholeSums):
    """The sum, as numeric; null without values."""

    def finish(self, count: int) -> Column:
        valid, units = self.some(count), self.counted(count)
        if units is not None:
            return Column.scaled(NUMERIC, units, 0, valid)
        return decimals.decimals([Decimal(total) for total in self.totals(count)], valid)


def means(totals: Sequence[Decimal], rows: Array) -> list[Decimal | None]:
    """Sums over counts, with the scale of a numeric quotient; None without rows."""
    pairs = zip(totals, rows.tolist(), strict=True)
    return [decimals.divide(total, Decimal(n)) if n else None for total, n in pairs]


@aggregate("avg", [INT2], NUMERIC)
@aggregate("avg", [INT4], NUMERIC)
@aggregate("avg", [INT8], NUMERIC)
class AverageWhole(WholeSums):
    """The mean, as numeric; null without values."""

    def finish(self, count: int) -> Column:
        return self.averages(count, 0)


class DecimalSums(WholeSums):
    """Exact sums of numeric: of units as whole numbers, of one scale at a time, of all else as Decimals."""

    def prepare(self) -> None:
        super().prepare()
        self.scale = 0  # of the units that are summed up
        self.seen = np.zeros(0, np.bool_)  # the groups that have such units
        self.others: dict[int, Decimal] = {}  # of groups that have others

    def grow(self, count: int) -> None:
        super().grow(count)
        self.seen = grown(self.seen, count)

    def add(self, groups: Positions, columns: Sequence[Column]) -> None:
        column = columns[0]
        if isinstance(column, MixedScales | WordNumerics):
            # the finest scale, which most have, comes last: it is the one that is gone on with
            for rows, piece in sorted(column.pieces(), key=lambda each: each[1].scale):
                self.add(groups[rows], [piece])
            return
        if isinstance(column, PackedColumn) or column.units is not None or not _is_decimal(column):
            self._rescale(column.scale)
            before = self.rows.copy()
            self.add_integers(groups, column)
            self.seen |= self.rows > before
            return
        kernels.count_groups(groups, self.rows)
        self.add_decimals(groups.tolist(), column.values.tolist())

    def add_decimals(self, groups: list[int], values: list[Decimal]) -> None:
        """Add values without units."""
        self.add_others(zip(groups, values, strict=True))

    def whole(self, column: Column) -> Array | None:
        self.scale = column.scale
        return column.units if _is_decimal(column) else super().whole(column)

    def add_frames(self, values: Array, first: Positions, stop: Positions) -> None:
        super().add_frames(values, first, stop)
        self.seen = self.rows > 0

    def take_sums(self, rows: Positions, high: Positions, low: Positions, scale: int) -> None:
        super().take_sums(rows, high, low, scale)
        self.scale, self.seen = scale, rows > 0

    def add_others(self, items: Iterable[tuple[int, Decimal]]) -> None:
        """Add values to groups, as Decimals."""
        others, plus = self.others, decimals.EXACT.add
        for group, value in items:
            before = others.get(group)
            others[group] = value if before is None else plus(before, value)

    def _rescale(self, scale: int) -> None:
        """Have units of another scale summed from now on."""
        if scale != self.scale and self.seen.any():
            self.put_aside()
        self.scale = scale

    def put_aside(self) -> None:
        """Go on without units."""
        self.add_others(self._unit_sums(self.count))
        self.high[:], self.low[:], self.seen[:] = 0, 0, False

    def merge(self, other: Any, groups: Positions, count: int) -> None:
        self.reserve(count)
        if other.seen.any():
            self._rescale(other.scale)
        super().merge(other, groups, count)
        self.seen[groups[: other.count][other.seen]] = True
        self.add_others((int(groups[group]), value) for group, value in other.others.items())

    def slides(self) -> bool:
        return not self.others

    def over(self, pieces: Pieces) -> None:
        super().over(pieces)
        self.seen = self.rows > 0

    def _unit_sums(self, count: int) -> Iterator[tuple[int, Decimal]]:
        """Groups that have units, and the sums of these."""
        totals = self.totals(count)
        for group in np.flatnonzero(self.seen[:count]).tolist():
            yield group, Decimal(totals[group]).scaleb(-self.scale, decimals.EXACT)

    def sums(self, count: int) -> list[Decimal]:
        """The sums, not checked for their range; of each group with the largest scale in it."""
        sums = [self.others.get(group, _ZERO) for group in range(count)] if self.others else [_ZERO] * count
        for group, units in self._unit_sums(count):
            sums[group] = decimals.EXACT.add(sums[group], units)
        return sums


def _is_decimal(column: Column) -> bool:
    return column.type.form is Form.DECIMAL


@aggregate("sum", [NUMERIC], NUMERIC)
class SumDecimal(DecimalSums):
    """The sum, with the largest scale; null without values."""

    def finish(self, count: int) -> Column:
        valid = self.some(count)
        units = None if self.others else self.counted(count)
        if units is not None:
            return Column.scaled(NUMERIC, units, self.scale, valid)
        return decimals.decimals([decimals.checked(t) for t in self.sums(count)], valid)


@aggregate("avg", [NUMERIC], NUMERIC)
class AverageDecimal(DecimalSums):
    """The mean; null without values."""

    def finish(self, count: int) -> Column:
        if not self.others:
            return self.averages(count, self.scale)
        return decimals.decimals(means(self.sums(count), self.rows[:count]), self.some(count))


class FloatSums(Counting):
    """Exact sums of floats."""

    def prepare(self) -> None:
        super().prepare()
        self.sums = ExactSums()

    def grow(self, count: int) -> None:
        super().grow(count)
        self.sums.grow(count)

    def add(self, groups: Positions, columns: Sequence[Column]) -> None:
        super().add(groups, columns)
        self.sums.add(groups, columns[0].values)

    def take_sums(self, rows: Positions, sums: ExactSums) -> None:
        """Have so many rows and these sums in each group: of an empty state."""
        self.take_counts(rows)
        self.sums = sums

    def merge(self, other: Any, groups: Positions, count: int) -> None:
        super().merge(other, groups, count)
        self.sums.merge(other.sums, groups)

    def over(self, pieces: Pieces) -> None:
        super().over(pieces)
        self.sums = self.sums.over(pieces)


@aggregate("sum", [FLOAT4], FLOAT4)
@aggregate("sum", [FLOAT8], FLOAT8)
class SumFloat(FloatSums):
    """The sum, rounded once; null without values."""

    def finish(self, count: int) -> Column:
        valid = self.some(count)
        totals = self.sums.floats()[:count]
        with np.errstate(over="ignore"):
            values = totals.astype(self.result.dtype)
        if (np.isinf(values) & np.isfinite(totals)).any():
            raise NumericValueOutOfRange("value out of range: overflow")
        return Column(self.result, values, valid)


@aggregate("avg", [FLOAT4], FLOAT8)
@aggregate("avg", [FLOAT8], FLOAT8)
class AverageFloat(FloatSums):
    """The mean; null without values."""

    def finish(self, count: int) -> Column:
        valid = self.some(count)
        return Column(FLOAT8, self.sums.floats()[:count] / np.maximum(self.rows[:count], 1), valid)


class IntervalSums(Counting):
    """Sums of intervals, field by field."""

    def prepare(self) -> None:
        super().prepare()
        self.fields = np.zeros((0, 3), np.int64)

    def grow(self, count: int) -> None:
        super().grow(count)
        self.fields = grown(self.fields, count)

    def add(self, groups: Positions, columns: Sequence[Column]) -> None:
        super().add(groups, columns)
        values = columns[0].values
        for at, field in enumerate(("months", "days", "micros")):
            np.add.at(self.fields[:, at], groups, values[field].astype(np.int64))

    def merge(self, other: Any, groups: Positions, count: int) -> None:
        super().merge(other, groups, count)
        np.add.at(self.fields, groups[: other.count], other.fields)

    def over(self, pieces: Pieces) -> None:
        super().over(pieces)
        self.fields = differences(self.fields, pieces)

    def intervals(self, count: int) -> Column:
        """The sums as intervals."""
        valid = self.some(count)
        fields = self.fields[:count]
        if (np.abs(fields[:, :2]) > np.iinfo(np.int32).max).any():
            raise NumericValueOutOfRange("interval out of range")
        values = np.zeros(count, INTERVAL_DTYPE)
        values["months"], values["days"], values["micros"] = fields.T
        return Column(INTERVAL, values, valid)


@aggregate("sum", [INTERVAL], INTERVAL)
class SumInterval(IntervalSums):
    """The sum; null without values."""

    def finish(self, count: int) -> Column:
        return self.intervals(count)


@aggregate("avg", [INTERVAL], INTERVAL)
class AverageInterval(IntervalSums):
    """The mean; null without values."""

    def finish(self, count: int) -> Column:
        total = self.intervals(count)
        rows = np.maximum(self.rows[:count], 1).astype(np.float64)
        return Column(INTERVAL, divided(total.values, rows), total.valid)


@aggregate("sum", [VECTOR], VECTOR)
@aggregate("sum", [HALFVEC], HALFVEC)
class SumVector(Counting):
    """The sum, element by element; null without values."""

    def prepare(self) -> None:
        super().prepare()
        self.sums = ExactSums()
        self.starts, self.widths = np.zeros(0, np.int64), np.zeros(0, np.int64)

    def grow(self, count: int) -> None:
        super().grow(count)
        self.starts, self.widths = grown(self.starts, count), grown(self.widths, count)

    def slide(self, columns: Sequence[Column], rows: int, pieces: Pieces, core: Any = None) -> Column | None:
        return None  # a row's sums take many times the row's own bytes

    def slides(self) -> bool:
        return False

    def _places(self, groups: Positions, widths: Positions) -> Positions:
        """Where the sums of these groups' elements stand, whose vectors have so many, one after another.

        A group's first vector says how many elements all of its vectors have.
        """
        fresh, first = np.unique(groups, return_index=True)
        first, fresh = first[self.widths[fresh] == 0], fresh[self.widths[fresh] == 0]
        ends = self.sums.count + np.cumsum(widths[first])
        self.starts[fresh], self.widths[fresh] = ends - widths[first], widths[first]
        self.sums.grow(int(ends[-1]) if len(ends) else self.sums.count)
        wrong = np.flatnonzero(self.widths[groups] != widths)
        if len(wrong):
            known, given = self.widths[groups[wrong[0]]], widths[wrong[0]]
            raise DataException(f"expected {known} dimensions, not {given}")
        return spans(self.starts[groups], widths)

    def add(self, groups: Positions, columns: Sequence[Column]) -> None:
        super().add(groups, columns)
        elements, offsets = vectors.elements_of(columns[0])
        self.sums.add(self._places(groups, np.diff(offsets)), elements)

    def merge(self, other: Any, groups: Positions, count: int) -> None:
        super().merge(other, groups, count)
        theirs = np.flatnonzero(other.widths)
        mine = self._places(groups[theirs], other.widths[theirs])
        places = np.empty(other.sums.count, np.int64)
        places[spans(other.starts[theirs], other.widths[theirs])] = mine
        self.sums.merge(other.sums, places)

    def finish(self, count: int) -> Column:
        return self.vectors(count, np.ones(count, np.int64))

    def vectors(self, count: int, divisors: Array) -> Column:
        """The sums over divisors, as elements."""
        valid = self.some(count)
        starts, widths = self.starts[:count], self.widths[:count]
        totals = self.sums.floats()[spans(starts, widths)]
        with np.errstate(over="ignore"):
            elements = (totals / np.repeat(divisors, widths)).astype(self.result.dtype)
        if np.isinf(elements).any():
            raise NumericValueOutOfRange("value out of range: overflow")
        return vectors.of_elements(self.result.base, elements, widths, valid)


def spans(starts: Positions, lengths: Positions) -> Positions:
    """start, start + 1, ... of each start, as many as its length says, one after another."""
    before = np.cumsum(lengths) - lengths
    places: Positions = np.arange(int(lengths.sum())) + np.repeat(starts - before, lengths)
    return places


@aggregate("avg", [VECTOR], VECTOR)
@aggregate("avg", [HALFVEC], HALFVEC)
class AverageVector(SumVector):
    """The mean, element by element; null without values."""

    def finish(self, count: int) -> Column:
        self.reserve(count)
        return self.vectors(count, np.maximum(self.rows[:count], 1))
