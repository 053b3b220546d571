"""Arithmetic of numeric in units: columns of int64 and a scale, wherever no step can overflow.

The largest magnitudes of both operands are found first; where they prove that every result fits int64, the
whole column is one step of numpy, and exact. Everything else (values beyond, of several scales, NaN) is the
charge of engine.values.decimals, whose results these are, digit by digit.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np

from storage.column import Array, Column, Mask, Positions
from storage.numericunits import MAX_SCALE
from storage.types import NUMERIC, Type

_LIMIT = 1 << 63
_EXACT = 1 << 53  # every whole number up to it is a double
_UNIT_DIGITS = 19  # of the largest unit
_TENS = 22  # the largest power of ten that is a double

Operands = tuple[Positions, Positions, int]


def counted(column: Column) -> Positions | None:
    """The column's units; of a constant, made of its object. None where it has none."""
    if column.units is None and column.constant:
        column = column.in_units()
    return column.units


def _scale(column: Column) -> int:
    return column.scale if column.units is not None else column.in_units().scale


def largest(units: Positions) -> int:
    """The largest magnitude among units."""
    return max(-int(units.min()), int(units.max()), 0) if len(units) else 0


def aligned(left: Column, right: Column) -> Operands | None:
    """Both columns in units of the finer scale; None where they have none, or would not fit."""
    a, b = counted(left), counted(right)
    if a is None or b is None:
        return None
    finer = max(_scale(left), _scale(right))
    up_a, up_b = 10 ** (finer - _scale(left)), 10 ** (finer - _scale(right))
    if largest(a) * up_a >= _LIMIT or largest(b) * up_b >= _LIMIT:
        return None
    return (a if up_a == 1 else a * up_a), (b if up_b == 1 else b * up_b), finer


def _result(units: Positions, scale: int, left: Column, right: Column) -> Column:
    return Column.scaled(NUMERIC, units, scale, constant=left.constant and right.constant)


def add(left: Column, right: Column, sign: int = 1) -> Column | None:
    """left + right, or left - right where `sign` is -1; None: not in units."""
    operands = aligned(left, right)
    if operands is None:
        return None
    a, b, scale = operands
    if largest(a) + largest(b) >= _LIMIT:
        return None
    return _result(a + b if sign > 0 else a - b, scale, left, right)


def multiply(left: Column, right: Column) -> Column | None:
    """left * right; None: not in units."""
    a, b = counted(left), counted(right)
    if a is None or b is None:
        return None
    scale = _scale(left) + _scale(right)
    if scale > MAX_SCALE or largest(a) * largest(b) >= _LIMIT:
        return None
    return _result(a * b, scale, left, right)


def compared(test: Callable[[Any, Any], Any], left: Column, right: Column) -> Mask | None:
    """One of numpy's comparisons, row by row; None: not in units."""
    operands = aligned(left, right)
    a, b = operands[:2] if operands is not None else _in_halves(left, right)
    if a is None or b is None:
        return None
    mask: Mask = test(a, b)
    return mask


def _in_halves(left: Column, right: Column) -> tuple[Positions | None, Positions | None]:
    """Both columns in halves of the coarser's units: what lies between two units is the half between them.

    That keeps their order where the finer scale has no room for one of them. None: not in units.
    """
    scales = [column.scale for column in (left, right) if column.units is not None and not column.constant]
    if not scales:
        return None, None
    return _halves(left, min(scales)), _halves(right, min(scales))


def _halves(column: Column, scale: int) -> Positions | None:
    if column.constant:
        return _halves_of(column.item(0), scale)
    units = column.units
    if units is None or largest(units) >= _LIMIT // 2:
        return None
    if column.scale == scale:
        return 2 * units
    whole, rest = np.divmod(units, np.int64(10 ** (column.scale - scale)))
    halves: Positions = 2 * whole + (rest != 0)
    return halves


def _halves_of(value: Decimal | None, scale: int) -> Positions | None:
    """Of a constant; one beyond all units is the outermost half, which no column has."""
    if value is None or not value.is_finite():
        return None
    if value.adjusted() > _UNIT_DIGITS:
        half = -_LIMIT if value < 0 else _LIMIT
    else:
        numerator, denominator = value.as_integer_ratio()
        whole, rest = divmod(numerator * 10**scale, denominator)
        half = 2 * whole + (rest != 0)
    return np.array([min(max(half, 1 - _LIMIT), _LIMIT - 1)], np.int64)


def rounded(units: Positions, scale: int, to: int) -> Positions | None:
    """Units of another scale, rounded half away from zero; None where they would not fit."""
    if to >= scale:
        up = 10 ** (to - scale)
        return units * up if largest(units) * up < _LIMIT else None
    down = np.int64(10 ** (scale - to))
    whole = np.abs(units) // down
    rest = np.abs(units) - whole * down
    away: Positions = whole + (rest >= down - rest)
    return np.where(units < 0, -away, away)


def to_scale(column: Column, scale: int) -> Column | None:
    """The column rounded to `scale` digits behind the point; None: not in units, or not there."""
    if column.units is None or not 0 <= scale <= MAX_SCALE:
        return None
    units = rounded(column.units, column.scale, scale)
    return None if units is None else Column.scaled(NUMERIC, units, scale)


def as_numeric(column: Column, type: Type, precision: int, scale: int) -> Column | None:
    """A column of units as numeric(precision, scale); None: not in units, or one does not fit."""
    if column.units is None or not 0 <= scale <= MAX_SCALE:
        return None
    filled = column.units if column.valid is None else np.where(column.valid, column.units, 0)
    units = rounded(filled, column.scale, scale)
    if units is None or largest(units) >= 10**precision:
        return None
    return Column.scaled(type, units, scale, column.valid)


def as_floats(units: Positions, scale: int) -> Array | None:
    """The nearest doubles: one division of exact doubles; None where they are not."""
    if largest(units) > _EXACT or scale > _TENS:
        return None
    floats: Array = units.astype(np.float64) / 10.0**scale
    return floats
