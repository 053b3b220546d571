"""Sparse vectors: pgvector's functions and operators over sparsevec.

Terms are float64, and their sum is the double nearest to the exact one, so that it depends on no order.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from engine.forms import sparse
from engine.functions.registry import operator, scalar
from storage.column import Array, Column
from storage.errors import DataException
from storage.types import FLOAT8, SPARSEVEC

_Measure = Callable[[Array, Array], float]


def _aligned(left: bytes, right: bytes) -> tuple[Array, Array]:
    """The elements of two vectors, as float64, at the places where either has one."""
    (m, a, x), (n, b, y) = sparse.unpack(left), sparse.unpack(right)
    if m != n:
        raise DataException(f"different sparsevec dimensions {m} and {n}")
    places = np.union1d(a, b)
    wide = np.zeros((2, len(places)))
    wide[0, np.searchsorted(places, a)] = x
    wide[1, np.searchsorted(places, b)] = y
    return wide[0], wide[1]


def _dot(x: Array, y: Array) -> float:
    return math.fsum(x * y)


def _negative(x: Array, y: Array) -> float:
    return -_dot(x, y)


def _l2(x: Array, y: Array) -> float:
    return math.sqrt(math.fsum((x - y) ** 2))


def _l1(x: Array, y: Array) -> float:
    return math.fsum(np.abs(x - y))


def _cosine(x: Array, y: Array) -> float:
    lengths = math.sqrt(math.fsum(x * x) * math.fsum(y * y))
    return math.nan if lengths == 0 else 1.0 - max(-1.0, min(1.0, _dot(x, y) / lengths))


def _function(measure: _Measure, doc: str) -> Callable[[Column, Column], Column]:
    def apply(left: Column, right: Column) -> Column:
        pairs = zip(left.values.to_pylist(), right.values.to_pylist(), strict=True)
        return Column.of(FLOAT8, [measure(*_aligned(a, b)) for a, b in pairs])

    apply.__doc__ = doc
    return apply


for _name, _symbol, _measure, _doc in (
    ("inner_product", "", _dot, "The inner product."),
    ("sparsevec_negative_inner_product", "<#>", _negative, "The inner product, negated."),
    ("l2_distance", "<->", _l2, "The Euclidean distance."),
    ("l1_distance", "<+>", _l1, "The taxicab distance."),
    ("cosine_distance", "<=>", _cosine, "The cosine distance, 1 - cosine of the angle."),
):
    scalar(_name, [SPARSEVEC, SPARSEVEC], FLOAT8)(_function(_measure, _doc))
    if _symbol:
        operator(_symbol, [SPARSEVEC, SPARSEVEC], FLOAT8)(_function(_measure, _doc))


def _length(values: Array) -> float:
    return math.sqrt(math.fsum(values.astype(np.float64) ** 2))


@scalar("l2_norm", [SPARSEVEC], FLOAT8)
def l2_norm(column: Column) -> Column:
    """A vector's Euclidean length."""
    return Column.of(FLOAT8, [_length(sparse.unpack(raw)[2]) for raw in column.values.to_pylist()])


@scalar("l2_normalize", [SPARSEVEC], SPARSEVEC)
def l2_normalize(column: Column) -> Column:
    """The vector of length 1 in the same direction; zero stays zero."""
    made = []
    for raw in column.values.to_pylist():
        dimensions, places, values = sparse.unpack(raw)
        length = _length(values)
        scaled = (values / (length or 1.0)).astype(np.float32)
        made.append(sparse.pack(dimensions, places[scaled != 0], scaled[scaled != 0]))
    return Column.of(SPARSEVEC, made)
