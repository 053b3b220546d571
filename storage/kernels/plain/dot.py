"""Dot product and Euclidean distance of float32 vectors with one query: the reference of all answers.

Products in float64 (exact for float32), summed in 32 lanes over blocks of 32 elements with a zero-padded
tail, then by one fixed tree: ((0-7 + 8-15) + (16-23 + 24-31)), halves, quarters, the last pair. The order
is a constant of the product: every path that decides an answer gives this double, bit for bit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float64]

LANES = 32


def padded(query: Rows) -> Scores:
    """The query in float64, zero-padded to whole blocks."""
    blocks = -(-len(query) // LANES)
    wide = np.zeros(blocks * LANES)
    wide[: len(query)] = query
    return wide


def _tree(lanes: Scores) -> Scores:
    sums = (lanes[:, 0:8] + lanes[:, 8:16]) + (lanes[:, 16:24] + lanes[:, 24:32])
    sums = sums[:, :4] + sums[:, 4:]
    sums = sums[:, :2] + sums[:, 2:]
    total: Scores = sums[:, 0] + sums[:, 1]
    return total


def dot_f32(rows: Rows, query: Rows) -> Scores:
    """(n, d) float32 by (d,) float32: the n dot products. NaN and infinity go through."""
    wide, lanes = padded(query), np.zeros((len(rows), LANES))
    with np.errstate(invalid="ignore", over="ignore"):
        for start in range(0, rows.shape[1], LANES):
            block = rows[:, start : start + LANES]
            lanes[:, : block.shape[1]] += block.astype(np.float64) * wide[start : start + block.shape[1]]
        return _tree(lanes)


def l2_f32(rows: Rows, query: Rows) -> Scores:
    """(n, d) float32 by (d,) float32: the n Euclidean distances."""
    wide, lanes = padded(query), np.zeros((len(rows), LANES))
    with np.errstate(invalid="ignore", over="ignore"):
        for start in range(0, rows.shape[1], LANES):
            block = rows[:, start : start + LANES]
            difference = block.astype(np.float64) - wide[start : start + block.shape[1]]
            lanes[:, : block.shape[1]] += difference * difference
        distances: Scores = np.sqrt(_tree(lanes))
    return distances
