"""Mathematical functions of floats and numeric: rounding, powers, roots, logarithms, angles, chance."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

import numpy as np

from engine.functions.arithmetic import checked_floats, integers
from engine.functions.registry import operator, scalar
from engine.values import decimals, units
from storage.column import Array, Column
from storage.errors import (
    DivisionByZero,
    InvalidArgumentForLogarithm,
    InvalidArgumentForPower,
    InvalidArgumentForWidthBucket,
    InvalidParameterValue,
    NumericValueOutOfRange,
)
from storage.types import FLOAT8, INT4, INT8, NUMERIC, TEXT, VOID, Type

_NEGATIVE_ROOT = "cannot take square root of a negative number"


def _each_float(
    function: Callable[[Array], Array], finite: bool = False, endless: bool = False
) -> Callable[[Column], Column]:
    """A function of one float; `finite`: infinity is no argument of it, `endless`: it may become infinite."""

    def apply(column: Column) -> Column:
        values = column.values
        if finite and np.isinf(values).any():
            raise NumericValueOutOfRange("input is out of range")
        with np.errstate(all="ignore"):
            result = function(values)
        if not endless and (np.isinf(result) & ~np.isinf(values)).any():
            raise NumericValueOutOfRange("value out of range: overflow")
        return Column(FLOAT8, result)

    return apply


def _within(function: Callable[[Array], Array], low: float, high: float) -> Callable[[Column], Column]:
    """A function of one float that exists between two bounds."""

    def apply(column: Column) -> Column:
        values = column.values
        if ((values < low) | (values > high)).any():
            raise NumericValueOutOfRange("input is out of range")
        return Column(FLOAT8, function(values))

    return apply


for _name, _function in (
    ("ceil", np.ceil),
    ("ceiling", np.ceil),
    ("floor", np.floor),
    ("trunc", np.trunc),
    ("round", np.rint),
    ("cbrt", np.cbrt),
    ("sign", lambda v: np.nan_to_num(np.sign(v))),
    ("degrees", np.degrees),
    ("radians", np.radians),
    ("tanh", np.tanh),
    ("asinh", np.arcsinh),
    ("atan", np.arctan),
):
    scalar(_name, [FLOAT8], FLOAT8)(_each_float(_function))
scalar("sinh", [FLOAT8], FLOAT8)(_each_float(np.sinh, endless=True))
scalar("cosh", [FLOAT8], FLOAT8)(_each_float(np.cosh, endless=True))
scalar("sin", [FLOAT8], FLOAT8)(_each_float(np.sin, finite=True))
scalar("cos", [FLOAT8], FLOAT8)(_each_float(np.cos, finite=True))
scalar("tan", [FLOAT8], FLOAT8)(_each_float(np.tan, finite=True))
scalar("cot", [FLOAT8], FLOAT8)(_each_float(lambda v: 1 / np.tan(v), finite=True, endless=True))
scalar("asin", [FLOAT8], FLOAT8)(_within(np.arcsin, -1, 1))
scalar("acos", [FLOAT8], FLOAT8)(_within(np.arccos, -1, 1))
scalar("acosh", [FLOAT8], FLOAT8)(_within(np.arccosh, 1, math.inf))
operator("||/", [FLOAT8], FLOAT8)(_each_float(np.cbrt))


@scalar("exp", [FLOAT8], FLOAT8)
@scalar("dexp", [FLOAT8], FLOAT8)
def exp(column: Column) -> Column:
    """e raised to the number."""
    values = column.values
    with np.errstate(all="ignore"):
        result = np.exp(values)
    if ((result == 0) & np.isfinite(values)).any():
        raise NumericValueOutOfRange("value out of range: underflow")
    return Column(FLOAT8, checked_floats(result, values, values, products=False))


@scalar("sqrt", [FLOAT8], FLOAT8)
@operator("|/", [FLOAT8], FLOAT8)
def sqrt(column: Column) -> Column:
    """Square root."""
    if (column.values < 0).any():
        raise InvalidArgumentForPower(_NEGATIVE_ROOT)
    return Column(FLOAT8, np.sqrt(column.values))


def _logarithm(function: Callable[[Array], Array]) -> Callable[[Column], Column]:
    def apply(column: Column) -> Column:
        if (column.values == 0).any():
            raise InvalidArgumentForLogarithm("cannot take logarithm of zero")
        if (column.values < 0).any():
            raise InvalidArgumentForLogarithm("cannot take logarithm of a negative number")
        return Column(FLOAT8, function(column.values))

    return apply


scalar("ln", [FLOAT8], FLOAT8)(_logarithm(np.log))
scalar("log", [FLOAT8], FLOAT8)(_logarithm(np.log10))
scalar("log10", [FLOAT8], FLOAT8)(_logarithm(np.log10))


@scalar("power", [FLOAT8, FLOAT8], FLOAT8)
@scalar("pow", [FLOAT8, FLOAT8], FLOAT8)
@operator("^", [FLOAT8, FLOAT8], FLOAT8)
def power(base: Column, exponent: Column) -> Column:
    """base raised to exponent."""
    a, b = base.values, exponent.values
    if ((a == 0) & (b < 0)).any():
        raise InvalidArgumentForPower("zero raised to a negative power is undefined")
    if ((a < 0) & np.isfinite(b) & (b != np.floor(b))).any():
        raise InvalidArgumentForPower(
            "a negative number raised to a non-integer power yields a complex result"
        )
    with np.errstate(all="ignore"):
        result = np.power(a, b)
    if ((result == 0) & (a != 0) & np.isfinite(a) & np.isfinite(b)).any():
        raise NumericValueOutOfRange("value out of range: underflow")
    return Column(FLOAT8, checked_floats(result, a, b, products=False))


@scalar("atan2", [FLOAT8, FLOAT8], FLOAT8)
def atan2(y: Column, x: Column) -> Column:
    """The angle of the point (x, y)."""
    return Column(FLOAT8, np.arctan2(y.values, x.values))


@scalar("pi", [], FLOAT8)
def pi() -> Column:
    """3.14159..."""
    return Column.of(FLOAT8, [math.pi])


@scalar("random", [], FLOAT8, volatility="v", rows=True)
def random_values(rows: int) -> Column:
    """A number from 0 to below 1."""
    return Column(FLOAT8, _GENERATOR.random(rows))


@scalar("setseed", [FLOAT8], VOID, volatility="v")
def setseed(seed: Column) -> Column:
    """Start random()'s row of numbers anew."""
    global _GENERATOR
    for value in seed.values.tolist():
        if not -1 <= value <= 1:
            shown = "NaN" if math.isnan(value) else f"{value:g}".replace("inf", "Infinity")
            raise InvalidParameterValue(f"setseed parameter {shown} is out of allowed range [-1,1]")
        _GENERATOR = np.random.default_rng(random.Random(value).getrandbits(64))
    return Column.of(VOID, [""] * len(seed))


_GENERATOR = np.random.default_rng()


@scalar("ceil", [NUMERIC], NUMERIC)
@scalar("ceiling", [NUMERIC], NUMERIC)
def numeric_ceil(column: Column) -> Column:
    """The smallest integer not below."""
    return decimals.each(lambda v: _integral(v, ROUND_CEILING), column)


@scalar("floor", [NUMERIC], NUMERIC)
def numeric_floor(column: Column) -> Column:
    """The largest integer not above."""
    return decimals.each(lambda v: _integral(v, ROUND_FLOOR), column)


def _integral(value: Decimal, rounding: str) -> Decimal:
    if not value.is_finite():
        return value
    return decimals.checked(value.quantize(Decimal(1), rounding, decimals.EXACT))


@scalar("round", [NUMERIC], NUMERIC)
def numeric_round(column: Column) -> Column:
    """The nearest integer, halves away from zero."""
    counted = units.to_scale(column, 0)
    return decimals.each(lambda v: decimals.rounded(v, 0), column) if counted is None else counted


@scalar("round", [NUMERIC, INT4], NUMERIC, constants=True)
def numeric_round_to(column: Column, digits: Column) -> Column:
    """Rounded to so many digits after the point."""
    if digits.constant and not column.constant:
        counted = units.to_scale(column, int(digits.values[0]))
        if counted is not None:
            return counted
    rows = 1 if column.constant and digits.constant else len(digits if column.constant else column)
    column, digits = column.spread(rows), digits.spread(rows)
    return decimals.each(lambda v, s: _displayed(decimals.rounded(v, _scale(s)), s), column, digits)


@scalar("trunc", [NUMERIC], NUMERIC)
def numeric_trunc(column: Column) -> Column:
    """Cut to an integer."""
    return decimals.each(lambda v: decimals.truncated(v, 0), column)


@scalar("trunc", [NUMERIC, INT4], NUMERIC)
def numeric_trunc_to(column: Column, digits: Column) -> Column:
    """Cut to so many digits after the point."""
    return decimals.each(lambda v, s: _displayed(decimals.truncated(v, _scale(s)), s), column, digits)


def _scale(digits: int) -> int:
    return max(min(digits, 16_383), -decimals.MAX_DIGITS - 1)


def _displayed(value: Decimal, digits: int) -> Decimal:
    return decimals.rounded(value, 0) if digits < 0 else value


@scalar("sign", [NUMERIC], NUMERIC)
def numeric_sign(column: Column) -> Column:
    """-1, 0 or 1."""
    return decimals.each(lambda v: v if v.is_nan() else Decimal((v > 0) - (v < 0)), column)


@scalar("scale", [NUMERIC], INT4)
def scale(column: Column) -> Column:
    """The digits after the point that are shown."""
    return Column.of(INT4, [decimals.scale_of(v) if v.is_finite() else None for v in column.values.tolist()])


@scalar("min_scale", [NUMERIC], INT4)
def min_scale(column: Column) -> Column:
    """The digits after the point that are needed."""
    return Column.of(
        INT4,
        [
            decimals.scale_of(decimals.EXACT.normalize(v)) if v.is_finite() else None
            for v in column.values.tolist()
        ],
    )


@scalar("trim_scale", [NUMERIC], NUMERIC)
def trim_scale(column: Column) -> Column:
    """Without zeros at the end of the fraction."""
    return decimals.each(lambda v: decimals.checked(decimals.EXACT.normalize(v)), column)


@scalar("div", [NUMERIC, NUMERIC], NUMERIC)
def numeric_div(left: Column, right: Column) -> Column:
    """The quotient cut to an integer."""
    return decimals.each(lambda a, b: decimals.truncated(decimals.divide(a, b), 0), left, right)


def _significant(value: Decimal, estimate: float) -> int:
    """The scale for a result of about `estimate` decimal digits before the point."""
    return min(max(16 - int(estimate), decimals.scale_of(value), 0), 1_000)


@scalar("sqrt", [NUMERIC], NUMERIC)
def numeric_sqrt(column: Column) -> Column:
    """Square root of at least 16 significant digits."""
    return decimals.each(_numeric_sqrt, column)


def _numeric_sqrt(value: Decimal) -> Decimal:
    if value.is_nan() or value == Decimal("Infinity"):
        return value
    if value < 0:
        raise InvalidArgumentForPower(_NEGATIVE_ROOT)
    # PostgreSQL counts the digits before the point in groups of four.
    weight = value.adjusted() // 4 if value else 0
    estimate = (weight + 1) * 4 // 2 - 1
    scale = _significant(value, estimate)
    return decimals.rounded(_context(estimate + scale + 8).sqrt(value), scale)


def _context(digits: int) -> Context:
    context = decimals.EXACT.copy()
    context.prec = max(digits, 20)
    return context


def _numeric_logarithm(value: Decimal) -> None:
    if value.is_zero():
        raise InvalidArgumentForLogarithm("cannot take logarithm of zero")
    if value < 0:
        raise InvalidArgumentForLogarithm("cannot take logarithm of a negative number")


@scalar("ln", [NUMERIC], NUMERIC)
def numeric_ln(column: Column) -> Column:
    """Natural logarithm."""
    return decimals.each(_numeric_ln, column)


def _numeric_ln(value: Decimal) -> Decimal:
    if value.is_nan():
        return value
    _numeric_logarithm(value)
    if value.is_infinite():
        return value
    scale = _significant(value, _logarithm_digits(value))
    return decimals.rounded(_context(scale + 20).ln(value), scale)


def _logarithm_digits(value: Decimal) -> int:
    """About how many digits ln has before the point, as PostgreSQL estimates it."""
    if Decimal("0.9") <= value <= Decimal("1.1"):
        rest = decimals.EXACT.subtract(value, Decimal(1))
        return rest.adjusted() if rest else 0
    rough = abs(float(_context(20).ln(value)))
    return int(math.log10(rough))


@scalar("log", [NUMERIC], NUMERIC)
@scalar("log10", [NUMERIC], NUMERIC)
def numeric_log(column: Column) -> Column:
    """Logarithm to base 10."""
    return decimals.each(lambda v: _numeric_log(Decimal(10), v), column)


@scalar("log", [NUMERIC, NUMERIC], NUMERIC)
def numeric_log_base(base: Column, column: Column) -> Column:
    """Logarithm to a base."""
    return decimals.each(_numeric_log, base, column)


def _numeric_log(base: Decimal, value: Decimal) -> Decimal:
    if base.is_nan() or value.is_nan():
        return decimals.NAN
    for part in (base, value) if base.is_finite() and value.is_finite() else sorted((base, value)):
        _numeric_logarithm(part)
    if base.is_infinite():
        return decimals.NAN if value.is_infinite() else Decimal(0)
    if value.is_infinite():
        return value
    if base == 1:
        raise DivisionByZero("division by zero")
    context = _context(60)
    result = context.divide(context.ln(value), context.ln(base))
    shown = max(decimals.scale_of(base), decimals.scale_of(value))
    digits = _logarithm_digits(value) - _logarithm_digits(base)
    scale = min(max(16 - digits, shown, 0), 1_000)
    return decimals.rounded(result, scale)


@scalar("exp", [NUMERIC], NUMERIC)
def numeric_exp(column: Column) -> Column:
    """e raised to the number."""
    return decimals.each(_numeric_exp, column)


_MAX_EXPONENT = 6_000  # of e


def _numeric_exp(value: Decimal) -> Decimal:
    if value.is_nan():
        return value
    if value.is_infinite():
        return value if value > 0 else Decimal(0)
    if abs(value) >= _MAX_EXPONENT:
        if value < 0:
            return decimals.rounded(Decimal(0), 1_000)
        raise NumericValueOutOfRange("value overflows numeric format")
    digits = int(float(value) * 0.434294481903252)
    scale = _significant(value, digits)
    return decimals.rounded(_context(digits + scale + 20).exp(value), scale)


@scalar("power", [NUMERIC, NUMERIC], NUMERIC)
@scalar("pow", [NUMERIC, NUMERIC], NUMERIC)
@operator("^", [NUMERIC, NUMERIC], NUMERIC)
def numeric_power(base: Column, exponent: Column) -> Column:
    """base raised to exponent, of at least 16 significant digits."""
    return decimals.each(_numeric_power, base, exponent)


def _numeric_power(base: Decimal, exponent: Decimal) -> Decimal:
    if not base.is_finite() or not exponent.is_finite():
        return _endless_power(base, exponent)
    if base == 1 or exponent == 0:
        shown = max(decimals.scale_of(base), decimals.scale_of(exponent))
        return decimals.rounded(Decimal(1), max(16, shown))
    if base.is_zero() and exponent < 0:
        raise InvalidArgumentForPower("zero raised to a negative power is undefined")
    whole = exponent == exponent.to_integral_value()
    counted = whole and -(2**31) <= exponent < 2**31
    if base < 0 and not whole:
        raise InvalidArgumentForPower(
            "a negative number raised to a non-integer power yields a complex result"
        )
    if base.is_zero():
        shown = max(decimals.scale_of(base), decimals.scale_of(exponent))
        return decimals.rounded(Decimal(0), max(16, shown))
    digits = float(exponent) * math.log10(abs(base)) if base else 0.0
    if digits >= decimals.MAX_DIGITS:
        raise NumericValueOutOfRange("value overflows numeric format")
    if digits < -1_100:
        return decimals.rounded(Decimal(0), max(16, decimals.scale_of(base)) if counted else 1_000)
    scale = decimals.scale_of(base)
    if counted:
        scale = min(max(16, scale), 1_000)
    else:
        scale = min(max(16 - int(digits), scale, decimals.scale_of(exponent)), 1_000)
    context = _context(int(max(digits, 0)) + scale + 20)
    return decimals.rounded(context.power(base, exponent), scale)


def _endless_power(base: Decimal, exponent: Decimal) -> Decimal:
    """base raised to exponent where one of them is infinite or NaN."""
    if base == 1 or exponent == 0:
        return Decimal(1)
    if base.is_nan() or exponent.is_nan():
        return decimals.NAN
    if base.is_zero() and exponent < 0:
        raise InvalidArgumentForPower("zero raised to a negative power is undefined")
    if exponent.is_infinite():
        size = abs(base)
        if size == 1:
            return Decimal(1)
        return Decimal("Infinity") if (size > 1) is (exponent > 0) else Decimal(0)
    if base < 0 and exponent != exponent.to_integral_value():
        raise InvalidArgumentForPower(
            "a negative number raised to a non-integer power yields a complex result"
        )
    if exponent < 0:
        return Decimal(0)
    return Decimal("-Infinity") if base < 0 and exponent % 2 == 1 else Decimal("Infinity")


@scalar("factorial", [INT8], NUMERIC)
def factorial(column: Column) -> Column:
    """1 * 2 * ... * n."""
    values = column.values.tolist()
    if any(value < 0 for value in values):
        raise NumericValueOutOfRange("factorial of a negative number is undefined")
    if any(value > 32_177 for value in values):
        raise NumericValueOutOfRange("value overflows numeric format")
    return decimals.decimals([Decimal(math.factorial(value)) for value in values])


def _pairwise(function: Callable[[int, int], int], type: Type) -> Callable[[Column, Column], Column]:
    def apply(left: Column, right: Column) -> Column:
        pairs = zip(left.values.tolist(), right.values.tolist(), strict=True)
        return Column(type, integers(np.array([function(a, b) for a, b in pairs], object), type))

    return apply


def _numeric_pair(function: Callable[[int, int], int]) -> Callable[[Decimal, Decimal], Decimal]:
    """A function of whole numbers, of numerics in units of the finer one's scale."""

    def apply(a: Decimal, b: Decimal) -> Decimal:
        if not a.is_finite() or not b.is_finite():
            return Decimal("NaN")
        scale = max(decimals.scale_of(a), decimals.scale_of(b))
        unit = Decimal(10) ** scale
        whole = function(int(decimals.multiply(a, unit)), int(decimals.multiply(b, unit)))
        return Decimal((0, Decimal(whole).as_tuple().digits, -scale))

    return apply


@scalar("gcd", [NUMERIC, NUMERIC], NUMERIC)
def numeric_gcd(left: Column, right: Column) -> Column:
    """The largest number that goes into both."""
    return decimals.pairs(_numeric_pair(math.gcd), left, right)


@scalar("lcm", [NUMERIC, NUMERIC], NUMERIC)
def numeric_lcm(left: Column, right: Column) -> Column:
    """The smallest number that both go into."""
    return decimals.pairs(_numeric_pair(math.lcm), left, right)


for _type in (INT4, INT8):
    scalar("gcd", [_type, _type], _type)(_pairwise(math.gcd, _type))
    scalar("lcm", [_type, _type], _type)(_pairwise(math.lcm, _type))


@scalar("width_bucket", [FLOAT8, FLOAT8, FLOAT8, INT4], INT4)
def width_bucket(value: Column, low: Column, high: Column, count: Column) -> Column:
    """The number of the bucket, of `count` equal ones between two bounds, that holds the value."""
    if (count.values <= 0).any():
        raise InvalidArgumentForWidthBucket("count must be greater than zero")
    v, a, b, n = value.values, low.values, high.values, count.values.astype(np.int64)
    if np.isnan([v, a, b]).any():
        raise InvalidArgumentForWidthBucket("operand, lower bound, and upper bound cannot be NaN")
    if np.isinf([a, b]).any():
        raise InvalidArgumentForWidthBucket("lower and upper bounds must be finite")
    if (a == b).any():
        raise InvalidArgumentForWidthBucket("lower bound cannot equal upper bound")
    rising = a < b
    before, behind = np.where(rising, v < a, v > a), np.where(rising, v >= b, v <= b)
    if (behind & (n == 2**31 - 1)).any():
        raise NumericValueOutOfRange("integer out of range")
    inside = np.where(before | behind, a, v)
    share = (inside / 2 - a / 2) / (b / 2 - a / 2)  # halves: the width may be beyond a float
    buckets = np.minimum((n * share).astype(np.int64), n - 1) + 1
    return Column(INT4, np.where(before, 0, np.where(behind, n + 1, buckets)).astype(np.int32))


for _type in (INT4, INT8):

    @scalar("to_hex", [_type], TEXT)
    def to_hex(column: Column) -> Column:
        """Hexadecimal digits; negative numbers as their two's complement."""
        assert column.type.dtype is not None
        mask = (1 << 8 * column.type.dtype.itemsize) - 1
        return Column.of(TEXT, [format(value & mask, "x") for value in column.values.tolist()])
