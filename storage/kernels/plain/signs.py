"""Sign codes against questions: counts of signs that differ, bounds, and what they decide.

Codes lie in groups of GROUP rows, word by word: (groups, W, GROUP) uint64 signs and (groups, 3, GROUP)
float32 factors, so that a row is a lane of a vector register and nothing is summed across lanes. A question
is bit planes (W, bits) uint64 and constants (CONSTANTS,) float32: see storage.codes.bounds for what is
computed of them, and why in this order. All is float32 but the counts, which are exact integers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint64]
Bounds = tuple[Singles, Singles]
Found = tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.bool_], npt.NDArray[np.int32], int]

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


def _value(beta: Any, delta: Any, factors: Any, constants: Any, root: Any, side: Any) -> Any:
    """U or L, in float32 or float64, whichever it is given."""
    norms, cosines, centres = factors
    v = np.minimum(np.maximum(root * cosines, beta - delta), beta + delta)
    spread = np.sqrt((_ONE - cosines * cosines) * (_ONE - v * v))
    inner = constants[NORM] * (cosines * v + root * spread) + side[GUARD] + side[SQUARE] * norms
    value = constants[CENTRE] * centres + norms * inner
    if side[LENGTH]:
        square = side[LEAST] + np.float32(2) * centres + norms * norms * side[GROWTH]
        value = value - side[LENGTH] * np.sqrt(np.maximum(square, np.float32(0)))
    return value


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
    then by the fine ones. Returns of those not dropped, by question, then as they come: question int32, slot
    (group * GROUP + lane) int64, whether it was taken, its count of the fine planes int32 (0 where the coarse
    took it); and how many (row, question) pairs the coarse planes decided.
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


def deepen_signs(
    planes: Words,
    of_digits: Singles,
    factors: Singles,
    slots: npt.NDArray[np.int64],
    frames: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    fine: Words,
    deep: Floats,
    constants: Singles,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Test rows by the next k planes of their codes: their counts, and 0 dropped, 1 open or 2 taken.

    planes (all slots, k, W) and of_digits (all slots, 2): the cosine and 1 / |v| of the code up to these;
    factors (groups, 3, GROUP); of the rows: slots, frames and counts so far; fine (frames, FINE, W);
    deep (frames, 3): start, slope and delta, and constants (frames, CONSTANTS), computed with in float64.
    """
    added = planes.shape[1]
    words = planes[slots]
    total = counts << added
    for frame in np.unique(frames).tolist():
        mine = frames == frame
        for plane in range(added):
            weight = added - 1 - plane
            total[mine] += count_signs(words[mine, plane], fine[frame].T).astype(np.int64) << weight
    of_rows = factors[slots // GROUP, :, slots % GROUP].T.astype(np.float64)
    of_rows[1] = of_digits[slots, 0]
    start, slope, delta = deep[frames].T
    beta = (start - slope * total) * of_digits[slots, 1]
    state = np.zeros(len(slots), np.uint8)
    for frame in np.unique(frames).tolist():
        mine = frames == frame
        wide = constants[frame].astype(np.float64)
        which = beta[mine], delta[mine], of_rows[:, mine], wide
        stays = ~(_value(*which, 1.0, wide[UPPER:LOWER]) < wide[UPPER + LIMIT])
        taken = _value(*which, -1.0, wide[LOWER:CONSTANTS]) > wide[LOWER + LIMIT]
        state[mine] = stays * (1 + taken.astype(np.uint8))
    return total, state


def quantise(turned: Floats, bits: int) -> tuple[Words, float, float, float]:
    """(m,) float64 p -> its digits as (W, bits) planes, their step, |p - p~|_1 and |p - p~|_2.

    p~ is the step times digits, odd numbers below 2^bits; bit j of (digit + 2^bits - 1) / 2 is in plane j.
    Of the steps tried, parts of that which cuts nothing off, the one is taken that loses least. A p of
    nothing has step 0.
    """
    top = (1 << bits) - 1
    largest = float(np.abs(turned).max())
    best, step, error, square = np.zeros(len(turned), np.uint64), 0.0, 0.0, 0.0
    for part in STEPS if largest > 0 else ():
        tried = part * largest / (1 << bits)
        digits = np.minimum(np.maximum(2 * np.floor(turned / (2 * tried)) + 1, -top), top)
        lost = np.abs(turned - tried * digits)
        if not step or lost.sum() < error:
            best, step = ((digits + top) / 2).astype(np.uint64), tried
            error, square = float(lost.sum()), float(lost @ lost)
    planes = [
        np.packbits((best >> np.uint64(j)) & np.uint64(1) != 0, bitorder="little").view("<u8")
        for j in range(bits)
    ]
    return np.stack(planes, axis=1), step, error, float(np.sqrt(square))
