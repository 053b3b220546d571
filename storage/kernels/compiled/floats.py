"""Twin of plain.floats: a block is unpacked aside, which is in cache, and divided."""

from __future__ import annotations

import numpy as np
from numba import njit, types

from storage.kernels.compiled.packing import BITS, ints_of, unpack_block
from storage.kernels.plain.floats import POWERS
from storage.kernels.plain.packing import BLOCK, LANES

_U = np.uint64
_ZERO, _ONE, _LANES, _BLOCK = _U(0), _U(1), _U(LANES), _U(BLOCK)
_WIDTHS = types.Array(types.uint8, 1, "C", readonly=True)


@njit(
    [
        types.void(*BITS, _WIDTHS, types.float64[::1], types.uint64, form[::1])
        for form in (types.float32, types.float64)
    ],
    nogil=True,
    cache=True,
)
def _unpack(words, offsets, widths, bases, exponents, powers, start, out):  # type: ignore[no-untyped-def]
    aside = np.empty(BLOCK, np.int64)
    count, row, done = _U(len(out)), start, _ZERO
    while done < count:
        block, within = row // _BLOCK, row % _BLOCK
        wanted = min(_BLOCK - within, count - done)
        rows = (within + wanted + _LANES - _ONE) // _LANES
        unpack_block(words, offsets[block], _U(widths[block]), bases[block], rows, aside, _ZERO)
        power = powers[exponents[block]]
        for i in range(wanted):
            out[done + i] = aside[within + i] / power
        done += wanted
        row += wanted


def unpack_floats(words, offsets, widths, bases, exponents, start, out):  # type: ignore[no-untyped-def]
    """See plain.floats.unpack_floats."""
    _unpack(words, ints_of(offsets), widths, ints_of(bases), exponents, POWERS, _U(start), out)
