"""Twins of plain.spreads: a group at a time."""

from __future__ import annotations

import numpy as np
from numba import njit, types

from storage.kernels.plain.spreads import EXACT, FAR, LOST, SURE, Floats, Integers, Mask
from storage.kernels.plain.sums import LOW, OFFSET

_LIMBS = types.Array(types.int64, 2, "C", readonly=True)
_SPLIT = 134_217_729.0
_LOW, _HALF = np.int64(LOW), np.int64(32)


@njit(nogil=True)
def _two_sum(a, b):  # type: ignore[no-untyped-def]
    total = a + b
    back = total - a
    return total, (a - (total - back)) + (b - back)


@njit(nogil=True)
def _plus(sums, part):  # type: ignore[no-untyped-def]
    """Three doubles of a cascade and one more part."""
    total, error = _two_sum(sums[0], part)
    rest, error = _two_sum(sums[1], error)
    return total, rest, sums[2] + error


@njit(nogil=True)
def _settled(sums):  # type: ignore[no-untyped-def]
    """A cascade's end."""
    rest, last = _two_sum(sums[1], sums[2])
    total, rest = _two_sum(sums[0], rest)
    rest, last = _two_sum(rest, last)
    return total, rest, last


@njit(nogil=True)
def _times(left, right):  # type: ignore[no-untyped-def]
    """A product, and what rounding has left of it."""
    product = left * right
    large = left * _SPLIT
    a = large - (large - left)
    b = left - a
    large = right * _SPLIT
    c = large - (large - right)
    d = right - c
    error = ((a * c - product) + a * d + b * c) + b * d
    return product, error if np.isfinite(error) else 0.0


@njit(nogil=True)
def _triple(limbs, powers, digits):  # type: ignore[no-untyped-def]
    """A sum as three doubles; `digits` is scratch."""
    width = len(limbs)
    found = (0.0, 0.0, 0.0)
    if width == 0:
        return found
    sign = 1.0
    for turn in range(2):
        carry = np.int64(0)
        for k in range(width):
            digit = (limbs[k] if turn == 0 else -digits[k]) + carry
            carry = digit >> _HALF
            digits[k] = digit if k == width - 1 else digit & _LOW
        if digits[width - 1] >= 0:
            break
        sign = -1.0
    for k in range(width - 1, -1, -1):
        found = _plus(found, sign * float(digits[k]) * powers[k])
    return _settled(found)


@njit(
    types.void(
        types.Array(types.int64, 1, "C", readonly=True),
        *[_LIMBS, types.float64[::1]] * 2,
        types.int64,
        types.boolean,
        types.float64[::1],
        types.boolean[::1],
    ),
    nogil=True,
    cache=True,
    error_model="numpy",
)
def _variances(rows, sums, powers, squares, square_powers, sample, root, values, sure):  # type: ignore[no-untyped-def]
    digits = np.empty(max(sums.shape[1], squares.shape[1]) + 1, np.int64)
    for i in range(len(rows)):
        values[i], sure[i] = 0.0, True
        if rows[i] <= sample:
            continue
        y, yy = _triple(sums[i], powers, digits), _triple(squares[i], square_powers, digits)
        n = float(rows[i])
        under = n * (n - float(sample))
        found = (0.0, 0.0, 0.0)
        for left, right in ((n, yy[0]), (n, yy[1]), (-y[0], y[0]), (-2 * y[0], y[1])):
            product, error = _times(left, right)
            found = _plus(_plus(found, product), error)
        found = _plus(_plus(found, n * yy[2]), -2 * y[0] * y[2] - y[1] * y[1])
        over, rest, _ = _settled(found)
        value = over / under
        back, error = _times(value, under)
        correction = (over - back - error + rest) / under
        rounded = value + correction
        correction -= rounded - value
        margin = rounded * SURE + n * yy[0] / under * LOST
        there = rounded + (correction + margin) == rounded and rounded + (correction - margin) == rounded
        sure[i] = there and n * yy[0] < FAR and rounded > 1 / FAR and under < EXACT
        values[i] = np.sqrt(rounded) if root else rounded


def near_variances(
    rows: Integers,
    sums: Integers,
    first: int,
    squares: Integers,
    first_square: int,
    sample: bool,
    root: bool,
) -> tuple[Floats, Mask]:
    """See plain.spreads.near_variances."""
    values, sure = np.empty(len(rows)), np.empty(len(rows), np.bool_)
    _variances(
        np.ascontiguousarray(rows),
        np.ascontiguousarray(sums),
        _powers(first, sums.shape[1]),
        np.ascontiguousarray(squares),
        _powers(first_square, squares.shape[1]),
        int(sample),
        root,
        values,
        sure,
    )
    return values, sure


def _powers(first: int, digits: int) -> Floats:
    """What digits are worth; those too small or too large for a double are never for sure."""
    exponents = 32 * (first + np.arange(digits)) - OFFSET
    with np.errstate(all="ignore"):
        return np.ldexp(1.0, exponents)
