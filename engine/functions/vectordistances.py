"""Products and distances of vectors: DOT_PRODUCT, EUCLIDEAN_DISTANCE, pgvector's functions and operators.

Every element type has them; they are the kernels of storage.kernels' family `dot`, the reference of every
exact answer. One side is usually constant. DOT_PRODUCT and EUCLIDEAN_DISTANCE are null where the result is
NaN or infinite, as SingleStore has it; so are the others, but for the cosine distance of a zero vector: NaN,
as pgvector has it. BINARY holds little-endian elements: float32, or what the function's suffix says (`_F64`,
`_I8`, `_I16`, `_I32`, `_I64`), or those of the vector beside it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.forms import vectors
from engine.functions.registry import operator, scalar
from storage import kernels
from storage.column import Array, Column
from storage.errors import DataException
from storage.types import BINARY, ELEMENTS, FLOAT8, HALFVEC, INT4, VECTOR, Type

SUFFIXES = {name: type for name, type in ELEMENTS.items() if type is not HALFVEC}
"""The suffixes of functions on BINARY, with the vector type of the same elements."""

_Kernel = Callable[[Array, Array], Array]


def rows_of(column: Column, dtype: np.dtype) -> Array:
    """A vector or binary column's rows as elements. Raises DataException where bytes are left over."""
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


def check_lengths(left: Column, right: Column, a: Array, b: Array) -> None:
    """Raise where the vectors have not equally many elements."""
    if a.shape[1] == b.shape[1]:
        return
    m, n = a.shape[1], b.shape[1]
    if BINARY.oid not in (left.type.oid, right.type.oid):
        raise DataException(f"different {vectors.words(left.type)} dimensions {m} and {n}")
    raise DataException(
        f"different vector dimensions {m} and {n}",
        hint=f"Both vectors must have as many elements: binary(4 * {m}) and vector({m}) hold {m}.",
    )


def scores(left: Column, right: Column, kernel: _Kernel, dtype: np.dtype, *, finite: bool = True) -> Column:
    """The kernel's number for each pair of rows, one side being constant or not; null where it is not
    `finite` if that is asked for. Raises DataException for vectors of different lengths."""
    a, b = rows_of(left, dtype), rows_of(right, dtype)
    if not len(a) or not len(b):
        return Column.of(FLOAT8, [])
    check_lengths(left, right, a, b)
    if len(b) == 1:
        found = kernel(a, b[0])
    elif len(a) == 1:
        found = kernel(b, a[0])
    else:
        found = kernel(a, b)
    valid = np.isfinite(found) if finite else None
    constant = left.constant and right.constant
    return Column(FLOAT8, found, None if valid is None or valid.all() else valid, constant=constant)


# the table's names are looked up at each call: compiled kernels take the plain ones' places
def _dot(rows: Array, query: Array) -> Array:
    return kernels.dot(rows, query)


def _negative(rows: Array, query: Array) -> Array:
    return -kernels.dot(rows, query)


def _l2(rows: Array, query: Array) -> Array:
    return kernels.l2(rows, query)


def _l1(rows: Array, query: Array) -> Array:
    return kernels.l1(rows, query)


def _cosine(rows: Array, query: Array) -> Array:
    return kernels.cosine(rows, query)


def _apply(kernel: _Kernel, type: Type, doc: str) -> Callable[[Column, Column], Column]:
    dtype, finite = type.dtype, kernel is not _cosine
    assert dtype is not None

    def apply(left: Column, right: Column) -> Column:
        return scores(left, right, kernel, dtype, finite=finite)

    apply.__doc__ = doc
    return apply


# (kernel, what it is, function, operator)
_METRICS: tuple[tuple[_Kernel, str, str, str], ...] = (
    (_dot, "The inner product.", "inner_product", ""),
    (_negative, "The inner product, negated.", "{}_negative_inner_product", "<#>"),
    (_l2, "The Euclidean distance.", "l2_distance", ""),
    (_cosine, "The cosine distance, 1 - cosine of the angle.", "cosine_distance", "<=>"),
    (_l1, "The taxicab distance.", "l1_distance", "<+>"),
)
_BOTH: tuple[tuple[_Kernel, str, str, str], ...] = (
    (_dot, "The dot product; null where it is NaN or infinite.", "dot_product", "<*>"),
    (_l2, "The Euclidean distance; null where it is NaN or infinite.", "euclidean_distance", "<->"),
)


def _declare() -> None:
    for type in ELEMENTS.values():
        pair = (type, type)
        for kernel, doc, name, symbol in _METRICS:
            scalar(name.format(type.name), pair, FLOAT8, constants=True)(_apply(kernel, type, doc))
            if symbol:
                operator(symbol, pair, FLOAT8, constants=True)(_apply(kernel, type, doc))
        for sides in ((type, type), (BINARY, type), (type, BINARY)):
            for kernel, doc, name, symbol in _BOTH:
                scalar(name, sides, FLOAT8, constants=True)(_apply(kernel, type, doc))
                operator(symbol, sides, FLOAT8, constants=True)(_apply(kernel, type, doc))
    blobs = (BINARY, BINARY)
    for kernel, doc, name, symbol in _BOTH:
        scalar(name, blobs, FLOAT8, constants=True)(_apply(kernel, VECTOR, doc))
        operator(symbol, blobs, FLOAT8, constants=True)(_apply(kernel, VECTOR, doc))
        for suffix, type in SUFFIXES.items():
            scalar(f"{name}_{suffix.lower()}", blobs, FLOAT8, constants=True)(_apply(kernel, type, doc))


_declare()


def _norm(column: Column) -> Column:
    """A vector's Euclidean length."""
    return Column(FLOAT8, kernels.norms(column.values))


def _count(column: Column) -> Column:
    """How many elements a vector has."""
    return Column(INT4, np.full(len(column), column.values.shape[1], np.int32))


for _type in ELEMENTS.values():
    scalar("l2_norm", [_type], FLOAT8)(_norm)
    scalar("vector_dims", [_type], INT4)(_count)
    scalar("vector_num_elements", [_type], INT4)(_count)
scalar("vector_norm", [VECTOR], FLOAT8)(_norm)
