"""Guesses of scores from sign codes: which rows promise most, before anything is known for certain."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from storage.kernels.plain.signs import GROUP, Counts, Singles, Words, count_signs

Promises = tuple[npt.NDArray[np.int64], Singles]

GUESS_START, GUESS_SLOPE, GUESS_CENTRE, GUESS_SQUARE, GUESS_OFFSET, GUESS_LENGTH, GUESSES = range(7)
"""Places of what a guess of a row's score takes of a question: see guess_signs."""
LEAST_COSINE, LEAST_SQUARE = np.float32(0.1), np.float32(1e-30)


def promise_signs(
    signs: Words,
    factors: Singles,
    spans: npt.NDArray[np.int64],
    coarse: Words,
    guesses: Singles,
    lanes: npt.NDArray[np.uint16],
    wanted: int,
    counts: Counts,
) -> Promises:
    """Count one question's coarse planes for all rows of some spans, and find those that promise most.

    As scan_signs has them: signs, factors, spans; coarse (frames, W, COARSE). guesses (frames, GUESSES): see
    guess_signs. lanes: of the groups of the spans, in turn, bit i for row i to be looked for; empty: all.
    Writes the counts (groups of the spans in turn, GROUP) int32, where rows are. Returns of the `wanted` rows
    (>= 1) with the largest guesses, the first of equal ones, best first: slots int64 and guesses float32.
    Rows whose guess is no number, or minus infinity, are not among them.
    """
    groups = -(-spans[:, 1] // GROUP)
    slots, found = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
    stops = np.cumsum(groups).tolist()
    for (group, rows, frame), stop, many in zip(spans.tolist(), stops, groups.tolist(), strict=True):
        words = signs[group : group + many].transpose(0, 2, 1).reshape(-1, signs.shape[1])[:rows]
        of_rows = factors[group : group + many].transpose(1, 0, 2).reshape(3, -1)[:, :rows]
        counted = counts[stop - many : stop].reshape(-1)[:rows]
        counted[:] = count_signs(words, coarse[frame])
        sought = np.arange(rows)
        if len(lanes):
            bits = np.unpackbits(lanes[stop - many : stop].view(np.uint8), bitorder="little")
            sought = np.flatnonzero(bits[:rows])
        slots.append(group * GROUP + sought)
        found.append(guess_signs(counted, of_rows, guesses[frame])[sought])
    slot, guess = np.concatenate(slots), np.concatenate(found)
    known = guess > -np.inf
    slot, guess = slot[known], guess[known]
    best = np.lexsort((slot, -guess))[:wanted]
    return slot[best], guess[best]


def guess_signs(counts: Counts, factors: Singles, guess: Singles) -> Singles:
    """(rows,) counts, (3, rows) factors, (GUESSES,) -> (rows,) float32: how good scores are likely to be.

    p.z is about N P beta / k: the angle between z and its code tells nothing of p. See storage.codes.bounds.
    """
    norms, cosines, centres = factors
    with np.errstate(over="ignore", invalid="ignore"):
        return _nearness(counts, norms, cosines, centres, guess)


def _nearness(counts: Counts, norms: Singles, cosines: Singles, centres: Singles, guess: Singles) -> Singles:
    product = (guess[GUESS_START] - guess[GUESS_SLOPE] * counts.astype(np.float32)) * norms
    product = product / np.maximum(cosines, LEAST_COSINE)
    square = norms * norms
    nearness: Singles = product + guess[GUESS_CENTRE] * centres + guess[GUESS_SQUARE] * square
    nearness = nearness + guess[GUESS_OFFSET]
    if guess[GUESS_LENGTH] >= 0:
        length = guess[GUESS_LENGTH] + np.float32(2) * centres + square
        nearness = nearness / np.sqrt(np.maximum(length, LEAST_SQUARE))
    return nearness
