"""Twins of plain.rotation: one row at a time in a buffer of doubles, eight to a vector.

The first three levels of the Hadamard transform are inside a vector, the others go through the buffer two at
a time. Sums run in eight lanes, so factors may differ from the twin's in the last bit of a double before they
are rounded, and a sign where an element is next to zero: the bounds hold for either. Kernels take addresses.
"""

from __future__ import annotations

from functools import cache
from math import sqrt
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from storage.kernels.plain.rotation import (
    GRID,
    PLANES,
    Floats,
    Rows,
    Singles,
    Words,
    block_of,
    flips,
    words_of,
)

_INDEX = ir.IntType(64)
_INT = ir.IntType(32)
_DOUBLE = ir.DoubleType()
_DOUBLES = ir.VectorType(_DOUBLE, 8)
_CALL_ELEMENTS = 1 << 22
"""Elements of a call: under 20 ms."""


def _at(builder: Any, address: Any, offset: int, kind: Any) -> Any:
    return builder.inttoptr(builder.add(address, ir.Constant(_INDEX, offset)), kind.as_pointer())


def _step(builder: Any, address: Any, index: Any, size: int) -> Any:
    return builder.add(address, builder.mul(index, ir.Constant(_INDEX, size)))


def _load_row(element: Any, size: int) -> Any:
    """An intrinsic f(row, factors, buffer, whole eights, tail): buffer = row * factors, by address."""

    @intrinsic  # type: ignore[untyped-decorator]  # numba has no types
    def load(typing: Any, row: Any, factors: Any, buffer: Any, eights: Any, tail: Any) -> Any:
        def wide(builder: Any, value: Any, kind: Any) -> Any:
            return value if size == 8 else builder.fpext(value, kind)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            row, factors, buffer, eights, tail = args
            several = ir.VectorType(element, 8)
            with cgutils.for_range(builder, eights) as loop:
                x = builder.load(_at(builder, _step(builder, row, loop.index, 8 * size), 0, several), align=1)
                factor = _at(builder, _step(builder, factors, loop.index, 64), 0, _DOUBLES)
                target = _at(builder, _step(builder, buffer, loop.index, 64), 0, _DOUBLES)
                product = builder.fmul(wide(builder, x, _DOUBLES), builder.load(factor, align=8))
                builder.store(product, target, align=8)
            rest = [
                _step(builder, row, eights, 8 * size),
                _step(builder, factors, eights, 64),
                _step(builder, buffer, eights, 64),
            ]
            with cgutils.for_range(builder, tail) as loop:
                x = builder.load(_at(builder, _step(builder, rest[0], loop.index, size), 0, element), align=1)
                factor = builder.load(_at(builder, _step(builder, rest[1], loop.index, 8), 0, _DOUBLE))
                target = _at(builder, _step(builder, rest[2], loop.index, 8), 0, _DOUBLE)
                builder.store(builder.fmul(wide(builder, x, _DOUBLE), factor), target)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 5), codegen

    return load


_load_singles = _load_row(ir.FloatType(), 4)
_load_doubles = _load_row(ir.DoubleType(), 8)


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def _eights(typing: Any, buffer: Any, count: Any) -> Any:
    """The first three levels: each of `count` vectors by itself."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        buffer, count = args
        with cgutils.for_range(builder, count) as loop:
            place = _at(builder, _step(builder, buffer, loop.index, 64), 0, _DOUBLES)
            x = builder.load(place, align=8)
            for half in (1, 2, 4):
                swapped = ir.Constant(ir.VectorType(_INT, 8), [lane ^ half for lane in range(8)])
                signs = ir.Constant(_DOUBLES, [-1.0 if lane & half else 1.0 for lane in range(8)])
                x = builder.fadd(builder.fmul(x, signs), builder.shuffle_vector(x, x, swapped))
            builder.store(x, place, align=8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


def _level(ways: int) -> Any:
    """An intrinsic f(buffer, half, length): one level (ways 2) or two (4) of elements `half` apart."""

    @intrinsic  # type: ignore[untyped-decorator]  # numba has no types
    def level(typing: Any, buffer: Any, half: Any, length: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            buffer, half, length = args
            bytes_apart = builder.mul(half, ir.Constant(_INDEX, 8))
            inner = builder.udiv(half, ir.Constant(_INDEX, 8))
            outer = builder.udiv(length, builder.mul(half, ir.Constant(_INDEX, ways)))
            with cgutils.for_range(builder, outer) as block:
                begin = builder.add(
                    buffer,
                    builder.mul(block.index, builder.mul(bytes_apart, ir.Constant(_INDEX, ways))),
                )
                with cgutils.for_range(builder, inner) as loop:
                    at = _step(builder, begin, loop.index, 64)
                    places = []
                    for _ in range(ways):
                        places.append(_at(builder, at, 0, _DOUBLES))
                        at = builder.add(at, bytes_apart)
                    values = [builder.load(place, align=8) for place in places]
                    apart = 1
                    while apart < ways:
                        values = [
                            builder.fsub(values[i ^ apart], values[i])
                            if i & apart
                            else builder.fadd(values[i], values[i ^ apart])
                            for i in range(ways)
                        ]
                        apart *= 2
                    for value, place in zip(values, places, strict=True):
                        builder.store(value, place, align=8)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 3), codegen

    return level


_one_level, _two_levels, _three_levels = _level(2), _level(4), _level(8)


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def _code(typing: Any, buffer: Any, centroid: Any, words: Any, signs: Any, sums: Any) -> Any:
    """z = buffer - centroid, in place, -> sign words; sums of z^2, of |z|, of z times the centroid."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        buffer, centroid, words, signs, sums = args
        magnitude = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_DOUBLES, [_DOUBLES]), "llvm.fabs.v8f64"
        )
        zero = ir.Constant(_DOUBLES, None)
        totals = [[cgutils.alloca_once_value(builder, zero) for _ in range(2)] for _ in range(3)]
        with cgutils.for_range(builder, words) as loop:
            word: Any = ir.Constant(_INDEX, 0)
            for part in range(8):
                y = builder.load(
                    _at(builder, _step(builder, buffer, loop.index, 512), 64 * part, _DOUBLES), align=8
                )
                d = builder.load(
                    _at(builder, _step(builder, centroid, loop.index, 512), 64 * part, _DOUBLES), align=8
                )
                z = builder.fsub(y, d)
                place = _at(builder, _step(builder, buffer, loop.index, 512), 64 * part, _DOUBLES)
                builder.store(z, place, align=8)
                terms = (builder.fmul(z, z), builder.call(magnitude, [z]), builder.fmul(z, d))
                for total, term in zip(totals, terms, strict=True):
                    lane = total[part & 1]
                    builder.store(builder.fadd(builder.load(lane), term), lane)
                bits = builder.bitcast(builder.fcmp_ordered(">=", z, zero), ir.IntType(8))
                shift = ir.Constant(_INDEX, 8 * part)
                word = builder.or_(word, builder.shl(builder.zext(bits, _INDEX), shift))
            builder.store(word, _at(builder, _step(builder, signs, loop.index, 8), 0, _INDEX), align=8)
        for place, (one, two) in enumerate(totals):
            _store_sum(builder, builder.fadd(builder.load(one), builder.load(two)), sums, place)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen


def _store_sum(builder: Any, lanes: Any, sums: Any, place: int) -> None:
    result = builder.extract_element(lanes, ir.Constant(_INT, 0))
    for lane in range(1, 8):
        result = builder.fadd(result, builder.extract_element(lanes, ir.Constant(_INT, lane)))
    builder.store(result, _at(builder, sums, 8 * place, _DOUBLE))


def _constant(value: float) -> Any:
    return ir.Constant(_DOUBLES, [value] * 8)


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def _levels(typing: Any, buffer: Any, scale: Any, words: Any, planes: Any, sums: Any) -> Any:
    """z in the buffer -> the planes after the signs; sums z v2, v2^2, z v4, v4^2 of both codes' digits."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        buffer, scale, words, planes, sums = args
        floor = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_DOUBLES, [_DOUBLES]), "llvm.floor.v8f64"
        )
        several = ir.VectorType(_INDEX, 8)
        add, times = builder.fadd, builder.fmul
        first = builder.insert_element(ir.Constant(_DOUBLES, ir.Undefined), scale, ir.Constant(_INT, 0))
        scales = builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(_INT, 8), [0] * 8))
        totals = [cgutils.alloca_once_value(builder, ir.Constant(_DOUBLES, None)) for _ in range(4)]

        def clipped(level: Any, least: float, most: float) -> Any:
            level = builder.select(
                builder.fcmp_ordered(">", level, _constant(least)), level, _constant(least)
            )
            return builder.select(builder.fcmp_ordered("<", level, _constant(most)), level, _constant(most))

        with cgutils.for_range(builder, words) as loop:
            found: list[Any] = [ir.Constant(_INDEX, 0)] * (PLANES - 1)
            for part in range(8):
                at = _at(builder, _step(builder, buffer, loop.index, 512), 64 * part, _DOUBLES)
                z = builder.load(at, align=8)
                level = add(builder.call(floor, [times(z, scales)]), _constant(8.0))
                positive = builder.fcmp_ordered(">=", z, _constant(0.0))
                level = builder.select(positive, clipped(level, 8.0, 15.0), clipped(level, 0.0, 7.0))
                quarter = builder.call(floor, [times(level, _constant(0.25))])
                digits = (
                    add(times(quarter, _constant(2.0)), _constant(-3.0)),
                    add(times(level, _constant(2.0)), _constant(-15.0)),
                )
                for number, digit in enumerate(digits):
                    for total, term in ((2 * number, times(z, digit)), (2 * number + 1, times(digit, digit))):
                        builder.store(add(builder.load(totals[total]), term), totals[total])
                whole = builder.fptosi(level, several)
                for plane in range(1, PLANES):
                    weight = ir.Constant(several, [1 << (PLANES - 1 - plane)] * 8)
                    set_ = builder.icmp_unsigned(
                        "!=", builder.and_(whole, weight), ir.Constant(several, None)
                    )
                    bits = builder.zext(builder.bitcast(set_, ir.IntType(8)), _INDEX)
                    bits = builder.shl(bits, ir.Constant(_INDEX, 8 * part))
                    found[plane - 1] = builder.or_(found[plane - 1], bits)
            for plane, word in enumerate(found):
                row = builder.add(planes, builder.mul(words, ir.Constant(_INDEX, 8 * plane)))
                builder.store(word, _at(builder, _step(builder, row, loop.index, 8), 0, _INDEX), align=8)
        for place, total in enumerate(totals):
            _store_sum(builder, builder.load(total), sums, place)
        return context.get_dummy_value()

    return types.void(types.int64, types.float64, *[types.int64] * 3), codegen


@njit(nogil=True)
def _hadamard(buffer, length):  # type: ignore[no-untyped-def]
    _eights(buffer, length // 8)
    half = 8
    while half < length:
        if 8 * half <= length:
            _three_levels(buffer, half, length)
            half *= 8
        elif 4 * half <= length:
            _two_levels(buffer, half, length)
            half *= 4
        else:
            _one_level(buffer, half, length)
            half *= 2


@njit(nogil=True)
def _rotate(row, wide, dimensions, whole, block, first, second, buffer):  # type: ignore[no-untyped-def]
    """One row of doubles (`wide`) or singles into the buffer."""
    address = buffer.ctypes.data
    if wide:
        _load_doubles(row, first, address, dimensions // 8, dimensions % 8)
    else:
        _load_singles(row, first, address, dimensions // 8, dimensions % 8)
    for i in range(dimensions, whole):
        buffer[i] = 0.0
    _hadamard(address, block)
    if block < whole:
        _load_doubles(address, second, address, whole // 8, 0)
        _hadamard(address + 8 * (whole - block), block)


@njit(
    types.void(*[types.int64] * 2, types.boolean, *[types.int64] * 5, types.float64[:, ::1]),
    nogil=True,
    cache=True,
)
def _rotate_all(rows, stride, wide, dimensions, whole, block, first, second, out):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        _rotate(rows + i * stride, wide, dimensions, whole, block, first, second, out[i])


@njit(nogil=True)
def _cosine(product, norm):  # type: ignore[no-untyped-def]
    return min(product / norm, 1.0) if norm != 0 else 1.0


@njit(
    types.void(
        *[types.int64] * 2,
        types.boolean,
        *[types.int64] * 6,
        types.uint64[:, :, ::1],
        types.float32[:, ::1],
    ),
    nogil=True,
    cache=True,
)
def _encode_all(  # type: ignore[no-untyped-def]
    rows, stride, wide, dimensions, whole, block, first, second, centroid, signs, factors
):
    buffer, sums, words = np.empty(whole), np.empty(4), whole // 64
    root = np.sqrt(whole)
    for i in range(len(signs)):
        _rotate(rows + i * stride, wide, dimensions, whole, block, first, second, buffer)
        _code(buffer.ctypes.data, centroid, words, signs[i].ctypes.data, sums.ctypes.data)
        norm = np.sqrt(sums[0])
        factors[i, 0] = norm
        factors[i, 1] = _cosine(sums[1] / root, norm)
        factors[i, 2] = sums[2]
        if factors.shape[1] > 3:
            scale = root / (norm * GRID) if norm > 0 else 0.0
            _levels(buffer.ctypes.data, scale, words, signs[i, 1].ctypes.data, sums.ctypes.data)
            for code in range(2):
                length = np.sqrt(sums[2 * code + 1])
                factors[i, 3 + 2 * code] = _cosine(sums[2 * code] / length, norm)
                factors[i, 4 + 2 * code] = 1 / length


@cache
def _stages(dimensions: int) -> tuple[Floats, Floats]:
    """(m,) what elements are multiplied by before each transform: flips and the scale."""
    whole, block = words_of(dimensions) * 64, block_of(dimensions)
    first, second = flips(dimensions, 0).copy(), flips(dimensions, 1).copy()
    first[:block] /= sqrt(block)
    second[whole - block :] /= sqrt(block)
    return first, second


def _elements(values: Rows) -> Rows:
    """Rows as contiguous singles or doubles, whichever holds them."""
    if values.dtype not in (np.float32, np.float64):
        narrow = values.dtype.itemsize <= 2
        return np.ascontiguousarray(values, np.float32 if narrow else np.float64)
    if values.strides[1] != values.itemsize:
        return np.ascontiguousarray(values)
    return values


def _pieces(values: Rows) -> list[slice]:
    count, dimensions = values.shape
    step = max(_CALL_ELEMENTS // max(dimensions, 1), 1)
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def _arguments(rows: Rows, dimensions: int) -> tuple[Any, ...]:
    first, second = _stages(dimensions)
    whole, block = words_of(dimensions) * 64, block_of(dimensions)
    wide = rows.dtype == np.float64
    addresses = first.ctypes.data, second.ctypes.data
    return rows.ctypes.data, rows.strides[0], wide, dimensions, whole, block, *addresses


def rotate_rows(values: Rows) -> Floats:
    """See plain.rotation.rotate_rows."""
    dimensions = values.shape[1]
    out = np.empty((len(values), words_of(dimensions) * 64))
    for piece in _pieces(values):
        rows = _elements(values[piece])
        _rotate_all(*_arguments(rows, dimensions), out[piece])
    return out


def encode_signs(values: Rows, centroid: Singles, planes: int) -> tuple[Words, Singles]:
    """See plain.rotation.encode_signs."""
    count, dimensions = values.shape
    signs = np.empty((count, planes, words_of(dimensions)), np.uint64)
    factors = np.empty((count, 3 if planes == 1 else 7), np.float32)
    wide = centroid.astype(np.float64)
    for piece in _pieces(values):
        rows = _elements(values[piece])
        arguments = _arguments(rows, dimensions)
        _encode_all(*arguments, wide.ctypes.data, signs[piece], factors[piece])
    return signs, factors


__all__ = ["encode_signs", "rotate_rows"]
