"""Sums over frames of rows: off running totals, one subtraction a frame.

Frame i is rows first[i] to stop[i]. What wraps around in a running total comes right in a difference.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from storage.kernels.plain.moments import sum_squares

Integers = npt.NDArray[np.int64]
_LOW = (1 << 32) - 1


def slide_sums(
    values: npt.NDArray[np.signedinteger], first: Integers, stop: Integers, high: Integers, low: Integers
) -> None:
    """Add the sum of each frame's values to its halves (frames,): see plain.sums.sum_integers.

    All values' sizes together are below 2^63.
    """
    totals = _running(values.astype(np.int64))
    found = totals[stop] - totals[first]
    high += found >> 32
    low += found & _LOW


def slide_digits(digits: Integers, first: Integers, stop: Integers, out: Integers) -> None:
    """Add the sums of each frame's `digits` (rows, n), modulo 2^64, to `out` (frames, n)."""
    for place in range(digits.shape[1]):
        totals = _running(digits[:, place])
        out[:, place] += totals[stop] - totals[first]


def slide_squares(
    values: npt.NDArray[np.signedinteger],
    first: Integers,
    stop: Integers,
    high: Integers,
    low: Integers,
    squares: Integers,
) -> None:
    """`slide_sums`, and of the squares to `squares` (frames, DIGITS): see plain.moments."""
    slide_sums(values, first, stop, high, low)
    rows = len(values)
    digits = np.zeros((rows, squares.shape[1]), np.int64)
    counts, upper, lower = np.zeros((3, rows), np.int64)
    sum_squares(np.arange(rows), values, counts, upper, lower, digits)
    carry = np.zeros(len(first), np.int64)
    for place in range(squares.shape[1]):
        totals = _running(digits[:, place])
        carry += totals[stop] - totals[first]
        squares[:, place] += carry & _LOW
        carry >>= 32


def _running(values: Integers) -> Integers:
    totals = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=totals[1:])
    return totals
