"""Bit packing: value i of `width` bits stands at bit i * width of a row of 64-bit little-endian words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from storage.column import Positions

Words = npt.NDArray[np.uint64]

_BITS = np.uint64(64)


def pack(values: Words, width: int) -> Words:
    """Values below 2**width, 1 <= width <= 64, packed; one word more, so that readers may read two."""
    words = np.zeros(-(-len(values) * width // 64) + 1, np.uint64)
    bits = np.arange(len(values), dtype=np.uint64) * np.uint64(width)
    at, shift = bits // _BITS, bits % _BITS
    np.bitwise_or.at(words, at, values << shift)
    over = shift + np.uint64(width) > _BITS
    np.bitwise_or.at(words, at[over] + np.uint64(1), values[over] >> (_BITS - shift[over]))
    return words


def unpack(words: Words, width: int, positions: Positions) -> Words:
    """The values at these positions."""
    bits = positions.astype(np.uint64) * np.uint64(width)
    at, shift = (bits >> np.uint64(6)).astype(np.int64), bits & np.uint64(63)
    low = words[at] >> shift
    # a shift by 64 is undefined: two shifts, by 63 - shift and by 1
    high = (words[at + 1] << (np.uint64(63) - shift)) << np.uint64(1)
    mask = np.uint64(2**width - 1)
    result: Words = (low | high) & mask
    return result
