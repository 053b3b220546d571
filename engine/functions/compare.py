"""The comparison operators = <> < <= > >= of every type that has an order.

NaN equals itself and is greater than every number; texts are ordered by their bytes (collation C);
trailing blanks of character(n) do not count; intervals are compared with months of 30 days; in arrays
null elements are equal to each other and come last; addresses are ordered by their networks, and jsonb as
storage.indexes.spelt says.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from operator import ge, gt, le, lt
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.functions.registry import operator, scalar
from engine.values import units
from storage.column import Array, Column, Mask
from storage.errors import DatatypeMismatch
from storage.indexes.comparable import column_keys
from storage.types import (
    ANYARRAY,
    ANYENUM,
    ANYMULTIRANGE,
    ANYRANGE,
    BINARY,
    BIT,
    BOOL,
    BPCHAR,
    BYTEA,
    CHAR,
    CID,
    DATE,
    ELEMENTS,
    FLOAT4,
    FLOAT8,
    HALFVEC,
    INET,
    INT2,
    INT4,
    INT8,
    INTERVAL,
    JSONB,
    MACADDR,
    MACADDR8,
    MONEY,
    NAME,
    NUMERIC,
    OID,
    OIDVECTOR,
    PG_LSN,
    RECORD,
    SPARSEVEC,
    TEXT,
    TID,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    TIMETZ,
    UUID,
    VARBIT,
    VECTOR,
    XID,
    XID8,
    Type,
)

Compare = Callable[[Any, Any], Any]
Test = Callable[[Column, Column], Mask]

SYMBOLS = ("=", "<>", "<", "<=", ">", ">=")
_NUMPY: dict[str, Compare] = {
    "=": np.equal,
    "<>": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
_ARROW: dict[str, Compare] = {
    "=": pc.equal,
    "<>": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}

_PYTHON: dict[str, Compare] = {"<": lt, "<=": le, ">": gt, ">=": ge}


def truth(array: pa.Array) -> Mask:
    """An Arrow boolean array as a mask, nulls as false."""
    if array.null_count:
        array = array.fill_null(False)
    return np.asarray(array.to_numpy(zero_copy_only=False), np.bool_)


def operand(column: Column) -> Any:
    """What Arrow's functions take: a scalar for a constant, else the array."""
    return column.values[0] if column.constant else column.values


def _fixed(symbol: str) -> Test:
    compare = _NUMPY[symbol]

    def test(left: Column, right: Column) -> Mask:
        mask: Mask = compare(left.values, right.values)
        return mask

    return test


def float_test(symbol: str, left: Array, right: Array) -> Mask:
    """Comparison of floats in PostgreSQL's order, in which NaN is the greatest."""
    if symbol in ("<", "<="):
        return float_test(">" if symbol == "<" else ">=", right, left)
    nan = np.isnan(right)
    mask: Mask
    match symbol:
        case "=":
            mask = left == right
            return mask | (nan & np.isnan(left)) if nan.any() else mask
        case "<>":
            return ~float_test("=", left, right)
        case ">":
            mask = ~(left <= right)
            return mask & ~nan if nan.any() else mask
        case _:
            mask = ~(left < right)
            return mask & (~nan | np.isnan(left)) if nan.any() else mask


def _float(symbol: str) -> Test:
    def test(left: Column, right: Column) -> Mask:
        return float_test(symbol, left.values, right.values)

    return test


def _arrow(symbol: str) -> Test:
    compare = _ARROW[symbol]

    def test(left: Column, right: Column) -> Mask:
        if left.constant and right.constant:
            return truth(compare(left.values, right.values))
        return truth(compare(operand(left), operand(right)))

    return test


def _blank_padded(symbol: str) -> Test:
    test = _arrow(symbol)

    def padded(left: Column, right: Column) -> Mask:
        return test(_unpadded(left), _unpadded(right))

    return padded


def _unpadded(column: Column) -> Column:
    return Column(TEXT, pc.utf8_rtrim(column.values, " "), constant=column.constant)


def _decimal(symbol: str) -> Test:
    compare = _NUMPY[symbol]

    def test(left: Column, right: Column) -> Mask:
        counted = units.compared(compare, left, right)
        if counted is not None:
            return counted
        a, b = left.values, right.values
        if symbol in ("=", "<>"):
            mask: Mask = np.equal(a, b).astype(np.bool_)
            nan = np.not_equal(a, a).astype(np.bool_) & np.not_equal(b, b).astype(np.bool_)
            mask |= nan
            return mask if symbol == "=" else ~mask
        try:
            return np.asarray(compare(a, b), np.bool_)
        except InvalidOperation:  # a NaN among them
            ordered = _PYTHON[symbol]
            pairs = zip(*np.broadcast_arrays(a, b), strict=True)
            return np.array([ordered(_nan_last(x), _nan_last(y)) for x, y in pairs], np.bool_)

    return test


def _nan_last(value: Decimal) -> tuple[bool, Decimal]:
    """NaN's place in the order: above infinity."""
    return (True, Decimal(0)) if value.is_nan() else (False, value)


def _first_difference(left: Array, right: Array, equal: Array) -> tuple[Array, Array, Array]:
    """The elements that decide between two rows, and whether the rows are equal."""
    left, right = np.broadcast_arrays(left, right)
    same = np.asarray(equal.all(axis=1))
    if left.shape[1] == 0:
        zeros: Array = np.zeros(len(left))
        return zeros, zeros, same
    at = np.argmin(equal, axis=1)
    rows = np.arange(len(left))
    return left[rows, at], right[rows, at], same


def _rows(symbol: str) -> Test:
    def test(left: Column, right: Column) -> Mask:
        a, b = left.values, right.values
        if a.shape[1] != b.shape[1]:
            width = min(a.shape[1], b.shape[1])
            shorter = _NUMPY[symbol](a.shape[1], b.shape[1])
            x, y, same = _first_difference(a[:, :width], b[:, :width], a[:, :width] == b[:, :width])
            return np.asarray(np.where(same, shorter, _NUMPY[symbol](x, y)), np.bool_)
        equal: Array = float_test("=", a, b) if a.dtype.kind == "f" else a == b
        if symbol in ("=", "<>"):
            same = np.asarray(equal.all(axis=1), np.bool_)
            return same if symbol == "=" else ~same
        x, y, same = _first_difference(a, b, equal)
        strict = float_test(symbol[0], x, y) if a.dtype.kind == "f" else _NUMPY[symbol[0]](x, y)
        return np.where(same, symbol in ("<=", ">="), strict).astype(np.bool_)

    return test


def _by_key(symbol: str) -> Test:
    """By the byte strings that groups, joins and sorts compare."""
    test = _arrow(symbol)

    def compare(left: Column, right: Column) -> Mask:
        return test(_key(left), _key(right))

    return compare


def _record(symbol: str) -> Test:
    """Rows by their keys: nulls in them are equal to each other, and greater than values."""
    test = _by_key(symbol)

    def compare(left: Column, right: Column) -> Mask:
        ours, theirs = left.type.attributes or (), right.type.attributes or ()
        for number, (a, b) in enumerate(zip(ours, theirs, strict=False), 1):
            if a.type.oid != b.type.oid:
                raise DatatypeMismatch(
                    f"cannot compare dissimilar column types {a.type} and {b.type} at record column {number}"
                )
        if len(ours) != len(theirs):
            raise DatatypeMismatch("cannot compare record types with different numbers of columns")
        return test(left, right)

    return compare


def _key(column: Column) -> Column:
    (key,) = column_keys(Column(column.type, column.values))
    return Column(BYTEA, key.strings, constant=column.constant)


DAY_MICROS = 86_400_000_000


def interval_key(values: Array) -> tuple[Array, Array]:
    """(days, microseconds within the day): intervals compare as these pairs do."""
    micros = values["micros"].astype(np.int64)
    days = values["months"].astype(np.int64) * 30 + values["days"] + micros // DAY_MICROS
    return days, micros % DAY_MICROS


def _interval(symbol: str) -> Test:
    def test(left: Column, right: Column) -> Mask:
        (a, c), (b, d) = interval_key(left.values), interval_key(right.values)
        if symbol in ("=", "<>"):
            same: Mask = (a == b) & (c == d)
            return same if symbol == "=" else ~same
        mask: Mask = _NUMPY[symbol[0]](a, b) | ((a == b) & _NUMPY[symbol](c, d))
        return mask

    return test


def _declare(
    make: Callable[[str], Test],
    pairs: list[tuple[Type, Type]],
    *,
    total: bool = True,
    constants: bool = True,
    symbols: tuple[str, ...] = SYMBOLS,
) -> None:
    for symbol in symbols:
        for left, right in pairs:
            operator(symbol, [left, right], BOOL, constants=constants, total=total)(_column(make(symbol)))


def _column(test: Test) -> Callable[[Column, Column], Column]:
    def compare(left: Column, right: Column) -> Column:
        return Column(BOOL, test(left, right), constant=left.constant and right.constant)

    return compare


def _same(*types: Type) -> list[tuple[Type, Type]]:
    return [(type, type) for type in types]


def _cross(*types: Type) -> list[tuple[Type, Type]]:
    return [(left, right) for left in types for right in types]


_declare(_fixed, _cross(INT2, INT4, INT8) + _same(BOOL, CHAR, OID, TID))
_declare(_fixed, _same(DATE, TIME, TIMETZ, TIMESTAMP, TIMESTAMPTZ, MACADDR, MACADDR8, MONEY, PG_LSN, XID8))
_declare(_fixed, _same(ANYENUM))
_declare(_fixed, [(XID, XID), (XID, INT4)], symbols=("=", "<>"))
_declare(_fixed, _same(CID), symbols=("=",))
_declare(_float, _cross(FLOAT4, FLOAT8))
_declare(_arrow, [*_cross(TEXT, NAME), (BYTEA, BYTEA)])
_declare(_blank_padded, _same(BPCHAR))
for _symbol in ("<", "<=", ">=", ">"):  # of text_pattern_ops, which compare bytes: as all texts are compared
    operator(f"~{_symbol}~", [TEXT, TEXT], BOOL, constants=True, total=True)(_column(_arrow(_symbol)))
    operator(f"~{_symbol}~", [BPCHAR, BPCHAR], BOOL, constants=True)(_column(_blank_padded(_symbol)))
_declare(_decimal, _same(NUMERIC), total=False)
_declare(_rows, [(UUID, UUID), (BINARY, BINARY), *_same(*ELEMENTS.values())])
_declare(_by_key, _same(BIT, VARBIT, SPARSEVEC))
_declare(_record, _same(RECORD), total=False)
_declare(_interval, _same(INTERVAL))
_declare(_by_key, [(ANYARRAY, ANYARRAY), (OIDVECTOR, OIDVECTOR), *_same(ANYRANGE, ANYMULTIRANGE)])
_declare(_arrow, _same(INET), symbols=("=", "<>"))  # of equal addresses the same text is shown
_declare(_by_key, _same(INET), total=False, symbols=("<", "<=", ">", ">="))
_declare(_by_key, _same(JSONB), total=False)


def _compared(less: Test, equal: Test) -> Callable[[Column, Column], Column]:
    def compare(left: Column, right: Column) -> Column:
        """-1, 0 or 1: less, equal, greater."""
        order = np.where(less(left, right), -1, np.where(equal(left, right), 0, 1))
        return Column(INT4, order.astype(np.int32), constant=left.constant and right.constant)

    return compare


_FUNCTIONS = {"eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
for _type, _make in ((VECTOR, _rows), (HALFVEC, _rows), (SPARSEVEC, _by_key)):
    for _name, _symbol in _FUNCTIONS.items():
        scalar(f"{_type.name}_{_name}", [_type, _type], BOOL, constants=True)(_column(_make(_symbol)))
    scalar(f"{_type.name}_cmp", [_type, _type], INT4, constants=True)(_compared(_make("<"), _make("=")))
