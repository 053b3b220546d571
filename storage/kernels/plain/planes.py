"""Bit planes: of a question, which is rounded to a few bits, and of rows, whose codes they make finer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from storage.kernels.plain.signs import (
    CONSTANTS,
    DROPPED,
    GROUP,
    LIMIT,
    LOWER,
    OPEN,
    TAKEN,
    UPPER,
    Floats,
    Singles,
    Words,
    count_signs,
    value_of,
)

STEPS = (1.0, 0.9, 0.8, 0.72, 0.64, 0.56)
"""Steps of a question's digits that are tried, as parts of the one that cuts nothing off."""


def deepen_signs(
    planes: Words,
    of_digits: Singles,
    factors: Singles,
    slots: npt.NDArray[np.int64],
    frames: npt.NDArray[np.int64],
    fine: Words,
    deep: Floats,
    constants: Singles,
    counts: npt.NDArray[np.int64],
    state: npt.NDArray[np.uint8],
) -> None:
    """Test the rows that are OPEN by the next k planes of their codes.

    planes (all slots, k, W) and of_digits (all slots, 2): the cosine and 1 / |v| of the code up to these;
    factors (groups, 3, GROUP); of the rows: slots, frames, counts so far and states, of which the last two
    are written to; fine (frames, FINE, W); deep (frames, 3): start, slope and delta, and constants
    (frames, CONSTANTS), computed with in float64.
    """
    added = planes.shape[1]
    for frame in np.unique(frames).tolist():
        mine = np.flatnonzero((frames == frame) & (state == OPEN))
        words, which = planes[slots[mine]], slots[mine]
        total = counts[mine] << added
        for plane in range(added):
            weight = added - 1 - plane
            total += count_signs(words[:, plane], fine[frame].T).astype(np.int64) << weight
        counts[mine] = total
        of_rows = factors[which // GROUP, :, which % GROUP].T.astype(np.float64)
        of_rows[1] = of_digits[which, 0]
        start, slope, delta = deep[frame]
        beta = (start - slope * total) * of_digits[which, 1]
        wide = constants[frame].astype(np.float64)
        stays = ~(value_of(beta, delta, of_rows, wide, 1.0, wide[UPPER:LOWER]) < wide[UPPER + LIMIT])
        taken = value_of(beta, delta, of_rows, wide, -1.0, wide[LOWER:CONSTANTS]) > wide[LOWER + LIMIT]
        state[mine] = np.where(stays, np.where(taken, TAKEN, OPEN), DROPPED)


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
