"""Twins of plain.dot: one row at a time in four vectors of eight doubles, as LLVM vectors.

The instructions are separate multiplications and additions without fast-math flags, so LLVM contracts
and reorders nothing; loads ask for no alignment, so any byte view of a row will do. Kernels take
addresses: a signature over arrays would refuse the read-only ones of mapped files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from storage.kernels.plain.dot import LANES, Rows, Scores, padded

_FLOAT8 = ir.VectorType(ir.FloatType(), 8)
_DOUBLE8 = ir.VectorType(ir.DoubleType(), 8)
_INDEX = ir.IntType(64)
# one call stays under 20 ms at the speed of memory, so that a cancel is never far away
_CALL_BYTES = 128 << 20


def _load(builder: Any, kind: Any, address: Any, offset: int, align: int) -> Any:
    pointer = builder.inttoptr(builder.add(address, ir.Constant(_INDEX, offset)), kind.as_pointer())
    return builder.load(pointer, align=align)


def _row_sum(term: Callable[[Any, Any, Any], Any]) -> Any:
    """An intrinsic f(row address, query address, whole blocks, tail elements) -> the row's sum of terms."""

    @intrinsic  # type: ignore[untyped-decorator]  # numba has no types
    def row_sum(typing: Any, row: Any, query: Any, blocks: Any, tail: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            row, query, blocks, tail = args
            zero = ir.Constant(_DOUBLE8, None)
            lanes = [cgutils.alloca_once_value(builder, zero) for _ in range(4)]

            def block(row: Any, query: Any) -> None:
                for part, lane in enumerate(lanes):
                    x = builder.fpext(_load(builder, _FLOAT8, row, 32 * part, 4), _DOUBLE8)
                    q = _load(builder, _DOUBLE8, query, 64 * part, 8)
                    builder.store(builder.fadd(builder.load(lane), term(builder, x, q)), lane)

            with cgutils.for_range(builder, blocks) as loop:
                at = builder.add(row, builder.mul(loop.index, ir.Constant(_INDEX, 4 * LANES)))
                against = builder.add(query, builder.mul(loop.index, ir.Constant(_INDEX, 8 * LANES)))
                block(at, against)
            with builder.if_then(builder.icmp_signed(">", tail, ir.Constant(_INDEX, 0))):
                # the tail, zero-padded into a block of its own
                buffer = cgutils.alloca_once(builder, ir.ArrayType(ir.FloatType(), LANES))
                builder.store(ir.Constant(ir.ArrayType(ir.FloatType(), LANES), None), buffer)
                target = builder.ptrtoint(buffer, _INDEX)
                rest = builder.add(row, builder.mul(blocks, ir.Constant(_INDEX, 4 * LANES)))
                with cgutils.for_range(builder, tail) as loop:
                    step = builder.mul(loop.index, ir.Constant(_INDEX, 4))
                    source = builder.inttoptr(builder.add(rest, step), ir.FloatType().as_pointer())
                    sink = builder.inttoptr(builder.add(target, step), ir.FloatType().as_pointer())
                    builder.store(builder.load(source, align=1), sink)
                block(target, builder.add(query, builder.mul(blocks, ir.Constant(_INDEX, 8 * LANES))))
            first, second, third, fourth = (builder.load(lane) for lane in lanes)
            total = builder.fadd(builder.fadd(first, second), builder.fadd(third, fourth))
            items = [builder.extract_element(total, ir.Constant(ir.IntType(32), i)) for i in range(8)]
            while len(items) > 1:
                half = len(items) // 2
                items = [builder.fadd(a, b) for a, b in zip(items[:half], items[half:], strict=True)]
            return items[0]

        return types.float64(row, query, blocks, tail), codegen

    return row_sum


def _product(builder: Any, x: Any, q: Any) -> Any:
    return builder.fmul(x, q)


def _square(builder: Any, x: Any, q: Any) -> Any:
    difference = builder.fsub(x, q)
    return builder.fmul(difference, difference)


_dot_row = _row_sum(_product)
_l2_row = _row_sum(_square)
_SIGNATURE = "void(int64, int64, int64, int64, int64, float64[::1])"


@njit(_SIGNATURE, nogil=True, cache=True)
def _dot(rows, stride, query, blocks, tail, out):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        out[i] = _dot_row(rows + i * stride, query, blocks, tail)


@njit(_SIGNATURE, nogil=True, cache=True)
def _l2(rows, stride, query, blocks, tail, out):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        out[i] = np.sqrt(_l2_row(rows + i * stride, query, blocks, tail))


def _over(kernel: Any, rows: Rows, query: Rows) -> Scores:
    count, dimensions = rows.shape
    if rows.strides[1] != 4:
        rows = np.ascontiguousarray(rows)
    wide, out = padded(query), np.empty(count)
    blocks, tail = divmod(dimensions, LANES)
    base, stride = rows.ctypes.data, rows.strides[0]
    step = max(_CALL_BYTES // max(4 * dimensions, 1), 1)
    for start in range(0, count, step):
        part = out[start : start + step]
        kernel(base + start * stride, stride, wide.ctypes.data, blocks, tail, part)
    return out


def dot_f32(rows: Rows, query: Rows) -> Scores:
    """See plain.dot.dot_f32."""
    return _over(_dot, rows, query)


def l2_f32(rows: Rows, query: Rows) -> Scores:
    """See plain.dot.l2_f32."""
    return _over(_l2, rows, query)
