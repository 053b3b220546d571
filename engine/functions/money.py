"""Arithmetic of money: in cents, rounded where a float takes part and cut where only whole numbers do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.functions.registry import operator
from storage.column import Array, Column
from storage.errors import DivisionByZero, NumericValueOutOfRange
from storage.types import FLOAT4, FLOAT8, INT2, INT4, INT8, MONEY, Type

_LEAST, _MOST = -(2.0**63), 2.0**63
_INT8_LEAST = np.iinfo(np.int64).min


def _refuse() -> NumericValueOutOfRange:
    return NumericValueOutOfRange("money out of range")


def _money(cents: list[int]) -> Column:
    """Cents, checked. Raises NumericValueOutOfRange."""
    try:
        return Column(MONEY, np.array(cents, np.int64))
    except OverflowError:
        raise _refuse() from None


def _added(sign: int) -> Callable[[Column, Column], Column]:
    def apply(left: Column, right: Column) -> Column:
        """The sum or the difference."""
        a, b = left.values, right.values
        with np.errstate(over="ignore"):
            total = a + b if sign > 0 else a - b
        towards = b if sign > 0 else ~b  # -b has the sign of ~b, but for 0, which changes nothing
        if (((a ^ total) & (towards ^ total)) < 0).any():
            raise _refuse()
        return Column(MONEY, total)

    return apply


operator("+", [MONEY, MONEY], MONEY)(_added(1))
operator("-", [MONEY, MONEY], MONEY)(_added(-1))


def _rounded(cents: Array) -> Column:
    """Cents of floats. Raises NumericValueOutOfRange."""
    whole = np.rint(cents)
    if not ((whole >= _LEAST) & (whole < _MOST)).all():  # NaN is none, either
        raise _refuse()
    return Column(MONEY, whole.astype(np.int64))


def _times_float(column: Column, factor: Column) -> Column:
    """So many times the amount, to the nearest cent."""
    with np.errstate(all="ignore"):
        return _rounded(column.values.astype(np.float64) * factor.values.astype(np.float64))


def _times_whole(column: Column, factor: Column) -> Column:
    """So many times the amount."""
    return _money([a * b for a, b in zip(column.values.tolist(), factor.values.tolist(), strict=True)])


def _over_float(column: Column, divisor: Column) -> Column:
    """The amount in so many parts, to the nearest cent."""
    if (divisor.values == 0).any():
        raise DivisionByZero("division by zero")
    with np.errstate(all="ignore"):
        return _rounded(column.values.astype(np.float64) / divisor.values.astype(np.float64))


def _over_whole(column: Column, divisor: Column) -> Column:
    """The amount in so many parts, without the rest."""
    cents, parts = column.values, divisor.values.astype(np.int64)
    if (parts == 0).any():
        raise DivisionByZero("division by zero")
    if ((cents == _INT8_LEAST) & (parts == -1)).any():
        raise _refuse()
    quotient = np.floor_divide(cents, parts)
    rest = cents - quotient * parts
    return Column(MONEY, quotient + ((rest != 0) & ((cents < 0) != (parts < 0))))


def _reversed(function: Callable[[Column, Column], Column]) -> Callable[[Column, Column], Column]:
    def apply(factor: Column, column: Column) -> Column:
        """So many times the amount."""
        return function(column, factor)

    return apply


def _declare(type: Type, times: Callable[..., Column], over: Callable[..., Column]) -> None:
    operator("*", [MONEY, type], MONEY)(times)
    operator("*", [type, MONEY], MONEY)(_reversed(times))
    operator("/", [MONEY, type], MONEY)(over)


for _type in (INT2, INT4, INT8):
    _declare(_type, _times_whole, _over_whole)
for _type in (FLOAT4, FLOAT8):
    _declare(_type, _times_float, _over_float)


@operator("/", [MONEY, MONEY], FLOAT8)
def ratio(left: Column, right: Column) -> Column:
    """How many times the one amount is the other."""
    if (right.values == 0).any():
        raise DivisionByZero("division by zero")
    return Column(FLOAT8, left.values.astype(np.float64) / right.values.astype(np.float64))
