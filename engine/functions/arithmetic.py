"""The arithmetic operators of numbers: + - * / % and the bitwise ones, with checks for overflow.

Integers: 22003 where the result does not fit its type, 22012 for a zero divisor; a quotient is cut
towards zero. Floats: 22003 where finite operands overflow or nonzero ones underflow.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.functions.registry import operator, scalar
from engine.values import decimals, units
from storage.column import Array, Column
from storage.errors import DivisionByZero, NumericValueOutOfRange
from storage.types import FLOAT4, FLOAT8, INT2, INT4, INT8, INTEGERS, NUMERIC, Type

_Integer = Callable[[Array, Array, Type], Array]


def integers(values: Array, type: Type) -> Array:
    """int64 or Python integers as the type's own, or the error where one does not fit."""
    assert type.dtype is not None
    limits = np.iinfo(type.dtype)
    if len(values) and (values.min() < limits.min or values.max() > limits.max):
        raise NumericValueOutOfRange(f"{type.sql_name} out of range")
    return values.astype(type.dtype)


def _wide(function: Callable[[Array, Array], Array], left: Array, right: Array, type: Type) -> Array:
    """In 64 bits where the type is narrower: cannot overflow there."""
    return integers(function(left.astype(np.int64), right.astype(np.int64)), type)


def _add(left: Array, right: Array, type: Type) -> Array:
    if type is not INT8:
        return _wide(np.add, left, right, type)
    left, right = left.astype(np.int64, copy=False), right.astype(np.int64, copy=False)
    result: Array = left + right
    if (((left ^ result) & (right ^ result)) < 0).any():
        raise NumericValueOutOfRange("bigint out of range")
    return result


def _subtract(left: Array, right: Array, type: Type) -> Array:
    if type is not INT8:
        return _wide(np.subtract, left, right, type)
    left, right = left.astype(np.int64, copy=False), right.astype(np.int64, copy=False)
    result: Array = left - right
    if (((left ^ right) & (left ^ result)) < 0).any():
        raise NumericValueOutOfRange("bigint out of range")
    return result


def _multiply(left: Array, right: Array, type: Type) -> Array:
    if type is not INT8:
        return _wide(np.multiply, left, right, type)
    left, right = left.astype(np.int64, copy=False), right.astype(np.int64, copy=False)
    if not len(left) or not len(right):
        return left * right
    ends = [int(a) * int(b) for a in (left.min(), left.max()) for b in (right.min(), right.max())]
    if min(ends) >= -(2**63) and max(ends) < 2**63:
        return left * right
    return integers(left.astype(object) * right.astype(object), type)


def _divide(left: Array, right: Array, type: Type) -> Array:
    _no_zeros(right)
    a, b = left.astype(np.int64, copy=False), right.astype(np.int64, copy=False)
    if ((a == -(2**63)) & (b == -1)).any():
        raise NumericValueOutOfRange("bigint out of range")
    result = a // b
    result += (result * b != a) & ((a < 0) != (b < 0))
    return integers(result, type)


def _modulo(left: Array, right: Array, type: Type) -> Array:
    _no_zeros(right)
    b = right.astype(np.int64, copy=False)
    return np.fmod(left.astype(np.int64, copy=False), np.where(b == -1, 1, b)).astype(type.dtype)


def _no_zeros(divisor: Array) -> None:
    if (divisor == 0).any():
        raise DivisionByZero("division by zero")


def _both(function: _Integer, type: Type) -> Callable[[Column, Column], Column]:
    def apply(left: Column, right: Column) -> Column:
        constant = left.constant and right.constant
        return Column(type, function(left.values, right.values, type), constant=constant)

    return apply


for _symbol, _function in (("+", _add), ("-", _subtract), ("*", _multiply), ("/", _divide)):
    for _left in INTEGERS:
        for _right in INTEGERS:
            _wider = _left if _left.size >= _right.size else _right
            operator(_symbol, [_left, _right], _wider, constants=True)(_both(_function, _wider))
for _type in INTEGERS:
    operator("%", [_type, _type], _type, constants=True)(_both(_modulo, _type))
    scalar("mod", [_type, _type], _type, constants=True)(_both(_modulo, _type))


def checked_floats(result: Array, left: Array, right: Array, *, products: bool) -> Array:
    """`result` of two floats, or the error where it overflowed or vanished."""
    if not np.isfinite(result).all() and (np.isinf(result) & ~np.isinf(left) & ~np.isinf(right)).any():
        raise NumericValueOutOfRange("value out of range: overflow")
    if products and ((result == 0) & (left != 0) & (right != 0) & ~np.isinf(right)).any():
        raise NumericValueOutOfRange("value out of range: underflow")
    return result


def _float(symbol: str, dtype: np.dtype) -> Callable[[Array, Array], Array]:
    function = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}[symbol]

    def apply(left: Array, right: Array) -> Array:
        left, right = left.astype(dtype, copy=False), right.astype(dtype, copy=False)
        if symbol == "/" and ((right == 0) & ~np.isnan(left)).any():
            raise DivisionByZero("division by zero")
        with np.errstate(all="ignore"):
            result = function(left, right)
        return checked_floats(result, left, right, products=symbol in "*/")

    return apply


def _floats(symbol: str, type: Type) -> Callable[[Column, Column], Column]:
    assert type.dtype is not None
    function = _float(symbol, type.dtype)

    def apply(left: Column, right: Column) -> Column:
        constant = left.constant and right.constant
        return Column(type, function(left.values, right.values), constant=constant)

    return apply


for _symbol in "+-*/":
    for _left, _right in ((FLOAT4, FLOAT4), (FLOAT4, FLOAT8), (FLOAT8, FLOAT4), (FLOAT8, FLOAT8)):
        _wider = FLOAT4 if _left is _right is FLOAT4 else FLOAT8
        operator(_symbol, [_left, _right], _wider, constants=True)(_floats(_symbol, _wider))


@operator("+", [NUMERIC, NUMERIC], NUMERIC, constants=True)
def numeric_add(left: Column, right: Column) -> Column:
    """Sum, with the larger scale."""
    found = units.add(left, right)
    return decimals.pairs(decimals.add, left, right) if found is None else found


@operator("-", [NUMERIC, NUMERIC], NUMERIC, constants=True)
def numeric_subtract(left: Column, right: Column) -> Column:
    """Difference, with the larger scale."""
    found = units.add(left, right, -1)
    return decimals.pairs(decimals.subtract, left, right) if found is None else found


@operator("*", [NUMERIC, NUMERIC], NUMERIC, constants=True)
def numeric_multiply(left: Column, right: Column) -> Column:
    """Product, with the sum of the scales."""
    found = units.multiply(left, right)
    return decimals.pairs(decimals.multiply, left, right) if found is None else found


@operator("/", [NUMERIC, NUMERIC], NUMERIC)
def numeric_divide(left: Column, right: Column) -> Column:
    """Quotient of at least 16 significant digits."""
    return decimals.each(decimals.divide, left, right)


@scalar("mod", [NUMERIC, NUMERIC], NUMERIC)
@operator("%", [NUMERIC, NUMERIC], NUMERIC)
def numeric_modulo(left: Column, right: Column) -> Column:
    """Remainder, with the dividend's sign."""
    return decimals.each(decimals.modulo, left, right)


def _negated(type: Type) -> Callable[[Column], Column]:
    def negate(column: Column) -> Column:
        if type in INTEGERS:
            return Column(type, integers(-_exact(column.values), type))
        return Column(type, -column.values)

    return negate


def _exact(values: Array) -> Array:
    """Integers as a type in which their negative exists."""
    low = np.iinfo(np.int64).min
    return values.astype(object if values.dtype == np.int64 and (values == low).any() else np.int64)


def _absolute(type: Type) -> Callable[[Column], Column]:
    def absolute(column: Column) -> Column:
        if type in INTEGERS:
            return Column(type, integers(np.abs(_exact(column.values)), type))
        return Column(type, np.abs(column.values))

    return absolute


for _type in (*INTEGERS, FLOAT4, FLOAT8):
    operator("-", [_type], _type)(_negated(_type))
    operator("+", [_type], _type)(lambda column: column)
    operator("@", [_type], _type)(_absolute(_type))
    scalar("abs", [_type], _type)(_absolute(_type))


@operator("-", [NUMERIC], NUMERIC)
def numeric_negate(column: Column) -> Column:
    """The number with the other sign; zero has none."""
    if column.units is not None:
        return Column.scaled(NUMERIC, -column.units, column.scale)
    return decimals.each(lambda v: decimals.EXACT.minus(v) if v else v.copy_abs(), column)


@operator("+", [NUMERIC], NUMERIC)
def numeric_plus(column: Column) -> Column:
    """The number itself."""
    return column


@scalar("abs", [NUMERIC], NUMERIC)
@operator("@", [NUMERIC], NUMERIC)
def numeric_abs(column: Column) -> Column:
    """The number without its sign."""
    if column.units is not None:
        return Column.scaled(NUMERIC, np.abs(column.units), column.scale)
    return decimals.each(lambda v: v.copy_abs(), column)


def _bits(function: Callable[[Array, Array], Array], type: Type) -> Callable[[Column, Column], Column]:
    def apply(left: Column, right: Column) -> Column:
        return Column(type, function(left.values, right.values).astype(type.dtype, copy=False))

    return apply


def _shift(left: bool, type: Type) -> Callable[[Column, Column], Column]:
    mask = 63 if type is INT8 else 31

    def apply(column: Column, count: Column) -> Column:
        values = column.values.astype(np.int64)
        steps = count.values.astype(np.int64) & mask
        result = values << steps if left else values >> steps
        return Column(type, result.astype(type.dtype))

    return apply


for _type in (INT2, INT4, INT8):
    operator("&", [_type, _type], _type, total=True)(_bits(np.bitwise_and, _type))
    operator("|", [_type, _type], _type, total=True)(_bits(np.bitwise_or, _type))
    operator("#", [_type, _type], _type, total=True)(_bits(np.bitwise_xor, _type))
    operator("<<", [_type, INT4], _type, total=True)(_shift(True, _type))
    operator(">>", [_type, INT4], _type, total=True)(_shift(False, _type))
    operator("~", [_type], _type, total=True)(lambda column: Column(column.type, ~column.values))
