"""Twins of plain.dot: one row at a time in four vectors of eight doubles, as LLVM vectors.

The instructions are separate multiplications and additions without fast-math flags, so LLVM contracts
and reorders nothing; loads ask for no alignment, so any byte view of a row will do. Kernels take
addresses: a signature over arrays would refuse the read-only ones of mapped files. There is one machine-code
function an element type and metric; the query is always padded doubles, one for all rows (its stride is 0)
or one a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from storage.kernels.plain.dot import LANES, LEAST_SQUARES, Rows, Scores, padded

_DOUBLE8 = ir.VectorType(ir.DoubleType(), 8)
_INDEX = ir.IntType(64)
# one call stays under 20 ms at the speed of memory, so that a cancel is never far away
_CALL_BYTES = 128 << 20
# so many bytes of rows meet their own queries at a time: widened ones stay in cache
_PAIR_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class _Element:
    """An element as LLVM has it: its type, its conversion to double ('' of doubles), its size in bytes."""

    kind: Any
    widen: str
    size: int


# by the type of a kernel's first argument, which says what the rows hold; numba has no float16 here
_ELEMENTS = {
    types.uint16: _Element(ir.HalfType(), "fpext", 2),
    types.float32: _Element(ir.FloatType(), "fpext", 4),
    types.float64: _Element(ir.DoubleType(), "", 8),
    types.int8: _Element(ir.IntType(8), "sitofp", 1),
    types.int16: _Element(ir.IntType(16), "sitofp", 2),
    types.int32: _Element(ir.IntType(32), "sitofp", 4),
    types.int64: _Element(ir.IntType(64), "sitofp", 8),
}
_TAGS = {np.dtype(c): np.dtype(c).type(0) for c in ("f4", "f8", "i1", "i2", "i4", "i8")}
_TAGS[np.dtype(np.float16)] = np.uint16(0)
_Term = Callable[[Any, Any, Any], Any]


def _load(builder: Any, kind: Any, address: Any, offset: int, align: int) -> Any:
    pointer = builder.inttoptr(builder.add(address, ir.Constant(_INDEX, offset)), kind.as_pointer())
    return builder.load(pointer, align=align)


def _row_sum(term: _Term) -> Any:
    """An intrinsic f(tag, row address, query address, whole blocks, tail elements) -> the sum of terms."""

    @intrinsic  # type: ignore[untyped-decorator]  # numba has no types
    def row_sum(typing: Any, tag: Any, row: Any, query: Any, blocks: Any, tail: Any) -> Any:
        element = _ELEMENTS[tag]

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            _, row, query, blocks, tail = args
            lanes = [cgutils.alloca_once_value(builder, ir.Constant(_DOUBLE8, None)) for _ in range(4)]
            _add_blocks(builder, element, term, lanes, row, query, blocks)
            with builder.if_then(builder.icmp_signed(">", tail, ir.Constant(_INDEX, 0))):
                rest = builder.add(row, builder.mul(blocks, ir.Constant(_INDEX, element.size * LANES)))
                buffer = _padded_tail(builder, element, rest, tail)
                against = builder.add(query, builder.mul(blocks, ir.Constant(_INDEX, 8 * LANES)))
                _add_block(builder, element, term, lanes, buffer, against)
            return _tree(builder, [builder.load(lane) for lane in lanes])

        return types.float64(tag, row, query, blocks, tail), codegen

    return row_sum


def _add_blocks(
    builder: Any, element: _Element, term: _Term, lanes: list[Any], row: Any, query: Any, blocks: Any
) -> None:
    with cgutils.for_range(builder, blocks) as loop:
        at = builder.add(row, builder.mul(loop.index, ir.Constant(_INDEX, element.size * LANES)))
        against = builder.add(query, builder.mul(loop.index, ir.Constant(_INDEX, 8 * LANES)))
        _add_block(builder, element, term, lanes, at, against)


def _add_block(builder: Any, element: _Element, term: _Term, lanes: list[Any], row: Any, query: Any) -> None:
    eight = ir.VectorType(element.kind, 8)
    for part, lane in enumerate(lanes):
        x = _load(builder, eight, row, 8 * element.size * part, 1)
        if element.widen:
            x = getattr(builder, element.widen)(x, _DOUBLE8)
        q = _load(builder, _DOUBLE8, query, 64 * part, 8)
        builder.store(builder.fadd(builder.load(lane), term(builder, x, q)), lane)


def _padded_tail(builder: Any, element: _Element, rest: Any, tail: Any) -> Any:
    """The address of the elements behind the last whole block, zero-padded into a block of their own."""
    padding = ir.ArrayType(element.kind, LANES)
    buffer = cgutils.alloca_once(builder, padding)
    builder.store(ir.Constant(padding, None), buffer)
    target = builder.ptrtoint(buffer, _INDEX)
    with cgutils.for_range(builder, tail) as loop:
        step = builder.mul(loop.index, ir.Constant(_INDEX, element.size))
        source = builder.inttoptr(builder.add(rest, step), element.kind.as_pointer())
        sink = builder.inttoptr(builder.add(target, step), element.kind.as_pointer())
        builder.store(builder.load(source, align=1), sink)
    return target


def _tree(builder: Any, lanes: list[Any]) -> Any:
    total = builder.fadd(builder.fadd(lanes[0], lanes[1]), builder.fadd(lanes[2], lanes[3]))
    items = [builder.extract_element(total, ir.Constant(ir.IntType(32), i)) for i in range(8)]
    while len(items) > 1:
        half = len(items) // 2
        items = [builder.fadd(a, b) for a, b in zip(items[:half], items[half:], strict=True)]
    return items[0]


def _product(builder: Any, x: Any, q: Any) -> Any:
    return builder.fmul(x, q)


def _square(builder: Any, x: Any, q: Any) -> Any:
    difference = builder.fsub(x, q)
    return builder.fmul(difference, difference)


def _magnitude(builder: Any, x: Any, q: Any) -> Any:
    difference = builder.fsub(x, q)
    words = ir.VectorType(_INDEX, 8)
    unsigned = builder.and_(builder.bitcast(difference, words), ir.Constant(words, [(1 << 63) - 1] * 8))
    return builder.bitcast(unsigned, _DOUBLE8)


def _own_square(builder: Any, x: Any, q: Any) -> Any:
    return builder.fmul(x, x)


_dot_row = _row_sum(_product)
_l2_row = _row_sum(_square)
_l1_row = _row_sum(_magnitude)
_square_row = _row_sum(_own_square)
# (what the rows hold, rows' address and stride, queries' address and stride, blocks, tail, lengths, out)
_SIGNATURES = [f"void({tag}, int64, int64, int64, int64, int64, int64, float64[::1])" for tag in _ELEMENTS]


@njit(_SIGNATURES, nogil=True, cache=True)
def _dot(tag, rows, stride, queries, step, blocks, tail, out):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        out[i] = _dot_row(tag, rows + i * stride, queries + i * step, blocks, tail)


@njit(_SIGNATURES, nogil=True, cache=True)
def _l2(tag, rows, stride, queries, step, blocks, tail, out):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        out[i] = np.sqrt(_l2_row(tag, rows + i * stride, queries + i * step, blocks, tail))


@njit(_SIGNATURES, nogil=True, cache=True)
def _l1(tag, rows, stride, queries, step, blocks, tail, out):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        out[i] = _l1_row(tag, rows + i * stride, queries + i * step, blocks, tail)


@njit(_SIGNATURES, nogil=True, cache=True)
def _cosine(tag, rows, stride, queries, step, blocks, tail, out):  # type: ignore[no-untyped-def]
    """`out` holds the queries' sums of squares, and then the distances."""
    for i in range(len(out)):
        row = rows + i * stride
        ours = _square_row(tag, row, row, blocks, tail)
        both = ours * out[i]
        usual = both > LEAST_SQUARES and both < np.inf
        length = np.sqrt(both) if usual else np.sqrt(ours) * np.sqrt(out[i])
        product = _dot_row(tag, row, queries + i * step, blocks, tail)
        if length == 0.0:
            out[i] = np.nan
        else:
            similarity = product / length
            out[i] = 1.0 - (1.0 if similarity > 1.0 else -1.0 if similarity < -1.0 else similarity)


def _over(kernel: Any, rows: Rows, query: Rows, out: Scores) -> Scores:
    """The kernel over all rows, in calls that end soon; pairs' queries are widened a few rows at a time."""
    count, dimensions = rows.shape
    size = rows.dtype.itemsize
    if rows.strides[1] != size:
        rows = np.ascontiguousarray(rows)
    pairs = query.ndim == 2
    blocks, tail = divmod(dimensions, LANES)
    tag, base, stride = _TAGS[rows.dtype], rows.ctypes.data, rows.strides[0]
    most = max((_PAIR_BYTES if pairs else _CALL_BYTES) // max(size * dimensions, 1), 1)
    wide = None if pairs else padded(query)
    for start in range(0, count, most):
        queries = padded(query[start : start + most]) if wide is None else wide
        step = queries.strides[0] if pairs else 0
        kernel(
            tag,
            base + start * stride,
            stride,
            queries.ctypes.data,
            step,
            blocks,
            tail,
            out[start : start + most],
        )
    return out


def dot(rows: Rows, query: Rows) -> Scores:
    """See plain.dot.dot."""
    return _over(_dot, rows, query, np.empty(len(rows)))


def l2(rows: Rows, query: Rows) -> Scores:
    """See plain.dot.l2."""
    return _over(_l2, rows, query, np.empty(len(rows)))


def l1(rows: Rows, query: Rows) -> Scores:
    """See plain.dot.l1."""
    return _over(_l1, rows, query, np.empty(len(rows)))


def norms(rows: Rows) -> Scores:
    """See plain.dot.norms."""
    return _over(_l2, rows, np.zeros(rows.shape[1]), np.empty(len(rows)))


def cosine(rows: Rows, query: Rows) -> Scores:
    """See plain.dot.cosine."""
    squares = dot(query, query) if query.ndim == 2 else np.full(len(rows), dot(query[None, :], query)[0])
    return _over(_cosine, rows, query, squares)
