"""What makes vectors of vectors: sums, products, parts, order; pgvector's functions and SingleStore's.

Elements keep their type: what does not fit it is an error (22003). On BINARY, SingleStore's functions read
float32 elements, or what their suffix says, and give BINARY back.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.bylength import by_kind
from engine.forms import vectors
from engine.functions.registry import operator, scalar
from engine.functions.vectordistances import SUFFIXES, check_lengths, rows_of
from storage import kernels
from storage.column import Array, Column, bytes_column
from storage.errors import (
    DataException,
    InvalidParameterValue,
    NumericValueOutOfRange,
)
from storage.types import (
    BINARY,
    BIT,
    ELEMENTS,
    FLOAT4,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    TEXT,
    VECTOR,
    Type,
)

_Elementwise = Callable[[Array, Array], Array]
# the SQL type of one element, by numpy's character of it
_SINGLE = {"e": FLOAT4, "f": FLOAT4, "d": FLOAT8, "b": INT2, "h": INT2, "i": INT4, "l": INT8}


def _made(type: Type, like: Column, rows: Array) -> Column:
    """Rows of elements as what `like` is: a vector, or bytes."""
    if like.type.oid == BINARY.oid:
        return Column(BINARY, np.ascontiguousarray(rows).view(np.uint8))
    return Column(type.base, rows)


def _by_span(work: Callable[[Column, int, int], Column]) -> Callable[[Column, Column, Column], Column]:
    """A function of vectors, of where a part begins and how long it is; all may differ by row."""

    def apply(column: Column, start: Column, length: Column) -> Column:
        def alike(rows: Column, start: Column, length: Column) -> Column:
            return work(rows, int(start.values[0]), int(length.values[0]))

        spans = np.stack([start.values, length.values], axis=1)
        return by_kind(alike, (column, start, length), spans)

    apply.__doc__ = work.__doc__
    return apply


def _arithmetic(name: str, function: _Elementwise, type: Type) -> Callable[[Column, Column], Column]:
    dtype = type.dtype
    assert dtype is not None

    def apply(left: Column, right: Column) -> Column:
        a, b = rows_of(left, dtype), rows_of(right, dtype)
        check_lengths(left, right, a, b)
        with np.errstate(all="ignore"):
            if dtype.kind == "i":
                return _made(type, left, _within(function, a, b))
            made = function(a, b)
        if np.isinf(made).any():
            raise NumericValueOutOfRange("value out of range: overflow")
        if function is np.multiply and ((made == 0) & (a != 0) & (b != 0)).any():
            raise NumericValueOutOfRange("value out of range: underflow")
        return _made(type, left, made)

    apply.__doc__ = f"Element by element: {name}."
    return apply


def _within(function: _Elementwise, a: Array, b: Array) -> Array:
    """Integers by integers. Raises NumericValueOutOfRange for what does not fit."""
    limits = np.iinfo(a.dtype)
    if a.dtype.itemsize < 8:
        wide = function(a.astype(np.int64), b.astype(np.int64))
    else:
        wide = function(a.astype(object), b.astype(object))
    if ((wide < limits.min) | (wide > limits.max)).any():
        raise NumericValueOutOfRange("value out of range: overflow")
    return wide.astype(a.dtype)


def _scaled(type: Type) -> Callable[[Column, Column], Column]:
    dtype = type.dtype
    assert dtype is not None

    def apply(factor: Column, column: Column) -> Column:
        """Every element times a number; of integers rounded to the nearest."""
        rows = rows_of(column, dtype).astype(np.float64)
        with np.errstate(all="ignore"):
            product = rows * factor.values[:, None]
        return _made(type, column, vectors.from_floats(type, product))

    return apply


def _element_sum(type: Type) -> Callable[[Column], Column]:
    dtype = type.dtype
    assert dtype is not None

    def apply(column: Column) -> Column:
        """The sum of the elements: a bigint of integers, else double precision."""
        rows = rows_of(column, dtype)
        if dtype.kind == "f":
            return Column(FLOAT8, kernels.dot(rows, np.ones(rows.shape[1], dtype)))
        exact = rows.astype(object).sum(axis=1) if dtype.itemsize == 8 else rows.sum(axis=1, dtype=np.int64)
        if len(exact) and not -(2**63) <= exact.min() <= exact.max() < 2**63:
            raise NumericValueOutOfRange("bigint out of range")
        return Column(INT8, exact.astype(np.int64))

    return apply


def _kth(type: Type) -> Callable[[Column, Column], Column]:
    dtype = type.dtype
    assert dtype is not None
    single = _SINGLE[dtype.char]
    assert single.dtype is not None
    target = single.dtype

    def apply(column: Column, index: Column) -> Column:
        """The element at an index, from 0, or from the end where it is negative; null outside."""
        rows = rows_of(column, dtype)
        places = index.values.astype(np.int64)
        places = np.where(places < 0, places + rows.shape[1], places)
        inside = (places >= 0) & (places < rows.shape[1])
        picked = rows[np.arange(len(rows)), np.where(inside, places, 0)].astype(target)
        return Column(single, picked, None if inside.all() else inside)

    return apply


def _sorted(type: Type) -> Callable[..., Column]:
    dtype = type.dtype
    assert dtype is not None

    def apply(column: Column, order: Column | None = None) -> Column:
        """The elements in ascending order, or in that of the second argument: 'ASC' or 'DESC'."""
        rows = np.sort(rows_of(column, dtype), axis=1)
        if order is not None:
            words = [word.upper() for word in order.values.to_pylist()]
            for word in words:
                if word not in ("ASC", "DESC"):
                    raise InvalidParameterValue(f'sort order must be ASC or DESC, not "{word}"')
            down = np.array([word == "DESC" for word in words], np.bool_)
            rows[down] = rows[down, ::-1]
        return _made(type, column, rows)

    return apply


def _part(type: Type) -> Callable[[Column, Column, Column], Column]:
    dtype = type.dtype
    assert dtype is not None

    def apply(column: Column, start: int, count: int) -> Column:
        """So many elements from a position on, from 0, or from the end where it is negative."""
        rows = rows_of(column, dtype)
        first = start + rows.shape[1] if start < 0 else start
        if first < 0 or count < 1 or first + count > rows.shape[1]:
            raise InvalidParameterValue(f"no {count} elements from {start} on in a vector of {rows.shape[1]}")
        return _made(type, column, np.ascontiguousarray(rows[:, first : first + count]))

    return _by_span(apply)


_OPERATIONS: tuple[tuple[str, str, _Elementwise], ...] = (
    ("add", "+", np.add),
    ("sub", "-", np.subtract),
    ("mul", "*", np.multiply),
)


def _declare(type: Type, argument: Type, suffix: str = "") -> None:
    """SingleStore's functions on vectors of a type, or on BINARY of its elements."""
    dtype = type.dtype
    assert dtype is not None
    for name, _, function in _OPERATIONS:
        scalar(f"vector_{name}{suffix}", [argument, argument], argument)(_arithmetic(name, function, type))
    total = FLOAT8 if dtype.kind == "f" else INT8
    scalar(f"scalar_vector_mul{suffix}", [FLOAT8, argument], argument)(_scaled(type))
    scalar(f"vector_elements_sum{suffix}", [argument], total)(_element_sum(type))
    scalar(f"vector_kth_element{suffix}", [argument, INT4], _SINGLE[dtype.char])(_kth(type))
    scalar(f"vector_sort{suffix}", [argument], argument)(_sorted(type))
    scalar(f"vector_sort{suffix}", [argument, TEXT], argument)(_sorted(type))
    scalar(f"vector_subvector{suffix}", [argument, INT4, INT4], argument)(_part(type))


def _element_count(type: Type) -> Callable[[Column], Column]:
    dtype = type.dtype
    assert dtype is not None

    def apply(column: Column) -> Column:
        """How many elements the bytes hold."""
        return Column(INT4, np.full(len(column), rows_of(column, dtype).shape[1], np.int32))

    return apply


for _type in ELEMENTS.values():
    _declare(_type, _type)
    for _name, _symbol, _function in _OPERATIONS:
        operator(_symbol, [_type, _type], _type)(_arithmetic(_name, _function, _type))
        if _type is not VECTOR:
            scalar(f"{_type.name}_{_name}", [_type, _type], _type)(_arithmetic(_name, _function, _type))
for _suffix, _type in {"": VECTOR, **{f"_{name.lower()}": type for name, type in SUFFIXES.items()}}.items():
    _declare(_type, BINARY, _suffix)
    scalar(f"vector_num_elements{_suffix}", [BINARY], INT4)(_element_count(_type))


def _concat(left: Column, right: Column) -> Column:
    """The elements of both."""
    vectors.check_dimensions(left.type.base, left.values.shape[1] + right.values.shape[1])
    return Column(left.type.base, np.concatenate([left.values, right.values], axis=1))


def _normalize(column: Column) -> Column:
    """The vector of length 1 in the same direction; zero stays zero."""
    lengths = kernels.norms(column.values)
    scaled = column.values / np.where(lengths == 0, 1.0, lengths)[:, None]
    return Column(column.type.base, scaled.astype(column.values.dtype))


def _quantize(column: Column) -> Column:
    """A bit an element: whether it is above zero."""
    packed = np.packbits(column.values > 0, axis=1)
    padding = np.full((len(packed), 1), -column.values.shape[1] % 8, np.uint8)
    return bytes_column(np.concatenate([packed, padding], axis=1)).retype(BIT)


def _subvector(column: Column, first: int, size: int) -> Column:
    """So many elements from a position on, counted from 1; fewer where the vector ends."""
    part = column.values[:, max(first - 1, 0) : max(first - 1 + size, 0)]
    if size < 1 or not part.shape[1]:
        raise DataException(f"{vectors.words(column.type)} must have at least 1 dimension")
    return Column(column.type.base, np.ascontiguousarray(part))


for _type in ELEMENTS.values():
    operator("||", [_type, _type], _type)(_concat)
    scalar(f"{_type.name}_concat", [_type, _type], _type)(_concat)
    scalar("binary_quantize", [_type], BIT)(_quantize)
    scalar("subvector", [_type, INT4, INT4], _type)(_by_span(_subvector))
    if _type.dtype is not None and _type.dtype.kind == "f":
        scalar("l2_normalize", [_type], _type)(_normalize)
