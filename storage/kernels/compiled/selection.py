"""Twin of plain.selection: quickselect (Hoare, Algorithm 65: Find, 1961) in a group's values put together.

Pivots are medians of three values at pseudo-random places, so that no order of the input is a bad one; the
places asked are ascending, so what stands before one that has been found is not looked at again.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types

from storage.kernels.plain.selection import Integers

_READ = types.Array(types.int64, 1, "C", readonly=True)
_OUT = types.int64[::1]
_U = np.uint64
_STEP, _MORE, _HALF = _U(0x5851_F42D_4C95_7F2D), _U(0x1405_7B7E_F767_814F), _U(32)
_FEW = 12  # values that are sorted by insertion


@njit(
    types.uint64(types.int64[::1], types.int64, types.int64, types.int64, types.uint64),
    nogil=True,
    cache=True,
)
def _find(values, low, high, place, state):  # type: ignore[no-untyped-def]
    """Have the right value at `place` of values[low:high], none greater before it, none smaller behind."""
    while high - low > _FEW:
        size = _U(high - low)
        state = state * _STEP + _MORE
        a = values[low + np.int64(((state >> _HALF) * size) >> _HALF)]
        state = state * _STEP + _MORE
        b = values[low + np.int64(((state >> _HALF) * size) >> _HALF)]
        state = state * _STEP + _MORE
        c = values[low + np.int64(((state >> _HALF) * size) >> _HALF)]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = low, high - 1
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if place <= j:
            high = j + 1
        elif place >= i:
            low = i
        else:
            return state
    for i in range(low + 1, high):
        value, j = values[i], i
        while j > low and values[j - 1] > value:
            values[j] = values[j - 1]
            j -= 1
        values[j] = value
    return state


@njit(types.void(_READ, _READ, _READ, _READ, _READ, _READ, _OUT, _OUT), nogil=True, cache=True)
def _select(keys, starts, lengths, ends, places, asked, values, out):  # type: ignore[no-untyped-def]
    state = _STEP
    run = first = 0
    for g in range(len(ends)):
        count = 0
        if asked[g] > first:
            for r in range(run, ends[g]):
                start = starts[r]
                for k in range(lengths[r]):
                    values[count + k] = keys[start + k]
                count += lengths[r]
        low = 0
        for k in range(first, asked[g]):
            place = places[k]
            if k > first and place == low:
                least = low
                for i in range(low + 1, count):
                    if values[i] < values[least]:
                        least = i
                values[low], values[least] = values[least], values[low]
            else:
                state = _find(values, low, count, place, state)
            out[k] = values[place]
            low = place + 1
        run, first = ends[g], asked[g]


def select_places(
    keys: Integers, starts: Integers, lengths: Integers, ends: Integers, places: Integers, asked: Integers
) -> Integers:
    """See plain.selection.select_places."""
    rows = np.append(0, np.cumsum(lengths))[np.append(0, ends)]
    values = np.empty(int(np.diff(rows).max(initial=0)), np.int64)
    found = np.empty(len(places), np.int64)
    given = (np.ascontiguousarray(each) for each in (keys, starts, lengths, ends, places, asked))
    _select(*given, values, found)
    return found
