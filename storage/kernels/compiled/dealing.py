"""Twin of plain.dealing: binary searches without branches, then a counting sort.

The searches of a block of words take their steps together, as vectors; for that borders are filled up to one
less than a power of two.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types

from storage.kernels.plain.dealing import Positions, Words

_WORDS = types.Array(types.uint64, 1, "C", readonly=True)
_OUT = types.int64[::1]
_BLOCK = 1024  # words that are searched for together
_LAST = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


@njit(types.void(_WORDS, _WORDS, types.uint16[::1], _OUT, _OUT, _OUT), nogil=True, cache=True)
def _deal(words, borders, buckets, ends, nexts, order):  # type: ignore[no-untyped-def]
    last = len(ends) - 2
    lows = np.empty(_BLOCK, np.int64)
    for first in range(0, len(words), _BLOCK):
        rows = min(_BLOCK, len(words) - first)
        lows[:] = 0
        half = (len(borders) + 1) // 2
        while half:
            for i in range(rows):
                lows[i] += half * np.int64(borders[np.uint64(lows[i] + half - 1)] <= words[first + i])
            half //= 2
        for i in range(rows):
            bucket = min(lows[i], last)
            buckets[first + i] = bucket
            ends[bucket + 1] += 1
    for b in range(1, len(ends)):
        ends[b] += ends[b - 1]
    nexts[:] = ends[:-1]
    for i in range(len(words)):
        order[nexts[buckets[i]]] = i
        nexts[buckets[i]] += 1


def deal_words(words: Words, borders: Words) -> tuple[Positions, Positions]:
    """See plain.dealing.deal_words."""
    ends = np.zeros(len(borders) + 2, np.int64)
    order, nexts = np.empty(len(words), np.int64), np.empty(len(borders) + 1, np.int64)
    padded = np.full((1 << len(borders).bit_length()) - 1, _LAST)
    padded[: len(borders)] = borders
    _deal(np.ascontiguousarray(words), padded, np.empty(len(words), np.uint16), ends, nexts, order)
    return order, ends
