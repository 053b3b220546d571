"""Twin of plain.values: one pass, a small open hash table."""

from __future__ import annotations

import numpy as np
from numba import njit

from storage.kernels.plain.values import LONGEST, Bytes, Integers

_READ = "Array(uint8, 1, 'C', readonly=True)"
_MIX, _HALF = np.uint64(0x9E37_79B9_7F4A_7C15), np.uint64(32)


@njit(cache=True, nogil=True)
def _hash(data, start, length):  # type: ignore[no-untyped-def]
    """Words of eight bytes, then the rest. Of signed places numba would ask whether they wrap."""
    word = np.uint64(length)
    at, end = np.uint64(start), np.uint64(start + length)
    eight, one = np.uint64(8), np.uint64(1)
    while at + eight <= end:
        part = np.uint64(0)
        for byte in range(8):
            part |= np.uint64(data[at + np.uint64(byte)]) << np.uint64(8 * byte)
        word = (word ^ part) * _MIX
        word ^= word >> _HALF
        at += eight
    part = np.uint64(0)
    while at < end:
        part = (part << eight) | np.uint64(data[at])
        at += one
    return (word ^ part) * _MIX


@njit(cache=True, nogil=True)
def _alike(data, one, other, length):  # type: ignore[no-untyped-def]
    one, other = np.uint64(one), np.uint64(other)
    at, end = np.uint64(0), np.uint64(length)
    while at < end and data[one + at] == data[other + at]:
        at += np.uint64(1)
    return at == end


@njit(
    f"int64({_READ}, int64[:], int64[:], int64, int64[::1], int64[::1], int64[::1])", nogil=True, cache=True
)
def _number(data, starts, lengths, most, slots, numbers, firsts):  # type: ignore[no-untyped-def]
    mask = np.uint64(len(slots) - 1)
    count = 0
    for row in range(len(lengths)):
        length, start = lengths[row], starts[row]
        if length < 0:
            numbers[row] = 0
            continue
        if length > LONGEST:
            return -1
        slot = (_hash(data, start, length) >> _HALF) & mask
        while True:
            number = slots[slot]
            if number < 0:
                if count == most:
                    return -1
                slots[slot] = number = count
                firsts[count] = row
                count += 1
                break
            first = firsts[number]
            if lengths[first] == length and _alike(data, starts[first], start, length):
                break
            slot = (slot + np.uint64(1)) & mask
        numbers[row] = number
    return count


def number_fields(
    data: Bytes, starts: Integers, lengths: Integers, most: int
) -> tuple[Integers, Integers] | None:
    """See plain.values.number_fields."""
    view = np.ascontiguousarray(data).view()
    view.flags.writeable = False
    slots = np.full(1 << (4 * most).bit_length(), -1, np.int64)
    numbers, firsts = np.empty(len(lengths), np.int64), np.empty(most, np.int64)
    count = _number(view, starts, lengths, most, slots, numbers, firsts)
    return None if count < 0 else (numbers, firsts[:count])
