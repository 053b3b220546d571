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
Counts = npt.NDArray[np.int32]
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

DROPPED, OPEN, TAKEN = range(3)
"""The state of a row and a question: it certainly does not meet the condition, it may, it certainly does."""

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
    upper = value_of(beta, delta, factors, constants, np.float32(1), constants[UPPER:LOWER])
    lower = value_of(beta, delta, factors, constants, np.float32(-1), constants[LOWER:CONSTANTS])
    return upper, lower


def value_of(beta: Any, delta: Any, factors: Any, constants: Any, root: Any, side: Any) -> Any:
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
    known: Counts | None = None,
) -> Found:
    """Test all rows of some spans against some questions.

    signs (groups, W, GROUP), factors (groups, 3, GROUP); spans (any, 3): first group, rows, frame;
    coarse (questions, frames, W, COARSE), fine (questions, frames, W, FINE) and constants (questions, frames,
    CONSTANTS). `known`: what promises.promise_signs counted of these spans for the one question. A row is
    dropped where U is below its limit and taken where L is above, by the coarse planes, then by the fine
    ones. Returns of those not dropped, by question, then as they come: question int32, slot (group * GROUP
    + lane) int64, whether it was taken, its count of the fine planes int32 (0 where the coarse took it); and
    how many (row, question) pairs the coarse planes decided.
    """
    found: list[tuple[npt.NDArray[Any], ...]] = []
    decided = 0
    for question in range(len(constants)):
        before = 0
        for group, rows, frame in spans.tolist():
            stop = group + -(-rows // GROUP)
            words = signs[group:stop].transpose(0, 2, 1).reshape(-1, signs.shape[1])[:rows]
            of_rows = factors[group:stop].transpose(1, 0, 2).reshape(3, -1)[:, :rows]
            slots = group * GROUP + np.arange(rows)
            mine = constants[question, frame]
            counts = np.zeros(rows, np.int32)
            if known is None:
                first = count_signs(words, coarse[question, frame])
            else:
                first = known[before : before + stop - group].reshape(-1)[:rows]
                before += stop - group
            left, taken = _sieve(first, of_rows, mine, False)
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
