"""Variance and standard deviation, covariance, correlation and regression.

Sums of values, squares and products are exact; a quotient is taken once, in the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, ClassVar

import numpy as np

from engine.aggregates.exact import ExactSums
from engine.aggregates.registry import aggregate, grown
from engine.aggregates.sums import Counting, DecimalSums
from engine.frames import Pieces, differences
from engine.values import decimals
from engine.wordnumerics import numerics
from storage import kernels
from storage.column import Array, Column, Positions
from storage.errors import NumericValueOutOfRange
from storage.kernels.plain.doubles import products
from storage.kernels.plain.moments import DIGITS, LEFT
from storage.kernels.plain.spreads import EXACT, SURE
from storage.kernels.plain.sums import LOW
from storage.types import FLOAT4, FLOAT8, INT2, INT4, INT8, NUMERIC, Type

Near = Callable[..., tuple[Array, Array, Array]]
Halves = tuple[Positions, Positions]  # sums as kernels.plain.sums has them
_ZERO = Decimal(0)

# (name, whether over n - 1, whether the root is taken)
_FAMILY = (
    ("var_pop", False, False),
    ("var_samp", True, False),
    ("variance", True, False),
    ("stddev_pop", False, True),
    ("stddev_samp", True, True),
    ("stddev", True, True),
)


class Spread(DecimalSums):
    """Exact sums of numbers and of their squares."""

    sample: bool
    root: bool

    def prepare(self) -> None:
        super().prepare()
        self.squares = np.zeros((0, DIGITS), np.int64)
        self.other_squares: dict[int, Decimal] = {}

    def grow(self, count: int) -> None:
        super().grow(count)
        self.squares = grown(self.squares, count)

    def add_integers(self, groups: Positions, column: Column) -> None:
        values = column.values if column.units is None else column.units
        kernels.sum_squares(groups, values, self.rows, self.high, self.low, self.squares)

    def take_squares(self, rows: Positions, sums: Halves, squares: Halves, scale: int) -> None:
        """Have so many rows, these sums and sums of squares in each group: of an empty state."""
        self.take_sums(rows, *sums, scale)
        high, low = squares
        digits = (low & LOW, high & LOW, high >> 32, np.zeros_like(low))
        self.squares = np.ascontiguousarray(np.stack(digits, axis=1))

    def add_decimals(self, groups: list[int], values: list[Decimal]) -> None:
        super().add_decimals(groups, values)
        times = decimals.EXACT.multiply
        self._add_squares((group, times(value, value)) for group, value in zip(groups, values, strict=True))

    def _add_squares(self, items: Iterable[tuple[int, Decimal]]) -> None:
        """Add squares to groups, as Decimals."""
        others, plus = self.other_squares, decimals.EXACT.add
        for group, value in items:
            before = others.get(group)
            others[group] = value if before is None else plus(before, value)

    def put_aside(self) -> None:
        self._add_squares((group, self._square(group)) for group in np.flatnonzero(self.seen).tolist())
        super().put_aside()
        self.squares[:] = 0

    def merge(self, other: Any, groups: Positions, count: int) -> None:
        super().merge(other, groups, count)
        for place in range(DIGITS):
            np.add.at(self.squares[:, place], groups[: other.count], other.squares[:, place])
        self._add_squares((int(groups[group]), value) for group, value in other.other_squares.items())

    def over(self, pieces: Pieces) -> None:
        super().over(pieces)
        self.squares = differences(self.squares, pieces)

    def add_frames(self, values: Array, first: Positions, stop: Positions) -> None:
        kernels.slide_squares(values, first, stop, self.high, self.low, self.squares)
        self.seen = self.rows > 0

    def finish(self, count: int) -> Column:
        self.reserve(count)
        rows, high, low, squares = (each[:count] for each in (self.rows, self.high, self.low, self.squares))
        words, scales = kernels.variance_words(rows, high, low, squares, self.scale, self.sample, self.root)
        scales[[group for group in self.others if group < count]] = LEFT
        return numerics(words, scales, self._answer)

    def _square(self, group: int) -> Decimal:
        """The sum of the squares of a group's units."""
        digits = self.squares[group].tolist()
        total = sum(digit << 32 * place for place, digit in enumerate(digits))
        return Decimal(total).scaleb(-2 * self.scale, decimals.EXACT)

    def _answer(self, group: int) -> Decimal | None:
        rows = int(self.rows[group])
        if rows <= self.sample:
            return None
        context = decimals.EXACT
        total, square = self.others.get(group, _ZERO), self.other_squares.get(group, _ZERO)
        if self.seen[group]:
            units = (int(self.high[group]) << 32) + int(self.low[group])
            total = context.add(total, Decimal(units).scaleb(-self.scale, context))
            square = context.add(square, self._square(group))
        if not total.is_finite():
            return decimals.NAN
        over = context.subtract(context.multiply(Decimal(rows), square), context.multiply(total, total))
        if over <= 0:
            return _ZERO
        under = Decimal(rows * (rows - self.sample))
        scale = decimals.quotient_scale(over, under)
        answer = decimals.rounded(decimals.quotient(over, under, scale), scale)
        return _root(answer, scale) if self.root else answer


def _root(value: Decimal, scale: int) -> Decimal:
    context = decimals.EXACT.copy()
    # a root may lie as near to a half of the last digit as its own digits tell
    context.prec = max(value.adjusted() + 2 * scale + 10, 20)
    return decimals.rounded(context.sqrt(value), scale)


class Moments(Counting):
    """Exact sums of y, x, y y, x x and x y; variances have y alone."""

    answer: Callable[..., float | None]
    """Of how many rows there are, what a unit is a part of, y and x in units, and y y, x x and x y in their
    squares."""
    quick: ClassVar[Callable[..., tuple[Array, Array, Array]] | None] = None
    """Of arrays of rows and of whole sums: the answers, where they are null, and which of these are sure."""
    near: ClassVar[Near | None] = None
    """The same, of exact sums."""

    def prepare(self) -> None:
        super().prepare()
        self.pairs = len(self.arguments) == 2
        self.sums = [ExactSums() for _ in range(5 if self.pairs else 2)]

    def grow(self, count: int) -> None:
        super().grow(count)
        for sums in self.sums:
            sums.grow(count)

    def take_sums(self, rows: Positions, sums: list[ExactSums]) -> None:
        """Have so many rows and these sums in each group: of an empty state."""
        self.take_counts(rows)
        self.sums = sums

    def add(self, groups: Positions, columns: Sequence[Column]) -> None:
        super().add(groups, columns)
        y = columns[0].values.astype(np.float64)
        factors = [(y, y)]
        self.sums[0].add(groups, y)
        if self.pairs:
            x = columns[1].values.astype(np.float64)
            self.sums[2].add(groups, x)
            factors += [(x, x), (x, y)]
        for sums, (a, b) in zip((self.sums[1], *self.sums[3:]), factors, strict=True):
            product, error = products(a, b)
            if (np.isinf(product) & np.isfinite(a) & np.isfinite(b)).any():
                raise NumericValueOutOfRange("value out of range: overflow")
            sums.add(groups, product)
            if error is not None:
                sums.add(groups, error)

    def merge(self, other: Any, groups: Positions, count: int) -> None:
        super().merge(other, groups, count)
        for mine, theirs in zip(self.sums, other.sums, strict=True):
            mine.merge(theirs, groups)

    def over(self, pieces: Pieces) -> None:
        super().over(pieces)
        self.sums = [sums.over(pieces) for sums in self.sums]

    def finish(self, count: int) -> Column:
        self.reserve(count)
        values, null, sure = self._quick(count)
        left = np.flatnonzero(~sure)
        for group, answer in zip(left.tolist(), self._answers(left), strict=True):
            values[group], null[group] = answer or 0, answer is None
        return Column(self.result, values, ~null if null.any() else None)

    def _quick(self, count: int) -> tuple[Array, Array, Array]:
        """The results, where they are null, and where both are for sure."""
        assert self.result.dtype is not None
        nothing = np.zeros(count, np.bool_)
        if self.quick is not None and not any(sums.special().any() for sums in self.sums):
            whole = [sums.integers() for sums in self.sums]
            if not any(sums is None for sums in whole):
                return type(self).quick(self.rows[:count], *whole)  # type: ignore[misc]
        if self.near is not None:
            values, null, sure = type(self).near(self.rows[:count], *self.sums)  # type: ignore[misc]
            for sums in self.sums:
                sure &= ~sums.special()[:count]
            return values, null, sure
        return np.zeros(count, self.result.dtype), nothing, nothing.copy()

    def _answers(self, groups: Positions) -> Iterator[float | None]:
        """The results of groups, one by one."""
        if not len(groups):
            return
        mine = [sums.of_groups(groups) for sums in self.sums]
        special = np.logical_or.reduce([sums.special() for sums in mine])
        lone, squares = (mine[0], *mine[2:3]), (mine[1], *mine[3:])
        bits = max(*(sums.bits for sums in lone), *((sums.bits + 1) // 2 for sums in squares))
        whole = [sums.whole(bits if sums in lone else 2 * bits) for sums in mine]
        for at, rows in enumerate(self.rows[groups].tolist()):
            answer = type(self).answer(rows, 1 << bits, *(sums[at] for sums in whole))
            yield math.nan if answer is not None and special[at] else answer


_ROOT_BITS = 256
"""Bits of a root that is divided by: so many that the quotient is rounded as if it had all of them."""


def _ratio(over: int, under: int) -> float:
    """A quotient of integers, rounded once; infinite where it is too large."""
    try:
        return over / under
    except OverflowError:
        return math.inf if (over > 0) == (under > 0) else -math.inf


def _spread(sample: bool, root: bool) -> Callable[..., float | None]:
    def answer(n: int, unit: int, y: int, yy: int) -> float | None:
        if n <= sample:
            return None
        under = n * (n - 1) if sample else n * n
        variance = _ratio(max(n * yy - y * y, 0), under * unit * unit)
        return math.sqrt(variance) if root else variance

    return answer


def _near_spread(sample: bool, root: bool) -> Near:
    """`_spread` of groups that a few doubles decide: see kernels.plain.spreads."""

    def answers(rows: Positions, y: ExactSums, yy: ExactSums) -> tuple[Array, Array, Array]:
        # a look at the digits may move the lowest of them
        sums, squares = (each.digits()[: len(rows)] for each in (y, yy))
        values, sure = kernels.near_variances(rows, sums, y.low, squares, yy.low, sample, root)
        return values, rows <= sample, sure

    return answers


def _moments(
    name: str,
    doc: str,
    answer: Callable[..., float | None],
    quick: Callable[..., Any] | None = None,
    near: Near | None = None,
) -> type[Moments]:
    given = {
        "answer": staticmethod(answer),
        "quick": quick and staticmethod(quick),
        "near": near and staticmethod(near),
        "__doc__": doc,
    }
    return type(name, (Moments,), given)


for _name, _sample, _root_taken in _FAMILY:
    _doc = ("Standard deviation" if _root_taken else "Variance") + (
        " of the population, estimated from a sample." if _sample else " of these values."
    )
    _decimal = type(_name, (Spread,), {"sample": _sample, "root": _root_taken, "__doc__": _doc})
    for _type in (INT2, INT4, INT8, NUMERIC):
        aggregate(_name, [_type], NUMERIC)(_decimal)
    _exact, _near = _spread(_sample, _root_taken), _near_spread(_sample, _root_taken)
    _float = _moments(_name, _doc, _exact, near=_near)
    for _type in (FLOAT4, FLOAT8):
        aggregate(_name, [_type], FLOAT8)(_float)


def _deviations(n: Any, y: Any, yy: Any, x: Any, xx: Any, xy: Any) -> tuple[Any, Any, Any]:
    """n times the sums of (x - mean)^2, (y - mean)^2 and their products, in squares of the unit."""
    return n * xx - x * x, n * yy - y * y, n * xy - x * y


def _two(
    name: str,
    doc: str,
    least: int,
    answer: Callable[..., float | None],
    result: Type = FLOAT8,
    quick: Callable[..., Any] | None = None,
) -> None:
    def checked(n: int, unit: int, *sums: int) -> float | None:
        return None if n < least else answer(n, unit, *sums)

    aggregate(name, [FLOAT8, FLOAT8], result)(_moments(name, doc, checked, quick))


def _correlation(n: int, unit: int, *sums: int) -> float | None:
    sxx, syy, sxy = _deviations(n, *sums)
    if not sxx or not syy:
        return None
    product, shift = sxx * syy, _ROOT_BITS
    # as many bits as the quotient needs, whatever the unit is: roots of long numbers take long
    shift -= product.bit_length() // 2
    product, sxy = (product << 2 * shift, sxy << shift) if shift > 0 else (product, sxy)
    return _ratio(sxy, math.isqrt(product))


def _quick_correlation(
    n: Positions, y: Positions, yy: Positions, x: Positions, xx: Positions, xy: Positions
) -> tuple[Array, Array, Array]:
    """`_correlation` of groups with sums below 2^53, in pairs of doubles: most are as good as rounded once.

    A value is for sure where another within SURE of the quotient would be rounded to the same double.
    """
    rows = n.astype(np.float64)
    sure = (rows * xx < EXACT) & (rows * yy < EXACT)
    sxx, syy, sxy = (np.where(sure, each, 1) for each in _deviations(n, y, yy, x, xx, xy))
    null = (sxx == 0) | (syy == 0)
    sxx, syy = (np.where(null, 1, each).astype(np.float64) for each in (sxx, syy))
    over = sxy.astype(np.float64)
    product, more = products(sxx, syy)
    root = np.sqrt(product)
    square, error = products(root, root)
    rest = (product - square - (0 if error is None else error) + (0 if more is None else more)) / (2 * root)
    value = over / root
    back, error = products(value, root)
    correction = (over - back - (0 if error is None else error) - value * rest) / root
    rounded = value + correction
    correction -= rounded - value
    margin = np.abs(rounded) * SURE
    sure &= (rounded + (correction + margin) == rounded) & (rounded + (correction - margin) == rounded)
    return rounded, null, sure


def _slope(n: int, unit: int, *sums: int) -> float | None:
    sxx, _, sxy = _deviations(n, *sums)
    return _ratio(sxy, sxx) if sxx else None


def _intercept(n: int, unit: int, *sums: int) -> float | None:
    y, _, x, _, _ = sums
    sxx, _, sxy = _deviations(n, *sums)
    return _ratio(y * sxx - x * sxy, n * unit * sxx) if sxx else None


def _determination(n: int, unit: int, *sums: int) -> float | None:
    sxx, syy, sxy = _deviations(n, *sums)
    if not sxx:
        return None
    return _ratio(sxy * sxy, sxx * syy) if syy else 1.0


_two("corr", "Correlation.", 1, _correlation, quick=_quick_correlation)
_two("covar_pop", "Covariance.", 1, lambda n, u, *s: _ratio(_deviations(n, *s)[2], n * n * u * u))
_two(
    "covar_samp",
    "Covariance of a sample.",
    2,
    lambda n, u, *s: _ratio(_deviations(n, *s)[2], n * (n - 1) * u * u),
)
_two("regr_slope", "Slope of the line through the points (x, y).", 1, _slope)
_two("regr_intercept", "Where the line through the points meets x = 0.", 1, _intercept)
_two("regr_r2", "Square of the correlation.", 1, _determination)
_two("regr_avgx", "Mean of x.", 1, lambda n, u, y, yy, x, xx, xy: _ratio(x, n * u))
_two("regr_avgy", "Mean of y.", 1, lambda n, u, y, yy, x, xx, xy: _ratio(y, n * u))
_two(
    "regr_sxx",
    "Sum of squared deviations of x.",
    1,
    lambda n, u, *s: _ratio(_deviations(n, *s)[0], n * u * u),
)
_two(
    "regr_syy",
    "Sum of squared deviations of y.",
    1,
    lambda n, u, *s: _ratio(_deviations(n, *s)[1], n * u * u),
)
_two(
    "regr_sxy", "Sum of products of deviations.", 1, lambda n, u, *s: _ratio(_deviations(n, *s)[2], n * u * u)
)
_two("regr_count", "How many rows have both.", 0, lambda n, u, *s: n, INT8)
