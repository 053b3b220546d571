"""Twin of plain.floats: blocks by an intrinsic of compiled.lanes."""

from __future__ import annotations

import numpy as np
from numba import njit, types

from storage.kernels.compiled.lanes import divide_block
from storage.kernels.compiled.packing import BITS, copy, fill, ints_of, rows_of
from storage.kernels.plain.floats import POWERS
from storage.kernels.plain.packing import BLOCK, LANES

_U = np.uint64
_ZERO, _LANES, _BLOCK = _U(0), _U(LANES), _U(BLOCK)
_WIDTHS = types.Array(types.uint8, 1, "C", readonly=True)


@njit(
    [
        types.void(*BITS, _WIDTHS, types.float64[::1], types.uint64, form[::1])
        for form in (types.float32, types.float64)
    ],
    nogil=True,
    cache=True,
    error_model="numpy",
)
def _unpack(words, offsets, widths, bases, exponents, powers, start, out):  # type: ignore[no-untyped-def]
    aside = np.empty(BLOCK, out.dtype)
    count, row, done = _U(len(out)), start, _ZERO
    while done < count:
        block, within = row // _BLOCK, row % _BLOCK
        wanted = min(_BLOCK - within, count - done)
        at, width, base, power = offsets[block], _U(widths[block]), bases[block], powers[exponents[block]]
        if width == _ZERO:
            fill(np.int64(base) / power, wanted, out, done)
        elif within == _ZERO and wanted % _LANES == _ZERO:
            divide_block(words, at, width, wanted // _LANES, base, power, out, done)
        else:
            divide_block(words, at, width, rows_of(within + wanted), base, power, aside, _ZERO)
            copy(aside, within, wanted, out, done)
        done += wanted
        row += wanted


def unpack_floats(words, offsets, widths, bases, exponents, start, out):  # type: ignore[no-untyped-def]
    """See plain.floats.unpack_floats."""
    _unpack(words, ints_of(offsets), widths, ints_of(bases), exponents, POWERS, _U(start), out)
