"""Vectors: dot product and distances of BINARY(n) and VECTOR(n), packing, and vector arithmetic.

DOT_PRODUCT (`<*>`), EUCLIDEAN_DISTANCE (`<->`) and their kin go to the kernels that are the reference of
every exact answer: float64 terms over a fixed tree. One side is usually constant. A NaN or infinite
result is null. BINARY holds little-endian elements: float32, or what the function's suffix says
(`_F64`, `_I8`, `_I16`, `_I32`, `_I64`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from engine.functions.registry import operator, scalar
from engine.functions.text import each
from storage import kernels
from storage.column import Array, Column
from storage.errors import DataException, InvalidParameterValue, InvalidTextRepresentation
from storage.types import BINARY, BYTEA, FLOAT4, FLOAT8, INT4, TEXT, VECTOR, Type, array_of

_FORMATS = {"F32": "<f4", "F64": "<f8", "I8": "<i1", "I16": "<i2", "I32": "<i4", "I64": "<i8"}
_Kernel = Callable[[Array, Array], Array]


def vectors(column: Column, dtype: np.dtype) -> Array:
    """A vector or binary column's rows as elements."""
    values: Array = column.values
    if values.dtype == dtype:
        return values
    if values.shape[1] % dtype.itemsize:
        raise DataException(
            f"binary length {values.shape[1]} is not a multiple of {dtype.itemsize}",
            hint=f"A vector's elements take {dtype.itemsize} bytes each.",
        )
    if values.shape[1] and values.strides[1] != 1:
        values = np.ascontiguousarray(values)
    return values.view(dtype)


def _check_lengths(left: Array, right: Array) -> None:
    if left.shape[1] != right.shape[1]:
        a, b = left.shape[1], right.shape[1]
        raise DataException(
            f"different vector dimensions {a} and {b}",
            hint=f"Both vectors must have as many elements: binary(4 * {a}) and vector({a}) hold {a}.",
        )


def _pairs(kernel: _Kernel, left: Array, right: Array) -> Array:
    """The kernel on rows with one query on either side, or pair by pair."""
    if len(right) == 1:
        return kernel(left, right[0])
    if len(left) == 1:
        return kernel(right, left[0])
    return kernel(left, right)


def _scores(left: Column, right: Column, kernel: _Kernel, dtype: np.dtype, *, finite: bool = True) -> Column:
    a, b = vectors(left, dtype), vectors(right, dtype)
    _check_lengths(a, b)
    if len(a) != 1 and len(b) == 0:
        return Column.of(FLOAT8, [])
    scores = _pairs(kernel, a, b)
    constant = left.constant and right.constant
    valid = np.isfinite(scores) if finite else None
    return Column(FLOAT8, scores, None if valid is None or valid.all() else valid, constant=constant)


def _dot(rows: Array, query: Array) -> Array:
    return kernels.dot(rows, query)


def _distance(rows: Array, query: Array) -> Array:
    return kernels.l2(rows, query)


def _manhattan(rows: Array, query: Array) -> Array:
    return kernels.l1(rows, query)


def _cosine(rows: Array, query: Array) -> Array:
    return kernels.cosine(rows, query)


def _function(kernel: _Kernel, dtype: str, *, finite: bool = True) -> Callable[[Column, Column], Column]:
    def apply(left: Column, right: Column) -> Column:
        """A number for two vectors of equal length; null where it is NaN or infinite."""
        return _scores(left, right, kernel, np.dtype(dtype), finite=finite)

    return apply


_SIDES = ((BINARY, BINARY), (VECTOR, VECTOR), (BINARY, VECTOR), (VECTOR, BINARY))
for _sides in _SIDES:
    for _name, _symbol, _kernel in (
        ("dot_product", "<*>", _dot),
        ("euclidean_distance", "<->", _distance),
    ):
        scalar(_name, _sides, FLOAT8, constants=True)(_function(_kernel, "<f4"))
        operator(_symbol, _sides, FLOAT8, constants=True)(_function(_kernel, "<f4"))
for _suffix, _dtype in _FORMATS.items():
    scalar(f"dot_product_{_suffix.lower()}", [BINARY, BINARY], FLOAT8, constants=True)(
        _function(_dot, _dtype)
    )
    scalar(f"euclidean_distance_{_suffix.lower()}", [BINARY, BINARY], FLOAT8, constants=True)(
        _function(_distance, _dtype)
    )

_TWO = [VECTOR, VECTOR]
scalar("inner_product", _TWO, FLOAT8, constants=True)(_function(_dot, "<f4"))
scalar("l2_distance", _TWO, FLOAT8, constants=True)(_function(_distance, "<f4"))
scalar("l1_distance", _TWO, FLOAT8, constants=True)(_function(_manhattan, "<f4"))
scalar("cosine_distance", _TWO, FLOAT8, constants=True)(_function(_cosine, "<f4", finite=False))
operator("<=>", _TWO, FLOAT8, constants=True)(_function(_cosine, "<f4", finite=False))
operator("<+>", _TWO, FLOAT8, constants=True)(_function(_manhattan, "<f4"))


def _negative(rows: Array, query: Array) -> Array:
    return -_dot(rows, query)


operator("<#>", _TWO, FLOAT8, constants=True)(_function(_negative, "<f4"))
scalar("vector_negative_inner_product", _TWO, FLOAT8, constants=True)(_function(_negative, "<f4"))


@scalar("vector_dims", [VECTOR], INT4)
def vector_dims(column: Column) -> Column:
    """How many elements a vector has."""
    return Column(INT4, np.full(len(column), column.values.shape[1], np.int32))


@scalar("l2_norm", [VECTOR], FLOAT8)
@scalar("vector_norm", [VECTOR], FLOAT8)
def l2_norm(column: Column) -> Column:
    """A vector's Euclidean length."""
    return Column(FLOAT8, kernels.norms(column.values))


@scalar("l2_normalize", [VECTOR], VECTOR)
def l2_normalize(column: Column) -> Column:
    """The vector of length 1 in the same direction; zero stays zero."""
    norms = l2_norm(column).values
    scaled = column.values / np.where(norms == 0, 1.0, norms)[:, None]
    return Column(VECTOR, scaled.astype(np.float32))


@scalar("subvector", [VECTOR, INT4, INT4], VECTOR)
def subvector(column: Column, start: Column, count: Column) -> Column:
    """So many elements from a position on, counted from 1."""
    if not len(column):
        return Column(VECTOR, column.values)
    if (start.values != start.values[0]).any() or (count.values != count.values[0]).any():
        raise InvalidParameterValue("subvector must take the same part of every row")
    first, size = int(start.values[0]), int(count.values[0])
    if size < 1:
        raise DataException("vector must have at least 1 dimension")
    part = column.values[:, max(first - 1, 0) : max(first - 1 + size, 0)]
    if not part.shape[1]:
        raise DataException("vector must have at least 1 dimension")
    return Column(VECTOR, np.ascontiguousarray(part))


def _elementwise(name: str, symbol: str, function: Callable[[Array, Array], Array]) -> None:
    @operator(symbol, _TWO, VECTOR)
    @scalar(name, _TWO, VECTOR)
    def apply(left: Column, right: Column) -> Column:
        """Element by element."""
        _check_lengths(left.values, right.values)
        with np.errstate(all="ignore"):
            result = function(left.values, right.values)
        if not np.isfinite(result).all():
            raise DataException("value out of range: overflow")
        return Column(VECTOR, result)


_elementwise("vector_add", "+", np.add)
_elementwise("vector_sub", "-", np.subtract)
_elementwise("vector_mul", "*", np.multiply)


@scalar("scalar_vector_mul", [FLOAT8, VECTOR], VECTOR)
def scalar_vector_mul(factor: Column, column: Column) -> Column:
    """Every element times a number."""
    return Column(VECTOR, (column.values * factor.values[:, None]).astype(np.float32))


@scalar("vector_elements_sum", [VECTOR], FLOAT8)
def vector_elements_sum(column: Column) -> Column:
    """The sum of the elements."""
    return Column(FLOAT8, kernels.dot(column.values, np.ones(column.values.shape[1], np.float32)))


@scalar("vector_num_elements", [VECTOR], INT4)
def vector_num_elements(column: Column) -> Column:
    """How many elements a vector has."""
    return vector_dims(column)


def _pack(text: str, dtype: np.dtype) -> bytes:
    try:
        items = json.loads(text)
    except ValueError:
        raise InvalidTextRepresentation(
            f'invalid input syntax for a vector: "{text[:60]}"', hint="Write the elements as '[1, 2.5, 3]'."
        ) from None
    if not isinstance(items, list) or any(
        isinstance(x, bool) or not isinstance(x, int | float) for x in items
    ):
        raise InvalidTextRepresentation(
            f'invalid input syntax for a vector: "{text[:60]}"', hint="Write the elements as '[1, 2.5, 3]'."
        )
    if dtype.kind == "i":
        limits = np.iinfo(dtype)
        whole = [round(x) for x in items]
        if any(not limits.min <= x <= limits.max for x in whole):
            raise DataException(f"an element does not fit in {8 * dtype.itemsize} bits")
        return np.array(whole, dtype).tobytes()
    with np.errstate(over="ignore"):
        return np.array(items, np.float64).astype(dtype).tobytes()


def _unpack(raw: bytes, dtype: np.dtype) -> str:
    if len(raw) % dtype.itemsize:
        raise DataException(
            f"binary length {len(raw)} is not a multiple of {dtype.itemsize}",
            hint=f"A vector's elements take {dtype.itemsize} bytes each.",
        )
    return "[" + ",".join(map(_element, np.frombuffer(raw, dtype))) + "]"


def _element(item: Any) -> str:
    """The shortest text that reads back as the same element."""
    if isinstance(item, np.integer):
        return str(int(item))
    if not np.isfinite(item):
        return "null"
    return (
        np.format_float_positional(item, unique=True, trim="-")
        if 1e-5 <= abs(item) < 1e16 or not item
        else (np.format_float_scientific(item, unique=True, trim="-"))
    )


def _packing(suffix: str, dtype: np.dtype) -> None:
    @scalar(f"json_array_pack{suffix}", [TEXT], BYTEA)
    def pack(column: Column) -> Column:
        """A JSON array of numbers as packed little-endian elements."""
        return each(lambda t: _pack(t, dtype), column, type=BYTEA)

    for type in (BYTEA, BINARY):

        @scalar(f"json_array_unpack{suffix}", [type], TEXT)
        def unpack(column: Column) -> Column:
            """Packed elements as a JSON array."""
            return each(lambda raw: _unpack(raw, dtype), column)


_packing("", np.dtype("<f4"))
for _suffix, _dtype in _FORMATS.items():
    _packing(f"_{_suffix.lower()}", np.dtype(_dtype))


def _floats(type: Type) -> None:
    @scalar("vector_to_float4" if type is FLOAT4 else "vector_to_float8", [VECTOR], array_of(type))
    def to_array(column: Column) -> Column:
        """The elements as an array."""
        return Column.of(array_of(type), column.values.astype(type.dtype).tolist())


_floats(FLOAT4)
_floats(FLOAT8)


@scalar("length", [BINARY], INT4)
@scalar("octet_length", [BINARY], INT4)
def binary_length(column: Column) -> Column:
    """How many bytes."""
    return Column(INT4, np.full(len(column), column.values.shape[1], np.int32))
