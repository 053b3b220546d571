"""Sign codes of vectors: the rotation, the encoding of rows, and the test of all rows against a question.

The rotation of n elements works in m = 64 ceil(n / 64) dimensions, padded with zeros: signs flip by a fixed
stream, then a fast Hadamard transform of the first h elements, h the largest power of two up to m; where
that is not all, signs flip again and the last h elements are transformed (without the second flip, two
Hadamards that overlap could undo each other). Each step is orthogonal, so products and norms are kept.

Codes lie in groups of GROUP rows, word by word: (groups, W, GROUP) uint64 signs and (groups, 3, GROUP)
float32 factors, so that a row is a lane of a vector register and nothing is summed across lanes. A question
is bit planes (W, bits) uint64 and constants (CONSTANTS,) float32: see storage.codes.bounds for what is
computed of them, and why in this order. All is float32 but the counts, which are exact integers.
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
Bounds = tuple[Singles, Singles]
Found = tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.bool_], npt.NDArray[np.int32], int]

WORD = 64
GROUP = 16
"""Rows of a group."""
COARSE, FINE = 4, 8
"""Bits of a question in the first test and in that of its survivors."""

START, SLOPE, DELTA, FINE_START, FINE_SLOPE, FINE_DELTA, NORM, CENTRE, UPPER, LOWER, CONSTANTS = (
    *range(8),
    8,
    14,
    20,
)
"""Places of a question's constants; those of U and of L, from UPPER and from LOWER on, are:"""
GUARD, SQUARE, LENGTH, LEAST, GROWTH, LIMIT = range(6)

STEPS = (1.0, 0.9, 0.8, 0.72, 0.64, 0.56)
_ONE = np.float32(1 + 2.0**-20)
_SEED = 0x9E3779B97F4A7C15


def words_of(dimensions: int) -> int:
    """Words of a row's sign plane."""
    return -(-dimensions // WORD)


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
    block = 1 << (whole.bit_length() - 1)
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


def count_signs(words: Words, planes: Words) -> npt.NDArray[np.int32]:
    """(rows, W) code words, (W, B) query planes -> (rows,) the sum over j of 2^j popcount(word ^ plane j)."""
    counts = np.zeros(len(words), np.int32)
    for j, plane in enumerate(planes.T):
        counts += np.bitwise_count(words ^ plane).sum(axis=1, dtype=np.int32) << j
    return counts


def bound_signs(counts: npt.NDArray[np.int32], factors: Singles, constants: Singles, fine: bool) -> Bounds:
    """(rows,) counts, (3, rows) factors -> (rows,) float32 U and L of storage.codes.bounds."""
    at = FINE_START if fine else START
    start, slope, delta = constants[at : at + 3]
    beta = start - slope * counts.astype(np.float32)
    upper = _value(beta, delta, factors, constants, np.float32(1), constants[UPPER:LOWER])
    lower = _value(beta, delta, factors, constants, np.float32(-1), constants[LOWER:CONSTANTS])
    return upper, lower


def _value(
    beta: Singles, delta: np.float32, factors: Singles, constants: Singles, root: np.float32, side: Singles
) -> Singles:
    norms, cosines, centres = factors
    v = np.minimum(np.maximum(root * cosines, beta - delta), beta + delta)
    spread = np.sqrt((_ONE - cosines * cosines) * (_ONE - v * v))
    inner = constants[NORM] * (cosines * v + root * spread) + side[GUARD] + side[SQUARE] * norms
    value = constants[CENTRE] * centres + norms * inner
    if side[LENGTH]:
        square = side[LEAST] + np.float32(2) * centres + norms * norms * side[GROWTH]
        value = value - side[LENGTH] * np.sqrt(np.maximum(square, np.float32(0)))
    result: Singles = value
    return result


def scan_signs(
    signs: Words,
    factors: Singles,
    spans: npt.NDArray[np.int64],
    coarse: Words,
    fine: Words,
    constants: Singles,
) -> Found:
    """Test all rows of some spans against some questions.

    signs (groups, W, GROUP), factors (groups, 3, GROUP); spans (any, 3): first group, rows, frame;
    coarse (questions, frames, W, COARSE), fine (questions, frames, W, FINE) and constants (questions, frames,
    CONSTANTS). A row is dropped where U is below its limit and taken where L is above, by the coarse planes,
    then by the fine ones. Returns of those not dropped, by question and slot (group * GROUP + lane): question
    int32, slot int64, whether it was taken, its count of the fine planes int32 (0 where the coarse took it);
    and how many (row, question) pairs the coarse planes decided.
    """
    found: list[tuple[npt.NDArray[Any], ...]] = []
    decided = 0
    for question in range(len(constants)):
        for group, rows, frame in spans.tolist():
            stop = group + -(-rows // GROUP)
            words = signs[group:stop].transpose(0, 2, 1).reshape(-1, signs.shape[1])[:rows]
            of_rows = factors[group:stop].transpose(1, 0, 2).reshape(3, -1)[:, :rows]
            slots = group * GROUP + np.arange(rows)
            mine = constants[question, frame]
            counts = np.zeros(rows, np.int32)
            left, taken = _sieve(count_signs(words, coarse[question, frame]), of_rows, mine, False)
            decided += rows - int((left & ~taken).sum())
            open_ = np.flatnonzero(left & ~taken)
            counts[open_] = count_signs(words[open_], fine[question, frame])
            left[open_], taken[open_] = _sieve(counts[open_], of_rows[:, open_], mine, True)
            rest = np.flatnonzero(left)
            found.append((np.full(len(rest), question, np.int32), slots[rest], taken[rest], counts[rest]))
    if not found:
        return np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.bool_), np.empty(0, np.int32), 0
    questions, slots, taken, counts = (np.concatenate(pieces) for pieces in zip(*found, strict=True))
    return questions, slots, taken, counts, decided


def _sieve(counts: npt.NDArray[np.int32], factors: Singles, constants: Singles, fine: bool) -> Any:
    """(rows,) whether a row stays, and whether it is taken."""
    upper, lower = bound_signs(counts, factors, constants, fine)
    stays = ~(upper < constants[UPPER + LIMIT])
    return stays, stays & (lower > constants[LOWER + LIMIT])


def quantise(turned: Floats, bits: int) -> tuple[Words, float, float]:
    """(m,) float64 p -> its digits as (W, bits) planes, their step, and |p - p~|_1.

    p~ is the step times digits, odd numbers below 2^bits; bit j of (digit + 2^bits - 1) / 2 is in plane j.
    Of the steps tried, parts of that which cuts nothing off, the one is taken that loses least. A p of
    nothing has step 0.
    """
    top = (1 << bits) - 1
    largest = float(np.abs(turned).max())
    best, step, error = np.zeros(len(turned), np.uint64), 0.0, 0.0
    for part in STEPS if largest > 0 else ():
        tried = part * largest / (1 << bits)
        digits = np.minimum(np.maximum(2 * np.floor(turned / (2 * tried)) + 1, -top), top)
        lost = float(np.abs(turned - tried * digits).sum())
        if not step or lost < error:
            best, step, error = ((digits + top) / 2).astype(np.uint64), tried, lost
    planes = [
        np.packbits((best >> np.uint64(j)) & np.uint64(1) != 0, bitorder="little").view("<u8")
        for j in range(bits)
    ]
    return np.stack(planes, axis=1), step, error
