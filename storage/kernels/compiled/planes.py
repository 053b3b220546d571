"""Twins of plain.planes: rows one by one, eight words to a vector.

The bounds of finer codes are float64, in plain.signs's order and without fast-math flags, so that both twins
decide alike; only how much a question's digits lose is summed in any order. 40 ns a row, most of it bounds:
rows lie far apart, so what is read of one is asked for while those before it are tested.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from storage.kernels.compiled.signs import at
from storage.kernels.plain.planes import STEPS
from storage.kernels.plain.signs import (
    CENTRE,
    DROPPED,
    FINE,
    GROUP,
    GROWTH,
    GUARD,
    LEAST,
    LENGTH,
    LIMIT,
    LOWER,
    NORM,
    OPEN,
    SQUARE,
    TAKEN,
    UPPER,
    Floats,
    Singles,
    Words,
)

_INDEX = ir.IntType(64)
_INT = ir.IntType(32)
_BYTE = ir.IntType(8)
_LANES = 8
_LINE = 64
"""Bytes of a line of the cache."""
_AHEAD = 8
"""Rows between that which is asked for and that which is tested."""
_WORDS = ir.VectorType(_INDEX, _LANES)


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def _count_row(typing: Any, row: Any, planes: Any, words: Any) -> Any:
    """The count of one row of `words` words by (FINE, words) planes: both by address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        row, planes, words = args
        popcount = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_WORDS, [_WORDS]), f"llvm.ctpop.v{_LANES}i64"
        )
        zero = ir.Constant(_WORDS, None)
        sums = [cgutils.alloca_once_value(builder, zero) for _ in range(FINE)]
        rest = cgutils.alloca_once_value(builder, ir.Constant(_INDEX, 0))
        whole = builder.udiv(words, ir.Constant(_INDEX, _LANES))
        stride = builder.mul(words, ir.Constant(_INDEX, 8))
        with cgutils.for_range(builder, whole) as loop:
            offset = builder.mul(loop.index, ir.Constant(_INDEX, 8 * _LANES))
            x = builder.load(at(builder, builder.add(row, offset), 0, _WORDS), align=8)
            plane = builder.add(planes, offset)
            for total in sums:
                differ = builder.call(
                    popcount, [builder.xor(x, builder.load(at(builder, plane, 0, _WORDS), align=8))]
                )
                builder.store(builder.add(builder.load(total), differ), total)
                plane = builder.add(plane, stride)
        done = builder.mul(whole, ir.Constant(_INDEX, _LANES))
        with cgutils.for_range(builder, builder.sub(words, done)) as loop:
            offset = builder.mul(builder.add(done, loop.index), ir.Constant(_INDEX, 8))
            x = builder.load(at(builder, builder.add(row, offset), 0, _INDEX))
            plane = builder.add(planes, offset)
            for bit in range(FINE):
                differ = builder.ctpop(builder.xor(x, builder.load(at(builder, plane, 0, _INDEX))))
                weighed = builder.shl(differ, ir.Constant(_INDEX, bit))
                builder.store(builder.add(builder.load(rest), weighed), rest)
                plane = builder.add(plane, stride)
        total = builder.load(sums[0])
        for bit in range(1, FINE):
            weight = ir.Constant(_WORDS, [bit] * _LANES)
            total = builder.add(total, builder.shl(builder.load(sums[bit]), weight))
        result = builder.load(rest)
        for lane in range(_LANES):
            result = builder.add(result, builder.extract_element(total, ir.Constant(_INT, lane)))
        return result

    return types.int64(*[types.int64] * 3), codegen


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def _fetch(typing: Any, address: Any, nbytes: Any) -> Any:
    """Have so many bytes brought from memory: a hint, which may be given for any address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        prefetch = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [_BYTE.as_pointer(), _INT, _INT, _INT]),
            "llvm.prefetch.p0",
        )
        read, near, data = (ir.Constant(_INT, value) for value in (0, 3, 1))
        lines = builder.udiv(builder.add(args[1], ir.Constant(_INDEX, _LINE - 1)), ir.Constant(_INDEX, _LINE))
        with cgutils.for_range(builder, lines) as loop:
            line = builder.add(args[0], builder.mul(loop.index, ir.Constant(_INDEX, _LINE)))
            builder.call(prefetch, [builder.inttoptr(line, _BYTE.as_pointer()), read, near, data])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@njit(nogil=True)
def _bound(beta, delta, norm, cosine, centre, constants, frame, root, side):  # type: ignore[no-untyped-def]
    """U or L of one row in float64: see plain.signs."""
    v = root * cosine
    low, high = beta - delta, beta + delta
    v = v if v > low else low
    v = v if v < high else high
    spread = np.sqrt((_ONE - cosine * cosine) * (_ONE - v * v))
    inner = np.float64(constants[frame, NORM]) * (cosine * v + root * spread)
    inner = (
        inner
        + np.float64(constants[frame, side + GUARD])
        + np.float64(constants[frame, side + SQUARE]) * norm
    )
    value = np.float64(constants[frame, CENTRE]) * centre + norm * inner
    length = np.float64(constants[frame, side + LENGTH])
    if length != 0:
        square = np.float64(constants[frame, side + LEAST]) + 2.0 * centre
        square = square + norm * norm * np.float64(constants[frame, side + GROWTH])
        value = value - length * np.sqrt(max(square, 0.0))
    return value


@njit(nogil=True)
def _fetch_row(planes, of_digits, factors, slot, row_bytes):  # type: ignore[no-untyped-def]
    """Have brought what `_deepen` reads of a row."""
    factor = factors + (slot >> 4) * (12 * GROUP) + 4 * (slot & (GROUP - 1))
    _fetch(planes + slot * row_bytes, row_bytes)
    _fetch(of_digits + slot * 8, 8)
    _fetch(factor, 4)
    _fetch(factor + 8 * GROUP, 4)


_ONE = float(np.float32(1 + 2.0**-20))
_SINGLES = types.Array(types.float32, 2, "C", readonly=True)
_LONGS = types.Array(types.int64, 1, "C", readonly=True)


@njit(
    types.void(
        *[types.int64] * 3,
        _SINGLES,
        types.Array(types.float32, 3, "C", readonly=True),
        _LONGS,
        _LONGS,
        types.int64,
        types.Array(types.float64, 2, "C", readonly=True),
        _SINGLES,
        types.int64[::1],
        types.uint8[::1],
    ),
    nogil=True,
    cache=True,
)
def _deepen(  # type: ignore[no-untyped-def]
    planes, added, words, of_digits, factors, slots, frames, fine, deep, constants, counts, state
):
    row_bytes = added * words * 8
    digits_at, factors_at = of_digits.ctypes.data, factors.ctypes.data
    for i in range(min(_AHEAD, len(slots))):
        _fetch_row(planes, digits_at, factors_at, slots[i], row_bytes)
    for i in range(len(slots)):
        if i + _AHEAD < len(slots) and state[i + _AHEAD] == OPEN:
            _fetch_row(planes, digits_at, factors_at, slots[i + _AHEAD], row_bytes)
        if state[i] != OPEN:
            continue
        slot, frame = slots[i], frames[i]
        group, lane = slot >> 4, slot & 15
        of_question = fine + frame * (8 * FINE) * words
        total = counts[i]
        for plane in range(added):
            row = planes + slot * row_bytes + plane * words * 8
            total = 2 * total + _count_row(row, of_question, words)
        counts[i] = total
        norm, centre = np.float64(factors[group, 0, lane]), np.float64(factors[group, 2, lane])
        cosine, inverse = np.float64(of_digits[slot, 0]), np.float64(of_digits[slot, 1])
        beta = (deep[frame, 0] - deep[frame, 1] * total) * inverse
        upper = _bound(beta, deep[frame, 2], norm, cosine, centre, constants, frame, 1.0, UPPER)
        if upper < constants[frame, UPPER + LIMIT]:
            state[i] = DROPPED
            continue
        if constants[frame, LOWER + LIMIT] == np.inf:
            continue
        lower = _bound(beta, deep[frame, 2], norm, cosine, centre, constants, frame, -1.0, LOWER)
        if lower > constants[frame, LOWER + LIMIT]:
            state[i] = TAKEN


def deepen_signs(
    planes: Words,
    of_digits: Singles,
    factors: Singles,
    slots: npt.NDArray[np.int64],
    frames: npt.NDArray[np.int64],
    fine: Words,
    deep: Floats,
    constants: Singles,
    counts: npt.NDArray[np.int64],
    state: npt.NDArray[np.uint8],
) -> None:
    """See plain.planes.deepen_signs."""
    added, words = planes.shape[1:]
    for start in range(0, len(slots), _DEEP_ROWS):
        piece = slice(start, start + _DEEP_ROWS)
        _deepen(
            planes.ctypes.data,
            added,
            words,
            of_digits,
            factors,
            slots[piece],
            frames[piece],
            fine.ctypes.data,
            deep,
            constants,
            counts[piece],
            state[piece],
        )


_DEEP_ROWS = 1 << 17
"""Rows of a call: under 20 ms."""


@njit(
    types.UniTuple(types.float64, 2)(types.float64[::1], types.float64, types.float64),
    nogil=True,
    fastmath={"reassoc"},
)
def _lost(turned, step, top):  # type: ignore[no-untyped-def]
    """|p - p~|_1 and the square of |p - p~|_2; any order of the sums will do."""
    lost, square = 0.0, 0.0
    for i in range(len(turned)):
        digit = 2 * np.floor(turned[i] / (2 * step)) + 1
        digit = top if digit > top else digit
        digit = -top if digit < -top else digit
        off = abs(turned[i] - step * digit)
        lost += off
        square += off * off
    return lost, square


_TRIED = np.array(STEPS)


@njit(
    types.UniTuple(types.float64, 3)(types.float64[::1], types.int64, types.uint64[:, ::1]),
    nogil=True,
    cache=True,
)
def _quantise(turned, bits, planes):  # type: ignore[no-untyped-def]
    top = float((1 << bits) - 1)
    largest, step, error, square = 0.0, 0.0, 0.0, 0.0
    for i in range(len(turned)):
        largest = max(largest, abs(turned[i]))
    if largest > 0:
        for part in _TRIED:
            tried = part * largest / (1 << bits)
            lost, lost_square = _lost(turned, tried, top)
            if step == 0 or lost < error:
                step, error, square = tried, lost, lost_square
    for i in range(len(turned)):
        if step == 0:
            break
        digit = min(max(2 * np.floor(turned[i] / (2 * step)) + 1, -top), top)
        number = np.uint64((digit + top) / 2)
        word, place = i >> 6, np.uint64(i & 63)
        for bit in range(bits):
            planes[word, bit] |= (number >> np.uint64(bit) & np.uint64(1)) << place
    return step, error, np.sqrt(square)


def quantise(turned: Floats, bits: int) -> tuple[Words, float, float, float]:
    """See plain.signs.quantise."""
    planes = np.zeros((len(turned) // 64, bits), np.uint64)
    return planes, *_quantise(turned, bits, planes)


__all__ = ["deepen_signs", "quantise"]
