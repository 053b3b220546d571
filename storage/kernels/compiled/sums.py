"""Twins of plain.sums: one pass over the rows.

Few groups are added up in COPIES places in turn: the next row seldom waits for the one before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from storage.kernels.plain.sums import (
    INFINITE,
    LOW,
    MINUS_INFINITE,
    NAN,
    OFFSET,
    Floats,
    Integers,
    Mask,
)

_U = np.uint64
_ONE, _TWO = _U(1), _U(2)
_COPIES = _U(4)
_FEW = _U(512)  # groups
_GROUPS = types.Array(types.int64, 1, "C", readonly=True)
_FLOATS = types.Array(types.float64, 1, "C", readonly=True)
_OUT = types.int64[::1]
_LOW, _HALF = np.int64(LOW), np.int64(32)
_MANTISSA, _TOP = np.int64((1 << 52) - 1), np.int64(1 << 52)
_SHIFT = np.int64(OFFSET - 1075)


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def _bits(typing: Any, value: Any) -> Any:
    """The bits of a double as an int64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(64))

    return types.int64(types.float64), codegen


@njit(types.void(_GROUPS, _OUT), nogil=True, cache=True)
def _count(groups, counts):  # type: ignore[no-untyped-def]
    size, rows = _U(len(counts)), _U(len(groups))
    if size == _ONE:
        counts[0] += rows
    elif size <= _FEW:
        copies = np.zeros(size * _COPIES, np.int64)
        for i in range(rows):
            copies[i % _COPIES * size + _U(groups[i])] += 1
        for copy in range(size * _COPIES):
            counts[copy % size] += copies[copy]
    else:
        for i in range(rows):
            counts[_U(groups[i])] += 1


@njit(
    [
        types.void(_GROUPS, types.Array(form, 1, "C", readonly=True), _OUT, _OUT, _OUT)
        for form in (types.int16, types.int32, types.int64)
    ],
    nogil=True,
    cache=True,
)
def _integers(groups, values, counts, high, low):  # type: ignore[no-untyped-def]
    size, rows = _U(len(counts)), _U(len(groups))
    if size == _ONE:
        upper = lower = np.int64(0)
        for i in range(rows):
            value = np.int64(values[i])
            upper += value >> _HALF
            lower += value & _LOW
        counts[0] += rows
        high[0] += upper
        low[0] += lower
    elif size <= _FEW:
        copies = np.zeros((size * _COPIES, 4), np.int64)
        for i in range(rows):
            value, at = np.int64(values[i]), i % _COPIES * size + _U(groups[i])
            copies[at, 0] += 1
            copies[at, 1] += value >> _HALF
            copies[at, 2] += value & _LOW
        for copy in range(size * _COPIES):
            counts[copy % size] += copies[copy, 0]
            high[copy % size] += copies[copy, 1]
            low[copy % size] += copies[copy, 2]
    else:
        for i in range(rows):
            value, at = np.int64(values[i]), _U(groups[i])
            counts[at] += 1
            high[at] += value >> _HALF
            low[at] += value & _LOW


@njit(inline="always")
def _above(value, other):  # type: ignore[no-untyped-def]
    """Whether value > other, NaN being the greatest."""
    return (value > other) | ((value != value) & (other == other))


def _smallest_groups(groups, values, out, seen):  # type: ignore[no-untyped-def]
    if len(out) == 1 and len(groups):
        best = out[0]
        for i in range(_U(len(groups))):
            best = values[i] if _above(best, values[i]) else best
        out[0], seen[0] = best, True
    else:
        for i in range(_U(len(groups))):
            at = _U(groups[i])
            seen[at] = True
            out[at] = values[i] if _above(out[at], values[i]) else out[at]


def _largest_groups(groups, values, out, seen):  # type: ignore[no-untyped-def]
    if len(out) == 1 and len(groups):
        best = out[0]
        for i in range(_U(len(groups))):
            best = values[i] if _above(values[i], best) else best
        out[0], seen[0] = best, True
    else:
        for i in range(_U(len(groups))):
            at = _U(groups[i])
            seen[at] = True
            out[at] = values[i] if _above(values[i], out[at]) else out[at]


_ORDERED = [
    types.void(_GROUPS, types.Array(form, 1, "C", readonly=True), form[::1], types.boolean[::1])
    for form in (
        types.uint8,
        types.int16,
        types.int32,
        types.uint32,
        types.int64,
        types.float32,
        types.float64,
    )
]
_smallest = njit(_ORDERED, nogil=True, cache=True)(_smallest_groups)
_largest = njit(_ORDERED, nogil=True, cache=True)(_largest_groups)


@njit(types.Tuple((types.int64, types.int64, types.boolean))(_FLOATS), nogil=True, cache=True)
def _digits(values):  # type: ignore[no-untyped-def]
    first, last = np.int64(0x7FF), np.int64(-1)
    finite = True
    for i in range(_U(len(values))):
        exponent = (_bits(values[i]) >> 52) & 0x7FF
        there = (exponent != 0x7FF) & (values[i] != 0)
        finite &= exponent != 0x7FF
        first = min(first, exponent if there else np.int64(0x7FF))
        last = max(last, exponent if there else np.int64(-1))
    if last < 0:
        return np.int64(0), np.int64(0), finite
    return (max(first, np.int64(1)) + _SHIFT) >> 5, ((max(last, np.int64(1)) + _SHIFT) >> 5) + 3, finite


@njit(
    types.void(_GROUPS, _FLOATS, types.int64, types.int64[:, ::1], types.boolean[:, ::1]),
    nogil=True,
    cache=True,
)
def _floats(groups, values, first, limbs, specials):  # type: ignore[no-untyped-def]
    size, width, rows = _U(limbs.shape[0]), _U(limbs.shape[1]), _U(len(groups))
    copies = _COPIES if size <= _FEW else _ONE
    sums = np.zeros(size * width * _COPIES, np.int64) if size <= _FEW else limbs.reshape(-1)
    for i in range(rows):
        bits = _bits(values[i])
        exponent, whole = (bits >> 52) & 0x7FF, bits & _MANTISSA
        if exponent == 0x7FF:
            specials[groups[i], NAN if whole != 0 else (MINUS_INFINITE if bits < 0 else INFINITE)] = True
            continue
        if exponent == 0:
            if whole == 0:
                continue
            exponent = np.int64(1)
        else:
            whole |= _TOP
        place = exponent + _SHIFT
        shift, sign = place & 31, bits >> 63
        at = (i % copies * size + _U(groups[i])) * width + _U((place >> 5) - first)
        # minus x is (x ^ -1) + 1
        sums[at] += (((whole << shift) & _LOW) ^ sign) - sign
        sums[at + _ONE] += (((whole >> (32 - shift)) & _LOW) ^ sign) - sign
        sums[at + _TWO] += (((whole >> 32) >> (32 - shift)) ^ sign) - sign
    if size <= _FEW:
        flat = limbs.reshape(-1)
        for copy in range(_U(len(sums))):
            flat[copy % (size * width)] += sums[copy]


def count_groups(groups: Integers, counts: Integers) -> None:
    """See plain.sums.count_groups."""
    _count(np.ascontiguousarray(groups), counts)


def sum_integers(
    groups: Integers, values: npt.NDArray[Any], counts: Integers, high: Integers, low: Integers
) -> None:
    """See plain.sums.sum_integers."""
    _integers(np.ascontiguousarray(groups), np.ascontiguousarray(values), counts, high, low)


def smallest(groups: Integers, values: npt.NDArray[Any], out: npt.NDArray[Any], seen: Mask) -> None:
    """See plain.sums.smallest."""
    _smallest(np.ascontiguousarray(groups), np.ascontiguousarray(values), out, seen)


def largest(groups: Integers, values: npt.NDArray[Any], out: npt.NDArray[Any], seen: Mask) -> None:
    """See plain.sums.largest."""
    _largest(np.ascontiguousarray(groups), np.ascontiguousarray(values), out, seen)


def float_digits(values: Floats) -> tuple[int, int, bool]:
    """See plain.sums.float_digits."""
    found: tuple[int, int, bool] = _digits(np.ascontiguousarray(values))
    return found


def sum_floats(groups: Integers, values: Floats, first: int, limbs: Integers, specials: Mask) -> None:
    """See plain.sums.sum_floats."""
    _floats(np.ascontiguousarray(groups), np.ascontiguousarray(values), first, limbs, specials)
