"""The rotation of vectors, and their codes: signs and factors.

The rotation of n elements works in m = 64 ceil(n / 64) dimensions, padded with zeros: signs flip by a fixed
stream, then a fast Hadamard transform of the first h elements, h the largest power of two up to m; where
that is not all, signs flip again and the last h elements are transformed (without the second flip, two
Hadamards that overlap could undo each other). Each step is orthogonal, so products and norms are kept.
"""

from __future__ import annotations

from functools import cache
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint64]

WORD = 64
_SEED = 0x9E3779B97F4A7C15


def words_of(dimensions: int) -> int:
    """Words of a row's sign plane."""
    return -(-dimensions // WORD)


def block_of(dimensions: int) -> int:
    """h: how many elements are transformed at once."""
    return 1 << ((words_of(dimensions) * WORD).bit_length() - 1)


@cache
def flips(dimensions: int, stage: int) -> Floats:
    """(m,) +1 and -1: the flips before the first (0) or second (1) transform. A constant of the codes."""
    places = np.arange(words_of(dimensions) * WORD, dtype=np.uint64) + np.uint64(stage << 32)
    with np.errstate(over="ignore"):
        mixed = (places + np.uint64(1)) * np.uint64(_SEED)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    signs = 1.0 - 2.0 * (mixed >> np.uint64(63)).astype(np.float64)
    signs.flags.writeable = False
    return signs


def _hadamard(part: Floats) -> Floats:
    """The transform of the last axis, whose length is a power of two, scaled to keep norms."""
    rows, length = part.shape
    half = 1
    while half < length:
        pairs = part.reshape(rows, length // (2 * half), 2, half)
        first, second = pairs[:, :, 0], pairs[:, :, 1]
        part = np.stack((first + second, first - second), axis=2).reshape(rows, length)
        half *= 2
    return part * (1 / sqrt(length))


def rotate_rows(values: Rows) -> Floats:
    """(rows, n) numbers -> (rows, m) float64, rotated. NaN and infinity spread over their row."""
    count, dimensions = values.shape
    whole = words_of(dimensions) * WORD
    block = block_of(dimensions)
    rotated = np.zeros((count, whole))
    with np.errstate(invalid="ignore", over="ignore"):
        rotated[:, :dimensions] = values
        rotated *= flips(dimensions, 0)
        rotated[:, :block] = _hadamard(rotated[:, :block])
        if block < whole:
            rotated *= flips(dimensions, 1)
            rotated[:, -block:] = _hadamard(rotated[:, -block:])
    return rotated


def encode_signs(values: Rows, centroid: Singles) -> tuple[Words, Singles]:
    """(rows, n) numbers and the (m,) rotated centroid d -> (rows, W) words and (3, rows) factors.

    With z = R x - d: bit i of a row is 1 where z_i >= 0. Factors: the norm |z|; the cosine of the angle
    between z and its signs, <z, s> / (|z| sqrt m), 1 where z is 0; and <d, z>. Each is computed in float64
    and rounded to nearest. Where an element is not finite or a square overflows, the factors are not finite.
    """
    rotated = rotate_rows(values)
    with np.errstate(invalid="ignore", over="ignore"):
        rotated -= centroid
        norms = np.sqrt(np.einsum("ij,ij->i", rotated, rotated))
        sums = np.abs(rotated).sum(axis=1) / sqrt(rotated.shape[1])
        cosines = np.divide(sums, norms, out=np.ones_like(norms), where=norms != 0)
        factors = np.stack((norms, np.minimum(cosines, 1.0), rotated @ centroid.astype(np.float64)))
        bits = np.packbits(rotated >= 0, axis=1, bitorder="little")
        return bits.view("<u8").astype(np.uint64, copy=False), factors.astype(np.float32)
