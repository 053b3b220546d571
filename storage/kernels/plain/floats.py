"""Floats from packed integers: n / 10**e, with one e a block of rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from storage.kernels.plain.packing import BLOCK, Integers, Widths, Words, unpack_blocks

POWERS: npt.NDArray[np.float64] = np.array([float(10**e) for e in range(23)])
"""The powers of ten that are doubles."""


def unpack_floats(
    words: Words,
    offsets: Integers,
    widths: Widths,
    bases: Integers,
    exponents: npt.NDArray[np.uint8],
    start: int,
    out: npt.NDArray[np.floating],
) -> None:
    """The values of the rows from `start` on into `out`, float64 or float32; see plain.packing."""
    integers = np.empty(len(out), np.int64)
    unpack_blocks(words, offsets, widths, bases, start, integers)
    rows = np.arange(start, start + len(out))
    out[:] = (integers / POWERS[exponents[rows // BLOCK]]).astype(out.dtype)
