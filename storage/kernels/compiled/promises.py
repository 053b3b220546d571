"""Twins of plain.promises: a group of 16 rows at a time, as in compiled.signs, and a heap of the best."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from storage.kernels.compiled.signs import (
    COUNTS,
    FLOATS,
    GROUP_FACTORS,
    INDEX,
    SPANS,
    constant_of,
    counts_of,
    factors_of,
    float_of,
    larger,
    mask_of,
    spread,
    square_root,
)
from storage.kernels.plain.promises import (
    GUESS_CENTRE,
    GUESS_LENGTH,
    GUESS_OFFSET,
    GUESS_SLOPE,
    GUESS_SQUARE,
    GUESS_START,
    GUESSES,
    LEAST_COSINE,
    LEAST_SQUARE,
    Promises,
)
from storage.kernels.plain.signs import COARSE, GROUP, Counts, Singles, Words

_CALL_SPANS = 16
"""Cells of a call: under 20 ms."""


def _promise(cosine: bool) -> Any:
    """An intrinsic f(signs, words, planes, factors, guesses, least, counts, found).

    -> bit i: the guess of row i is above `least`. Writes the counts to the last address but one, and the
    guesses to the last where any is above.
    """

    @intrinsic  # type: ignore[untyped-decorator]  # numba has no types
    def promise(
        typing: Any,
        signs: Any,
        words: Any,
        planes: Any,
        factors: Any,
        guesses: Any,
        least: Any,
        counts: Any,
        found: Any,
    ) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            signs, words, planes, factors, guesses, least, counts, found = args
            guess = partial(constant_of, builder, guesses)
            counted = counts_of(builder, signs, words, planes, COARSE)
            builder.store(counted, builder.inttoptr(counts, COUNTS.as_pointer()), align=4)
            norms, cosines, centres = factors_of(builder, factors)
            add, times = builder.fadd, builder.fmul
            number = times(guess(GUESS_SLOPE), builder.sitofp(counted, FLOATS))
            product = times(builder.fsub(guess(GUESS_START), number), norms)
            product = builder.fdiv(product, larger(builder, cosines, float_of(float(LEAST_COSINE))))
            square = times(norms, norms)
            nearness = add(product, times(guess(GUESS_CENTRE), centres))
            nearness = add(add(nearness, times(guess(GUESS_SQUARE), square)), guess(GUESS_OFFSET))
            if cosine:
                length = add(add(guess(GUESS_LENGTH), times(float_of(2.0), centres)), square)
                length = larger(builder, length, float_of(float(LEAST_SQUARE)))
                nearness = builder.fdiv(nearness, square_root(builder, length))
            above = mask_of(builder, builder.fcmp_ordered(">", nearness, spread(builder, least, GROUP)))
            with builder.if_then(builder.icmp_unsigned("!=", above, ir.Constant(INDEX, 0)), likely=False):
                builder.store(nearness, builder.inttoptr(found, FLOATS.as_pointer()), align=4)
            return above

        return types.int64(*[types.int64] * 5, types.float32, types.int64, types.int64), codegen

    return promise


_promise_product, _promise_cosine = _promise(False), _promise(True)


@njit(nogil=True)
def _sink(guesses, slots, size):  # type: ignore[no-untyped-def]
    """Put the first of a heap in its place: the least guess is on top, of equal ones the last slot."""
    place, guess, slot = 0, guesses[0], slots[0]
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        other = child + 1
        if other < size and (
            guesses[other] < guesses[child]
            or (guesses[other] == guesses[child] and slots[other] > slots[child])
        ):
            child = other
        if guess < guesses[child] or (guess == guesses[child] and slot > slots[child]):
            break
        guesses[place], slots[place] = guesses[child], slots[child]
        place = child
    guesses[place], slots[place] = guess, slot


@njit(
    types.void(
        *[types.int64] * 3,
        SPANS,
        types.int64,
        types.int64,
        types.boolean,
        types.Array(types.uint16, 1, "C", readonly=True),
        types.int32[:, ::1],
        types.float32[::1],
        types.int64[::1],
    ),
    nogil=True,
    cache=True,
)
def _promise_spans(  # type: ignore[no-untyped-def]
    signs, factors, words, spans, coarse, guesses, cosine, lanes, counts, best, slots
):
    """Best guesses, -infinity at first, and their slots, of all spans so far: a heap."""
    found = np.empty(GROUP, np.float32)
    scratch, row = found.ctypes.data, 0
    for span in range(len(spans)):
        first, rows, frame = spans[span, 0], spans[span, 1], spans[span, 2]
        planes, mine = coarse + frame * words * 8 * COARSE, guesses + frame * 4 * GUESSES
        for done in range((rows + GROUP - 1) // GROUP):
            group = first + done
            at, of_rows = signs + group * words * 8 * GROUP, factors + group * GROUP_FACTORS
            out = counts.ctypes.data + row * 4 * GROUP
            if cosine:
                above = _promise_cosine(at, words, planes, of_rows, mine, best[0], out, scratch)
            else:
                above = _promise_product(at, words, planes, of_rows, mine, best[0], out, scratch)
            above &= (1 << min(rows - done * GROUP, GROUP)) - 1
            if len(lanes):
                above &= lanes[row]
            row += 1
            if above:
                for lane in range(GROUP):
                    if above >> lane & 1 and found[lane] > best[0]:
                        best[0], slots[0] = found[lane], group * GROUP + lane
                        _sink(best, slots, len(best))


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
    """See plain.promises.promise_signs."""
    groups = np.cumsum(-(-spans[:, 1] // GROUP)).tolist()
    best, slots = np.full(wanted, -np.inf, np.float32), np.full(wanted, -1, np.int64)
    before = 0
    for start in range(0, len(spans), _CALL_SPANS):
        piece = slice(start, start + _CALL_SPANS)
        after = groups[piece][-1]
        _promise_spans(
            signs.ctypes.data,
            factors.ctypes.data,
            signs.shape[1],
            spans[piece],
            coarse.ctypes.data,
            guesses.ctypes.data,
            bool(guesses[0, GUESS_LENGTH] >= 0),
            lanes[before:after],
            counts[before:after],
            best,
            slots,
        )
        before = after
    order = np.lexsort((slots, -best))
    order = order[slots[order] >= 0]
    return slots[order], best[order]


__all__ = ["promise_signs"]
