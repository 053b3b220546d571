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
PLANES = 4
"""Planes of the finest code."""
GRID = 0.29
"""Its step, in standard deviations: of a normal distribution the digits of four planes then lose .116 of the
norm, those of two .353; the best grid for each alone would make that .107 and .345. Signs lose .603."""
_MOST = 256
"""Rows that are rotated or encoded at a time: they take several times their bytes meanwhile."""
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
    rotated = np.zeros((count, words_of(dimensions) * WORD))
    with np.errstate(invalid="ignore"):
        rotated[:, :dimensions] = values
    for start in range(0, count, _MOST):
        _rotate(rotated[start : start + _MOST], block_of(dimensions), dimensions)
    return rotated


def _rotate(rotated: Floats, block: int, dimensions: int) -> None:
    """The same in place, of rows that are padded."""
    with np.errstate(invalid="ignore", over="ignore"):
        rotated *= flips(dimensions, 0)
        rotated[:, :block] = _hadamard(rotated[:, :block])
        if block < rotated.shape[1]:
            rotated *= flips(dimensions, 1)
            rotated[:, -block:] = _hadamard(rotated[:, -block:])


def encode_signs(values: Rows, centroid: Singles, planes: int) -> tuple[Words, Singles]:
    """(rows, n) numbers, the (m,) rotated centroid d, 1 or PLANES -> (rows, planes, W) words, (rows, 3 or 7).

    With z = R x - d, the first plane has a 1 where z_i >= 0. Its factors: the norm |z|; the cosine of the
    angle between z and its signs, <z, s> / (|z| sqrt m), 1 where z is 0; and <d, z>. Where an element is not
    finite or a square overflows, they are not finite.

    All PLANES together are numbers of 0 to 15, the first plane counting 8: the level of z_i on a grid of
    GRID |z| / sqrt m, which is cut off at both ends. Read as digits 2 number - 15 they are a finer code than
    signs; so are the first two, as digits -3, -1, 1 and 3. Factors of the two: the cosine of the angle
    between z and the digits v, and 1 / |v|.

    All is computed in float64 and the factors are rounded to float32, to nearest.
    """
    if len(values) > _MOST:  # a row takes several times its bytes meanwhile
        parts = [
            encode_signs(values[at : at + _MOST], centroid, planes) for at in range(0, len(values), _MOST)
        ]
        return np.concatenate([words for words, _ in parts]), np.concatenate([f for _, f in parts])
    rotated = rotate_rows(values)
    whole = rotated.shape[1]
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        rotated -= centroid
        norms = np.sqrt(np.einsum("ij,ij->i", rotated, rotated))
        sums = np.abs(rotated).sum(axis=1) / sqrt(whole)
        factors = [norms, _cosines(sums, norms), rotated @ centroid.astype(np.float64)]
        positive = rotated >= 0
        if planes == 1:
            return _packed(positive)[:, np.newaxis], np.stack(factors, axis=1).astype(np.float32)
        scales = np.where(norms > 0, sqrt(whole) / (norms * GRID), 0.0)
        levels = np.floor(rotated * scales[:, np.newaxis]) + 8
        levels = np.where(positive, np.clip(levels, 8, 15), np.clip(levels, 0, 7))
        levels = np.nan_to_num(levels).astype(np.uint8)
        for digits in (2.0 * (levels >> 2) - 3, 2.0 * levels - 15):
            lengths = np.sqrt(np.einsum("ij,ij->i", digits, digits))
            factors += [_cosines(np.einsum("ij,ij->i", rotated, digits) / lengths, norms), 1 / lengths]
        words = [_packed(levels >> (PLANES - 1 - plane) & 1 != 0) for plane in range(PLANES)]
        return np.stack(words, axis=1), np.stack(factors, axis=1).astype(np.float32)


def _cosines(sums: Floats, norms: Floats) -> Floats:
    """sums / norms, at most 1, and 1 where the norm is 0."""
    return np.minimum(np.divide(sums, norms, out=np.ones_like(norms), where=norms != 0), 1.0)


def _packed(bits: npt.NDArray[np.bool_]) -> Words:
    """(rows, m) -> (rows, W)."""
    return np.packbits(bits, axis=1, bitorder="little").view("<u8").astype(np.uint64, copy=False)
