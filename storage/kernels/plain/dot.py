"""Products and distances of vectors with one query, or pair by pair: the reference of all answers.

Elements (float16, float32, float64, int8 to int64) are read as float64. Terms (products, squared or absolute
differences) are taken in float64 and summed in 32 lanes over blocks of 32 elements with a zero-padded tail,
then by one fixed tree: ((0-7 + 8-15) + (16-23 + 24-31)), halves, quarters, the last pair. The order is a
constant of the product: every path that decides an answer gives this double, bit for bit.

Rounding (u = 2^-53; d dimensions; all to first order in u, which `rounding` makes an upper bound): a lane
adds ceil(d/32) terms, the first to zero and so exactly, and the tree adds five times, so a sum is off by at
most (ceil(d/32) + 4) u times the sum of the terms' magnitudes. A term adds its own: products are exact for
elements of up to 26 bits (float16, float32, int8, int16) and off by u for others; int64 elements of over 53
bits are off by u each. Integers whose every partial sum stays below 2^53 are therefore summed exactly. What
overflows or falls below the smallest normal double (products of float64 elements only) is not covered.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[Any]
Scores = npt.NDArray[np.float64]

LANES = 32
UNIT = 2.0**-53
LEAST_SQUARES = 1e-290
"""Below this the product of two sums of squares has lost digits: their roots are multiplied instead."""
_EXACT = frozenset("efbh")  # dtype characters whose products are exact in float64


def rounding(dtype: np.dtype, dimensions: int) -> float:
    """By how much `dot` may be off, as a multiple of the sum of |x_i q_i|: an upper bound."""
    steps = -(-dimensions // LANES) + 4
    if dtype.char not in _EXACT:
        steps += 1 if dtype.itemsize < 8 or dtype.kind == "f" else 3
    return steps * UNIT / (1.0 - steps * UNIT)


def padded(query: Rows) -> Scores:
    """A query (d,), or queries (n, d), in float64, zero-padded to whole blocks."""
    blocks = -(-query.shape[-1] // LANES)
    wide = np.zeros((*query.shape[:-1], blocks * LANES))
    wide[..., : query.shape[-1]] = query
    return wide


def _tree(lanes: Scores) -> Scores:
    sums = (lanes[:, 0:8] + lanes[:, 8:16]) + (lanes[:, 16:24] + lanes[:, 24:32])
    sums = sums[:, :4] + sums[:, 4:]
    sums = sums[:, :2] + sums[:, 2:]
    total: Scores = sums[:, 0] + sums[:, 1]
    return total


def dot(rows: Rows, query: Rows) -> Scores:
    """(n, d) by (d,) or (n, d): the n dot products. NaN and infinity go through.

    Off by at most `rounding(dtype, d)` times the sum of |x_i q_i|.
    """
    wide, lanes = padded(query), np.zeros((len(rows), LANES))
    with np.errstate(invalid="ignore", over="ignore"):
        for start in range(0, rows.shape[1], LANES):
            block = rows[:, start : start + LANES]
            width = block.shape[1]
            lanes[:, :width] += block.astype(np.float64) * wide[..., start : start + width]
        return _tree(lanes)


def l2(rows: Rows, query: Rows) -> Scores:
    """(n, d) by (d,) or (n, d): the n Euclidean distances.

    Relative error at most (ceil(d/32) + 9) u / 2 and u for the root; int64 elements of over 53 bits apart.
    """
    wide, lanes = padded(query), np.zeros((len(rows), LANES))
    with np.errstate(invalid="ignore", over="ignore"):
        for start in range(0, rows.shape[1], LANES):
            block = rows[:, start : start + LANES]
            width = block.shape[1]
            difference = block.astype(np.float64) - wide[..., start : start + width]
            lanes[:, :width] += difference * difference
        distances: Scores = np.sqrt(_tree(lanes))
    return distances


def l1(rows: Rows, query: Rows) -> Scores:
    """(n, d) by (d,) or (n, d): the n sums of absolute differences.

    Relative error at most (ceil(d/32) + 5) u; int64 elements of over 53 bits apart.
    """
    wide, lanes = padded(query), np.zeros((len(rows), LANES))
    with np.errstate(invalid="ignore", over="ignore"):
        for start in range(0, rows.shape[1], LANES):
            block = rows[:, start : start + LANES]
            width = block.shape[1]
            lanes[:, :width] += np.abs(block.astype(np.float64) - wide[..., start : start + width])
        return _tree(lanes)


def norms(rows: Rows) -> Scores:
    """(n, d): the n Euclidean lengths, each the `l2` distance from zero."""
    return l2(rows, np.zeros(rows.shape[1]))


def cosine(rows: Rows, query: Rows) -> Scores:
    """(n, d) by (d,) or (n, d): the n cosine distances, 1 - x.q / sqrt(x.x q.q) with the quotient held
    within -1 and 1; NaN where a vector is zero. A vector's distance from itself is 0, for sqrt(s s) is s.

    Absolute error at most (2 ceil(d/32) + 18) u, where no sum of squares over- or underflows.
    """
    ours, theirs = dot(rows, rows), dot(query, query) if query.ndim == 2 else dot(query[None, :], query)
    with np.errstate(all="ignore"):
        both = ours * theirs
        usual = (both > LEAST_SQUARES) & (both < np.inf)
        similarity = dot(rows, query) / np.where(usual, np.sqrt(both), np.sqrt(ours) * np.sqrt(theirs))
    return np.asarray(1.0 - np.clip(similarity, -1.0, 1.0))
