"""Twins of plain.slides: totals of squares have two words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit, types

from storage.kernels.compiled.wide import HALF, LOW, ZERO, less, plus, product
from storage.kernels.plain.slides import Integers

_U = np.uint64
_READ = types.Array(types.int64, 1, "C", readonly=True)
_OUT = types.int64[::1]
_LOW, _HALF = np.int64((1 << 32) - 1), np.int64(32)
_FORMS = [types.Array(form, 1, "C", readonly=True) for form in (types.int16, types.int32, types.int64)]


@njit([types.void(form, _READ, _READ, _OUT, _OUT) for form in _FORMS], nogil=True, cache=True)
def _sums(values, first, stop, high, low):  # type: ignore[no-untyped-def]
    totals = np.empty(len(values) + 1, np.int64)
    total = totals[0] = np.int64(0)
    for i in range(len(values)):
        total += np.int64(values[i])
        totals[i + 1] = total
    for i in range(len(first)):
        found = totals[stop[i]] - totals[first[i]]
        high[i] += found >> _HALF
        low[i] += found & _LOW


@njit(
    types.void(types.Array(types.int64, 2, "C", readonly=True), _READ, _READ, types.int64[:, ::1]),
    nogil=True,
    cache=True,
)
def _digits(digits, first, stop, out):  # type: ignore[no-untyped-def]
    rows, width = digits.shape
    totals = np.empty((rows + 1, width), np.int64)
    totals[0] = 0
    for i in range(rows):
        for k in range(width):
            totals[i + 1, k] = totals[i, k] + digits[i, k]
    for i in range(len(first)):
        for k in range(width):
            out[i, k] += totals[stop[i], k] - totals[first[i], k]


@njit(
    [types.void(form, _READ, _READ, _OUT, _OUT, types.int64[:, ::1]) for form in _FORMS],
    nogil=True,
    cache=True,
)
def _squares(values, first, stop, high, low, squares):  # type: ignore[no-untyped-def]
    totals = np.zeros((len(values) + 1, 3), np.uint64)
    total = upper = lower = ZERO
    for i in range(len(values)):
        value = np.int64(values[i])
        total += _U(value)
        size = _U(value) if value >= 0 else ZERO - _U(value)
        more, rest = product(size, size)
        lower, carry = plus(lower, rest, ZERO)
        upper += more + carry
        totals[i + 1, 0], totals[i + 1, 1], totals[i + 1, 2] = total, upper, lower
    for i in range(len(first)):
        end, begin = totals[stop[i]], totals[first[i]]
        found = np.int64(end[0] - begin[0])
        high[i] += found >> _HALF
        low[i] += found & _LOW
        rest, borrow = less(end[2], begin[2], ZERO)
        more = end[1] - begin[1] - borrow
        squares[i, 0] += np.int64(rest & LOW)
        squares[i, 1] += np.int64(rest >> HALF)
        squares[i, 2] += np.int64(more & LOW)
        squares[i, 3] += np.int64(more >> HALF)


def slide_digits(digits: Integers, first: Integers, stop: Integers, out: Integers) -> None:
    """See plain.slides.slide_digits."""
    _digits(np.ascontiguousarray(digits), np.ascontiguousarray(first), np.ascontiguousarray(stop), out)


def slide_sums(
    values: npt.NDArray[np.signedinteger], first: Integers, stop: Integers, high: Integers, low: Integers
) -> None:
    """See plain.slides.slide_sums."""
    given = (np.ascontiguousarray(each) for each in (values, first, stop))
    _sums(*given, high, low)


def slide_squares(
    values: npt.NDArray[np.signedinteger],
    first: Integers,
    stop: Integers,
    high: Integers,
    low: Integers,
    squares: Integers,
) -> None:
    """See plain.slides.slide_squares."""
    given = (np.ascontiguousarray(each) for each in (values, first, stop))
    _squares(*given, high, low, squares)
