"""Arithmetic of numeric: exact decimals with PostgreSQL's scales.

A value is a `decimal.Decimal` whose exponent is minus its display scale. Sums and products are exact;
a quotient gets at least 16 significant digits, by PostgreSQL's rule over base-10000 digits; rounding is
half away from zero.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import MAX_EMAX, MIN_EMIN, ROUND_DOWN, ROUND_HALF_UP, Context, Decimal
from typing import Any

import numpy as np

from storage.column import Column, Mask
from storage.errors import DivisionByZero, NumericValueOutOfRange
from storage.types import NUMERIC, Type

# Wide enough for every numeric: 131072 digits before the point, 16383 after it, and products of them.
EXACT = Context(prec=400_000, rounding=ROUND_HALF_UP, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[])
NAN = Decimal("NaN")
MAX_DIGITS = 131_072
_MAX_SCALE = 1_000
MIN_SIGNIFICANT = 16


def scale_of(value: Decimal) -> int:
    """The display scale: digits after the point."""
    exponent = value.as_tuple().exponent
    return -exponent if isinstance(exponent, int) and exponent < 0 else 0


def checked(value: Decimal) -> Decimal:
    """The value, or the error where it is too large for numeric; never with a positive exponent."""
    if not value.is_finite():
        return value
    if value and value.adjusted() >= MAX_DIGITS:
        raise NumericValueOutOfRange("value overflows numeric format")
    if value.is_zero():
        value = abs(value)
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent > 0:
        return value.quantize(Decimal(1), context=EXACT)
    return value


def rounded(value: Decimal, scale: int) -> Decimal:
    """`value` with `scale` digits after the point (before it, where negative)."""
    if not value.is_finite():
        return value
    result = value.quantize(Decimal((0, (1,), -scale)), ROUND_HALF_UP, EXACT)
    return checked(result)


def truncated(value: Decimal, scale: int) -> Decimal:
    """`value` cut to `scale` digits after the point."""
    if not value.is_finite():
        return value
    return checked(value.quantize(Decimal((0, (1,), -scale)), ROUND_DOWN, EXACT))


def add(a: Decimal, b: Decimal) -> Decimal:
    return checked(EXACT.add(a, b))


def subtract(a: Decimal, b: Decimal) -> Decimal:
    return checked(EXACT.subtract(a, b))


def multiply(a: Decimal, b: Decimal) -> Decimal:
    return checked(EXACT.multiply(a, b))


def _leading(value: Decimal) -> tuple[int, int]:
    """(weight, digit) of the first base-10000 digit."""
    if value.is_zero():
        return 0, 0
    weight = value.adjusted() // 4
    shift = value.adjusted() - 4 * weight
    digits = value.as_tuple().digits[: shift + 1]
    number = int("".join(map(str, digits))) * 10 ** (shift + 1 - len(digits))
    return weight, number


def quotient_scale(a: Decimal, b: Decimal) -> int:
    """The display scale of a / b."""
    (weight_a, digit_a), (weight_b, digit_b) = _leading(a), _leading(b)
    weight = weight_a - weight_b - (digit_a <= digit_b)
    return min(max(MIN_SIGNIFICANT - weight * 4, scale_of(a), scale_of(b), 0), _MAX_SCALE)


def divide(a: Decimal, b: Decimal) -> Decimal:
    """a / b with the scale PostgreSQL gives it."""
    if a.is_nan() or b.is_nan():
        return NAN
    if b.is_zero():
        raise DivisionByZero("division by zero")
    if not a.is_finite() or not b.is_finite():
        return EXACT.divide(a, b) if b.is_finite() or not a.is_finite() else Decimal(0)
    scale = quotient_scale(a, b)
    return rounded(quotient(a, b, scale), scale)


def quotient(a: Decimal, b: Decimal, scale: int) -> Decimal:
    """a / b cut a little behind `scale` digits."""
    digits = max(a.adjusted() - b.adjusted() + scale + 4, 4)
    context = Context(prec=digits, rounding=ROUND_DOWN, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[])
    return context.divide(a, b)


def modulo(a: Decimal, b: Decimal) -> Decimal:
    """The remainder, with the sign of a."""
    if a.is_nan() or b.is_nan():
        return NAN
    if b.is_zero():
        raise DivisionByZero("division by zero")
    if a.is_infinite():
        return NAN
    if b.is_infinite():
        return a
    return checked(EXACT.remainder(a, b))


def decimals(items: list[Any], valid: Mask | None = None, type: Type = NUMERIC) -> Column:
    """A numeric column of Decimals."""
    values = np.empty(len(items), object)
    values[:] = items
    return Column(type, values, valid)


def pairs(function: Callable[[Decimal, Decimal], Decimal], left: Column, right: Column) -> Column:
    """`each` of two columns, either of which may be a constant one."""
    if left.constant and right.constant:
        result = each(function, left, right)
        result.constant = True
        return result
    rows = len(right if left.constant else left)
    return each(function, left.spread(rows), right.spread(rows))


def each(function: Callable[..., Decimal], *columns: Column) -> Column:
    """`function` over the rows of the columns, which have no nulls, as numeric."""
    return decimals([function(*row) for row in zip(*(c.values.tolist() for c in columns), strict=True)])
